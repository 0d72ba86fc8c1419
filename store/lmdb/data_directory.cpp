#include "store/lmdb/data_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <optional>
#include <string_view>
#include <system_error>

namespace knit {

namespace {

constexpr std::string_view lock_name = "knit.lock";
constexpr std::string_view format_name = "format";
constexpr std::string_view new_format_name = "format.new";
constexpr std::string_view format_start = "knit ";

std::string join(const std::string& directory, std::string_view name) {
  return directory + "/" + std::string(name);
}

tl::unexpected<Error> system_failure(std::string_view call, const std::string& path) {
  const int number = errno;
  const bool full = number == ENOSPC || number == EDQUOT;
  return fail(full ? ErrorCode::disk_full : ErrorCode::io,
              std::string(call) + " " + path + ": " + std::generic_category().message(number));
}

Result<void> sync_path(const std::string& path) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return system_failure("open", path);
  if (::fsync(file.number()) != 0) return system_failure("fsync", path);
  return {};
}

Result<void> make_directory(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) == 0) {
    const auto parent = std::filesystem::path(path).parent_path();
    return sync_path(parent.empty() ? "." : parent.string());
  }
  if (errno != EEXIST) return system_failure("mkdir", path);
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return {};
  return fail(ErrorCode::refused, path + " is not a directory");
}

// The first bytes of a file, enough for those that we write. Empty if there is no file.
Result<std::optional<std::string>> read_small_file(const std::string& path) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid() && errno == ENOENT) return std::nullopt;
  if (!file.valid()) return system_failure("open", path);
  std::array<char, 64> bytes;
  const ssize_t size = ::read(file.number(), bytes.data(), bytes.size());
  if (size < 0) return system_failure("read", path);
  return std::string(bytes.data(), static_cast<std::size_t>(size));
}

Result<void> write_whole(const FileDescriptor& file, std::string_view text, const std::string& path) {
  const ssize_t written = ::write(file.number(), text.data(), text.size());
  if (written < 0) return system_failure("write", path);
  if (static_cast<std::size_t>(written) == text.size()) return {};
  return fail(ErrorCode::disk_full, "write " + path + ": no space left");
}

// Each entry that may stand in a directory that no daemon has finished setting up.
bool may_precede_format(const std::string& name) {
  constexpr std::array<std::string_view, 6> names{lock_name,    format_name,   new_format_name,
                                                  "lost+found", "cluster.key", "keyring"};
  return std::find(names.begin(), names.end(), name) != names.end();
}

Result<bool> holds_other_things(const std::string& path) {
  std::error_code error;
  std::filesystem::directory_iterator entry(path, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    if (!may_precede_format(entry->path().filename().string())) return true;
  }
  if (error) return fail(ErrorCode::io, "readdir " + path + ": " + error.message());
  return false;
}

// 0 if `text` is not what we write. A number that does not fit is newer than anything we know.
unsigned parse_format(std::string_view text) {
  if (!text.starts_with(format_start) || !text.ends_with('\n')) return 0;
  text.remove_prefix(format_start.size());
  text.remove_suffix(1);
  unsigned version = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
  if (end != text.data() + text.size()) return 0;
  return error == std::errc::result_out_of_range ? ~0u : version;
}

Result<void> check_version(const std::string& path, std::string_view text) {
  const unsigned version = parse_format(text);
  if (version == 0) {
    return fail(ErrorCode::refused, path + " is not a knit data directory: its file 'format' is not ours");
  }
  if (version == DataDirectory::format_version) return {};
  if (version < DataDirectory::format_version) {
    return fail(ErrorCode::wrong_format, path +
                                             " was written by an older knit (its file 'format' is version " +
                                             std::to_string(version) + ", this one reads version " +
                                             std::to_string(DataDirectory::format_version) +
                                             "): name an empty directory and let the peers fill it");
  }
  return fail(ErrorCode::wrong_format,
              path + " was written by a newer knit (its file 'format' is above version " +
                  std::to_string(DataDirectory::format_version) +
                  "): install that version, or name an empty directory and let the peers fill it");
}

// Answers whether the directory has a format that we read; false means that it is fresh. The order
// matters: `format` is made before all else, so whoever sees the rest must find it afterwards.
Result<bool> check_contents(const std::string& path) {
  auto others = holds_other_things(path);
  if (!others) return others;
  const auto text = read_small_file(join(path, format_name));
  if (!text) return tl::unexpected(text.error());
  if (*text) return check_version(path, **text).map([] { return true; });
  if (!*others) return false;
  return fail(ErrorCode::refused,
              path + " is not a knit data directory: it holds other files; name an empty or a new one");
}

tl::unexpected<Error> in_use(const std::string& path, const std::string& lock_path) {
  std::string user = "another process";
  if (const auto text = read_small_file(lock_path); text && *text && (*text)->ends_with('\n')) {
    user = "process " + (*text)->substr(0, (*text)->size() - 1);
  }
  return fail(ErrorCode::refused, path + " is in use by " + user);
}

Result<FileDescriptor> take_lock(const std::string& path) {
  const std::string lock_path = join(path, lock_name);
  FileDescriptor lock(::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock.valid()) return system_failure("open", lock_path);
  if (::flock(lock.number(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return in_use(path, lock_path);
    return system_failure("flock", lock_path);
  }
  if (::ftruncate(lock.number(), 0) != 0) return system_failure("ftruncate", lock_path);
  // The text only helps a person: on a full disk the lock alone must do.
  const auto written = write_whole(lock, std::to_string(::getpid()) + "\n", lock_path);
  if (!written && written.error().code != ErrorCode::disk_full) return tl::unexpected(written.error());
  return lock;
}

// A crash leaves either no format file or the whole one.
Result<void> write_format(const std::string& path) {
  const std::string fresh = join(path, new_format_name);
  const FileDescriptor file(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!file.valid()) return system_failure("open", fresh);
  const std::string text = std::string(format_start) + std::to_string(DataDirectory::format_version) + "\n";
  if (auto written = write_whole(file, text, fresh); !written) return written;
  if (::fsync(file.number()) != 0) return system_failure("fsync", fresh);
  if (::rename(fresh.c_str(), join(path, format_name).c_str()) != 0) return system_failure("rename", fresh);
  return sync_path(path);
}

}  // namespace

Result<DataDirectory> DataDirectory::open(const std::string& path) {
  if (auto made = make_directory(path); !made) return tl::unexpected(made.error());
  // Looked at before the lock, so that a directory of somebody else gets no file of ours.
  if (auto seen = check_contents(path); !seen) return tl::unexpected(seen.error());
  auto lock = take_lock(path);
  if (!lock) return tl::unexpected(lock.error());
  const auto has_format = check_contents(path);
  if (!has_format) return tl::unexpected(has_format.error());
  if (!*has_format) {
    if (auto written = write_format(path); !written) return tl::unexpected(written.error());
  }
  return DataDirectory(path, std::move(*lock));
}

}  // namespace knit
