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
  const auto entry = seconds_.try_emplace(second, 0).first;
  entry->second += by;
  if (entry->second == 0) seconds_.erase(entry);
  for (Before* before : {&existing_, &expired_}) {
    if (second < before->second) before->keys += by;
  }
}

std::int64_t KeyCensus::move(Before& before, WallTime to) const {
  const std::uint64_t second = to.millis / 1000;
  const auto [first, last] = std::minmax(before.second, second);
  const std::int64_t sign = second > before.second ? 1 : -1;
  for (auto entry = seconds_.lower_bound(first); entry != seconds_.end() && entry->first < last; ++entry)
    before.keys += sign * entry->second;
  before.second = second;
  return before.keys;
}

std::uint64_t KeyCensus::stored() const {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(keys_, 0));
}

std::uint64_t KeyCensus::existing(WallTime now) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(keys_ - move(existing_, now), 0));
}

std::uint64_t KeyCensus::expired(WallTime then) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(move(expired_, then), 0));
}

bool KeyCensus::any_expired(WallTime then) const {
  return !seconds_.empty() && seconds_.begin()->first < then.millis / 1000;
}

}  // namespace knit
