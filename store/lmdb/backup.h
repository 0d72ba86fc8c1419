// A copy of an environment in one file, made by a thread of its own while others read and write: what one
// read transaction sees, without free pages (mdb_env_copyfd2 with MDB_CP_COMPACT).
//
// Written beside its place, synced, and then named: a file of that name is whole. As long as it is made,
// pages that are freed meanwhile are not used again, so the environment grows by what is changed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/result.h"
#include "store/lmdb/environment.h"
#include "store/lmdb/file_descriptor.h"

namespace knit {

// All members are called by the owner's thread; `wake` on the backup's own.
class Backup {
 public:
  // Begins at once. `environment` must outlive it. Errors: refused if there is such a file, or one of an
  // earlier attempt (PATH.partial) cannot be replaced; not_found if its directory does not exist; disk_full,
  // io.
  static Result<std::unique_ptr<Backup>> begin(const Environment& environment, const std::string& path,
                                               std::function<void()> wake);
  ~Backup();  // Breaks off what has not ended: nothing is left of it.
  Backup(const Backup&) = delete;
  Backup& operator=(const Backup&) = delete;

  std::uint64_t bytes() const;  // Written so far.
  // Its size, once it has ended. Errors: disk_full, corrupt, io: nothing is left of it.
  std::optional<Result<std::uint64_t>> result();

 private:
  Backup(const Environment& environment, std::string path, FileDescriptor file, std::function<void()> wake);
  void run();
  Result<std::uint64_t> copy();

  const Environment& environment_;
  const std::string path_;
  const FileDescriptor file_;
  const std::function<void()> wake_;
  std::mutex mutex_;
  std::optional<Result<std::uint64_t>> result_;  // Guarded by mutex_.
  std::thread thread_;                           // Last: it uses all of the above.
};

}  // namespace knit
