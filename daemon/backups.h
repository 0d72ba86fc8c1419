// The backups that clients have asked for, one at a time. Loop thread only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "daemon/redis/backup_admin.h"
#include "store/lmdb/lmdb_store.h"
#include "store/store.h"

namespace knit {

class Backups final : public BackupAdmin {
 public:
  Backups(LmdbStore& disk, const Store& store) : disk_(disk), store_(store) {}

  Result<std::uint64_t> begin(const std::string& path, JournalPosition holds) override;
  std::optional<Result<Done>> outcome(std::uint64_t number) const override;

  // Begins what waits for a commit, and takes the result of what has ended. To be called once a turn.
  void step();
  bool busy() const { return !outcome_; }

 private:
  LmdbStore& disk_;
  const Store& store_;
  std::uint64_t number_ = 0;
  std::string path_;
  JournalPosition holds_;
  std::optional<Result<Done>> outcome_ = Done{};
};

}  // namespace knit
