#include "store/lmdb/backup.h"

#include <fcntl.h>
#include <lmdb.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "store/lmdb/thread_priority.h"

namespace knit {

namespace {

constexpr std::string_view partial_suffix = ".partial";

std::string partial(const std::string& path) { return path + std::string(partial_suffix); }

tl::unexpected<Error> system_failure(std::string_view call, const std::string& path) {
  const int number = errno;
  const bool full = number == ENOSPC || number == EDQUOT;
  const ErrorCode code = full               ? ErrorCode::disk_full
                         : number == ENOENT ? ErrorCode::not_found
                         : number == EEXIST ? ErrorCode::refused
                                            : ErrorCode::io;
  return fail(code, std::string(call) + " " + path + ": " + std::generic_category().message(number));
}

Result<void> sync_directory_of(const std::string& path) {
  const auto parent = std::filesystem::path(path).parent_path();
  const std::string directory = parent.empty() ? "." : parent.string();
  const FileDescriptor file(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!file.valid()) return system_failure("open", directory);
  if (::fsync(file.number()) != 0) return system_failure("fsync", directory);
  return {};
}

}  // namespace

Result<std::unique_ptr<Backup>> Backup::begin(const Environment& environment, const std::string& path,
                                              std::function<void()> wake) {
  struct stat there{};
  if (::lstat(path.c_str(), &there) == 0) return fail(ErrorCode::refused, path + " exists already");
  const std::string fresh = partial(path);
  if (::unlink(fresh.c_str()) != 0 && errno != ENOENT) return system_failure("unlink", fresh);
  FileDescriptor file(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file.valid()) return system_failure("open", fresh);
  // Past the page cache, as mdb_env_copy2() does: else one sync at the end would hold up everybody's, and
  // what is read would be pushed out of memory. Not every file system can.
  static_cast<void>(::fcntl(file.number(), F_SETFL, O_DIRECT));
  return std::unique_ptr<Backup>(new Backup(environment, path, std::move(file), std::move(wake)));
}

Backup::Backup(const Environment& environment, std::string path, FileDescriptor file,
               std::function<void()> wake)
    : environment_(environment),
      path_(std::move(path)),
      file_(std::move(file)),
      wake_(std::move(wake)),
      thread_([this] { run(); }) {}

// LMDB cannot be told to stop, but it does when a write fails.
Backup::~Backup() {
  if (!result()) {
    const FileDescriptor full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
    if (full.valid()) ::dup3(full.number(), file_.number(), O_CLOEXEC);
  }
  thread_.join();
}

std::uint64_t Backup::bytes() const {
  struct stat file{};
  return ::fstat(file_.number(), &file) == 0 ? static_cast<std::uint64_t>(file.st_size) : 0;
}

std::optional<Result<std::uint64_t>> Backup::result() {
  const std::lock_guard lock(mutex_);
  return result_;
}

void Backup::run() {
  stand_back();
  auto copied = copy();
  if (!copied) ::unlink(partial(path_).c_str());
  {
    const std::lock_guard lock(mutex_);
    result_ = std::move(copied);
  }
  wake_();
}

Result<std::uint64_t> Backup::copy() {
  const int code = mdb_env_copyfd2(environment_.get(), file_.number(), MDB_CP_COMPACT);
  if (code != 0) return tl::unexpected(environment_.error(code, "mdb_env_copyfd2"));
  const std::string fresh = partial(path_);
  if (::fsync(file_.number()) != 0) return system_failure("fsync", fresh);
  const std::uint64_t size = bytes();
  if (::renameat2(AT_FDCWD, fresh.c_str(), AT_FDCWD, path_.c_str(), RENAME_NOREPLACE) != 0)
    return system_failure("rename to", path_);
  if (auto synced = sync_directory_of(path_); !synced) return tl::unexpected(synced.error());
  return size;
}

}  // namespace knit
