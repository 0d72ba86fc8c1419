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
  if (second >= expired_to_) return add_to(expiring_, second, by);
  expired_ += by;
  if (second >= long_expired_to_) return add_to(lately_, second, by);
  long_expired_ += by;
}

void KeyCensus::add_to(Seconds& seconds, std::uint64_t second, std::int64_t by) {
  const auto entry = seconds.try_emplace(second, 0).first;
  entry->second += by;
  if (entry->second == 0) seconds.erase(entry);
}

std::uint64_t KeyCensus::stored() const {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(keys_, 0));
}

std::uint64_t KeyCensus::existing(WallTime now) {
  expired_to_ = std::max(expired_to_, now.millis / 1000);
  while (!expiring_.empty() && expiring_.begin()->first < expired_to_) {
    expired_ += expiring_.begin()->second;
    lately_.insert(expiring_.extract(expiring_.begin()));
  }
  return static_cast<std::uint64_t>(std::max<std::int64_t>(keys_ - expired_, 0));
}

std::uint64_t KeyCensus::expired(WallTime then) {
  existing(then);
  long_expired_to_ = std::max(long_expired_to_, then.millis / 1000);
  while (!lately_.empty() && lately_.begin()->first < long_expired_to_) {
    long_expired_ += lately_.begin()->second;
    lately_.erase(lately_.begin());
  }
  return static_cast<std::uint64_t>(std::max<std::int64_t>(long_expired_, 0));
}

}  // namespace knit
