// One opened LMDB environment with its three tables: rows, log and meta.
//
// Commits are synchronous, always. Never MDB_WRITEMAP: a full disk would be a SIGBUS. Readers are
// not tied to threads (MDB_NOTLS), so a thread may hold a read transaction and write as well.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "base/result.h"
#include "store/lmdb/lmdb_handles.h"
#include "store/ports.h"

namespace knit {

struct LmdbOptions {
  std::string directory;

  // Address space reserved once for the file; the file itself grows with the data. Too small: writes
  // end with disk_full however large the disk is. Too large: the start fails where address space is
  // limited (32 bits, ulimit -v); memory and disk are not used by it. A multiple of the page size,
  // from map_bytes_min to map_bytes_max.
  std::uint64_t map_bytes = std::uint64_t{1} << 40;

  // Whether the kernel reads ahead of page faults. Off helps random reads of a store that is much
  // larger than memory, and slows the scans after a start.
  bool read_ahead = true;

  static constexpr std::uint64_t map_bytes_min = std::uint64_t{1} << 18;
  static constexpr std::uint64_t map_bytes_max = std::uint64_t{1} << 46;
};

// Calls may come from any thread once it is open, each transaction from one at a time.
class Environment {
 public:
  // Errors: bad_input for options out of range, corrupt or wrong_format if the file is not one that
  // this LMDB reads, disk_full, io.
  static Result<Environment> open(const LmdbOptions& options);

  MDB_env* get() const { return env_.get(); }
  MDB_dbi table(Table table) const { return tables_[static_cast<std::size_t>(table)]; }

  std::size_t page_bytes() const { return page_bytes_; }

  // What a failed call of LMDB means. corrupt: the file is damaged, and no transaction may be trusted. A full
  // disk may show as EIO (a short write): without free space, EIO is reported as disk_full.
  Error error(int code, const char* call) const;
  // As error(), for a failed commit: io if the environment is unusable from now on.
  Error commit_error(int code) const;

  std::uint64_t bytes_used() const;      // Up to the highest page ever used, free pages included.
  std::uint64_t bytes_growable() const;  // Left of the map or of the disk, whatever is less.
  // Free pages inside of the file, in bytes, of the oldest 1,000 entries of the free list: a floor.
  std::uint64_t count_bytes_reusable() const;

 private:
  EnvHandle env_;
  std::string directory_;
  std::size_t page_bytes_ = 4096;
  std::array<MDB_dbi, knit::tables> tables_{};
};

}  // namespace knit
