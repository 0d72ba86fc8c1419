#include "daemon/backups.h"

#include "daemon/log.h"

namespace knit {

Result<std::uint64_t> Backups::begin(const std::string& path, JournalPosition holds) {
  if (busy()) return fail(ErrorCode::refused, "a backup is being made already, to " + path_);
  path_ = path;
  holds_ = holds;
  outcome_.reset();
  return ++number_;
}

std::optional<Result<BackupAdmin::Done>> Backups::outcome(std::uint64_t number) const {
  if (number == number_) return outcome_;
  return fail(ErrorCode::refused, "another backup was made since");
}

// LMDB holds what was applied only after a commit.
void Backups::step() {
  if (!busy()) return;
  if (disk_.backup() == nullptr) {
    if (store_.committed() < holds_ && store_.has_uncommitted()) return;
    const auto begun = disk_.start_backup(path_);
    if (begun) return log_info("a backup is made, to " + path_);
    outcome_ = tl::unexpected(begun.error());
  } else if (const auto result = disk_.take_backup_result()) {
    outcome_ = result->map([this](std::uint64_t bytes) { return Done{path_, bytes}; });
  }
  if (!outcome_) return;
  if (*outcome_) return log_info("the backup is made: " + path_);
  log_error("no backup was made to " + path_ + ": " + outcome_->error().message);
}

}  // namespace knit
