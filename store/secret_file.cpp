#include "store/secret_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace knit {

namespace {

// A file descriptor that is closed on the way out.
class File {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}
  ~File() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int get() const { return descriptor_; }

 private:
  int descriptor_;
};

tl::unexpected<Error> system_error(const std::string& path, const char* call) {
  const int number = errno;
  return fail(number == ENOENT ? ErrorCode::not_found : ErrorCode::io,
              path + ": " + call + ": " + std::strerror(number));
}

Result<void> write_all(int descriptor, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return system_error(path, "write");
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  if (::fsync(descriptor) != 0) return system_error(path, "fsync");
  return {};
}

std::string directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, std::max<std::size_t>(slash, 1));
}

// Root makes it for the user that owns what is around it: the one that knitd runs as.
Result<void> give_to_owner_of_directory(int descriptor, const std::string& path) {
  if (::geteuid() != 0) return {};
  const std::string directory = directory_of(path);
  struct stat status{};
  if (::stat(directory.c_str(), &status) != 0) return system_error(directory, "stat");
  if (::fchown(descriptor, status.st_uid, status.st_gid) != 0) return system_error(path, "chown");
  return {};
}

// The new name survives a power cut only when its directory is synced too.
Result<void> sync_directory_of(const std::string& path) {
  const std::string directory = directory_of(path);
  const File opened(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (opened.get() < 0) return system_error(directory, "open");
  if (::fsync(opened.get()) != 0) return system_error(directory, "fsync");
  return {};
}

Result<void> check_mode(int descriptor, const std::string& path) {
  struct stat status{};
  if (::fstat(descriptor, &status) != 0) return system_error(path, "stat");
  if (!S_ISREG(status.st_mode)) return fail(ErrorCode::bad_input, path + ": is not a file");
  const bool credential = status.st_uid == 0 && ::geteuid() != 0;
  const mode_t forbidden = credential ? 0037 : 0077;
  if ((status.st_mode & forbidden) != 0) {
    return fail(ErrorCode::refused, path + ": others may read this secret; run: chmod 600 " + path);
  }
  return {};
}

// Whoever waits for the file sees all of it or nothing. `flags` are those of renameat2().
Result<void> write_file(const std::string& path, std::string_view bytes, unsigned flags) {
  const std::string made = path + ".new";
  ::unlink(made.c_str());  // Of a process that ended in between.
  const File file(::open(made.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (file.get() < 0) return system_error(path, "open");
  Result<void> written = give_to_owner_of_directory(file.get(), path);
  if (written) written = write_all(file.get(), bytes, made);
  if (written && ::renameat2(AT_FDCWD, made.c_str(), AT_FDCWD, path.c_str(), flags) != 0) {
    const bool exists = errno == EEXIST;
    written = exists ? fail(ErrorCode::refused, path + ": exists already") : system_error(path, "rename");
  }
  if (!written) ::unlink(made.c_str());
  return written.and_then([&] { return sync_directory_of(path); });
}

}  // namespace

Result<std::string> read_secret_file(const std::string& path, std::size_t bytes_max,
                                     const std::string& what) {
  const File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return system_error(path, "open");
  if (auto mode = check_mode(file.get(), path); !mode) return tl::unexpected(mode.error());
  std::string bytes(bytes_max + 1, '\0');
  std::size_t size = 0;
  while (size < bytes.size()) {
    const ssize_t got = ::read(file.get(), bytes.data() + size, bytes.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error(path, "read");
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  if (size > bytes_max) return fail(ErrorCode::bad_input, path + ": is too long for " + what);
  bytes.resize(size);
  return bytes;
}

Result<void> create_secret_file(const std::string& path, std::string_view bytes, const std::string& what) {
  const auto written = write_file(path, bytes, RENAME_NOREPLACE);
  if (written || written.error().code != ErrorCode::refused) return written;
  return fail(ErrorCode::refused, written.error().message + "; " + what + " is never overwritten");
}

Result<void> replace_secret_file(const std::string& path, std::string_view bytes) {
  return write_file(path, bytes, 0);
}

}  // namespace knit
