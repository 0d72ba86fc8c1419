// The ordered store on LMDB, with one thread that commits.
//
// All calls come from one thread, the loop's. Invariants:
//  1. At most one read transaction is open; it begins with the first read and ends in end_reads().
//  2. Only the committer writes, one batch at a time, each in one synchronous transaction.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "store/lmdb/backup.h"
#include "store/lmdb/committer.h"
#include "store/lmdb/data_directory.h"
#include "store/lmdb/environment.h"
#include "store/lmdb/found_rows.h"
#include "store/ports.h"

namespace knit {

class LmdbStore final : public OrderedStore {
 public:
  // Opens or makes the store in options.directory, and locks the directory. `wake` is called on the
  // committer's thread whenever a commit has ended; it must not block. Errors: those of
  // DataDirectory::open and Environment::open.
  static Result<std::unique_ptr<LmdbStore>> open(const LmdbOptions& options, std::function<void()> wake);

  // Lets a commit that was begun come to its end: the batch must live as long.
  ~LmdbStore() override = default;

  // Not found for a key of 0 or more than 511 bytes. Errors: io, corrupt.
  Result<std::optional<std::string_view>> get(Table table, std::string_view key) override;
  // `from` may have any length. Proves the order of what it visits, and of the row behind. Errors: io,
  // corrupt.
  Result<void> scan(Table table, std::string_view from,
                    FunctionRef<bool(std::string_view key, std::string_view value)> visit) override;
  void expect(std::span<const std::uint64_t> row_hashes) override;
  void end_reads() override;  // Requires: not called from within a visit.

  // Requires: the result of the commit before was taken. Errors reported: disk_full and bad_input
  // (see write_batch()), after which reads and later commits go on; io, after which the owner
  // should end the process.
  void start_commit(const Batch& batch) override;
  // The result of the commit that has ended, once. Empty while it runs, and when there is none.
  std::optional<Result<void>> take_commit_result();
  // Blocks until no commit runs; for shutdown and tests. The result is still to be taken.
  void wait_for_commit();

  // A read found that LMDB's pages are damaged. Nothing that was read since is to be believed, and nothing
  // here can be mended: the process must end before it shows any of it. A commit that finds it says corrupt.
  const std::optional<Error>& damage() const { return damage_; }

  // The file's pages up to the highest one in use, in bytes: free pages are included, as the file
  // never shrinks.
  std::uint64_t bytes_on_disk() const override;
  std::uint64_t bytes_used() const override;
  // What the map and the disk leave to grow, whichever is less, and the free pages inside of the
  // file. Costs a system call.
  std::uint64_t bytes_free() const override;

  // Rises with each lookup and each commit: whether the store is at rest.
  std::uint64_t activity() const { return activity_; }
  // Lets go of what the work so far has left in memory, and LMDB's pages above all: it keeps as many for its
  // next transaction as its largest one has changed, until the environment is closed. So it is opened anew,
  // if that is worth it. Later reads find the map cold. Requires: no commit runs, its result was taken, no
  // backup is made, and no scan runs. Ends reads. On an error the store is unusable.
  Result<void> give_back_memory();

  // A copy of what is committed, in a file; see backup.h. `wake` is called as for a commit. refused, too, if
  // one is made already.
  Result<void> start_backup(const std::string& path);
  const Backup* backup() const { return backup_.get(); }  // The one that is made; null: none.
  // Its size, once; empty while it is made, and when there is none. Errors as Backup::result().
  std::optional<Result<std::uint64_t>> take_backup_result();

  const std::string& directory() const { return directory_.path(); }

 private:
  LmdbStore(LmdbOptions options, DataDirectory directory, Environment environment, TxnHandle reader,
            std::function<void()> wake);
  Result<void> begin_reads();
  tl::unexpected<Error> failure(int code, const char* call);
  int find(Table table, std::string_view key, MDB_val& value);  // What LMDB answers.
  int find_row(std::string_view key, MDB_val& value);
  Result<void> write(const Batch& batch);

  LmdbOptions options_;
  DataDirectory directory_;
  Environment environment_;
  TxnHandle reader_;  // Reset, not freed, between reads: it keeps its slot.
  bool reading_ = false;
  std::optional<Error> damage_;
  FoundRows found_rows_;
  unsigned scans_ = 0;  // Nested.
  std::uint64_t activity_ = 0;
  std::size_t changes_kept_ = 0;  // Of the largest batch that the environment has seen.
  std::atomic<std::uint64_t> bytes_reusable_;
  std::function<void()> wake_;
  Committer committer_;  // Last, these two: their threads use the environment.
  std::unique_ptr<Backup> backup_;
};

}  // namespace knit
