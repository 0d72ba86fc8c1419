#include "store/conflicts.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace knit {

namespace {

bool ranks_lower(const Sibling& a, const Sibling& b) {
  return std::tie(a.stamp, a.dot.actor, a.dot.sequence) < std::tie(b.stamp, b.dot.actor, b.dot.sequence);
}

bool is_live(const Sibling& sibling, const RegisterRow& other) {
  return sibling.content != Content::cleared && !other.context().covers(sibling.dot);
}

bool is_news(const Sibling& sibling, const RegisterRow& mine) {
  const auto same = [&](const Sibling& s) { return s.dot == sibling.dot; };
  return is_live(sibling, mine) && std::none_of(mine.siblings().begin(), mine.siblings().end(), same);
}

Sibling cut(const Sibling& sibling) {
  return {sibling.dot, sibling.stamp, sibling.expiry, sibling.content,
          sibling.value.substr(0, Conflicts::value_bytes_max)};
}

}  // namespace

void Conflicts::note(std::string_view key, const RegisterRow& mine, const RegisterRow& theirs, WallTime now) {
  const Sibling* best = nullptr;  // Of ours that nothing of theirs supersedes.
  for (const Sibling& sibling : mine.siblings()) {
    if (is_live(sibling, theirs) && (best == nullptr || ranks_lower(*best, sibling))) best = &sibling;
  }
  if (best == nullptr) return;
  for (const Sibling& sibling : theirs.siblings()) {
    const bool both_deleted = best->content == Content::tombstone && sibling.content == Content::tombstone;
    if (both_deleted || !is_news(sibling, mine)) continue;
    const Sibling* winner = best;
    const Sibling* loser = &sibling;
    if (ranks_lower(*winner, *loser)) std::swap(winner, loser);
    Conflict conflict{now,
                      std::string(key.substr(0, key_bytes_max)),
                      cut(*winner),
                      cut(*loser),
                      winner->value.size(),
                      loser->value.size()};
    ++(conflict.with_delete() ? of_deletes_ : of_writes_);
    recent_.push_back(std::move(conflict));
    if (recent_.size() > recent_max) recent_.pop_front();
  }
}

}  // namespace knit
