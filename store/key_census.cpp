#include "store/key_census.h"

#include <algorithm>

#include "crdt/register_row.h"
#include "store/row_record.h"

namespace knit {

void KeyCensus::change(std::uint64_t shown_until, std::int64_t by) {
  if (shown_until == shows_nothing) return;
  keys_ += by;
  if (!knows_expiries_ || shown_until == Expiry::never_millis) return;
  const std::uint64_t second = shown_until / 1000;
  if (second < expired_to_) {
    expired_ += by;
  } else {
    const auto waiting = expiring_.try_emplace(second, 0).first;
    waiting->second += by;
    if (waiting->second == 0) expiring_.erase(waiting);
  }
}

std::uint64_t KeyCensus::stored() const {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(keys_, 0));
}

std::uint64_t KeyCensus::existing(WallTime now) {
  expired_to_ = std::max(expired_to_, now.millis / 1000);
  while (!expiring_.empty() && expiring_.begin()->first < expired_to_) {
    expired_ += expiring_.begin()->second;
    expiring_.erase(expiring_.begin());
  }
  return static_cast<std::uint64_t>(std::max<std::int64_t>(keys_ - expired_, 0));
}

}  // namespace knit
