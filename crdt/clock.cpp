#include "crdt/clock.h"

#include <algorithm>
#include <limits>

namespace knit {

namespace {

bool ends_before(const Clock::Range& range, std::uint64_t sequence) { return range.last < sequence; }

}  // namespace

bool Clock::covers(Dot dot) const {
  const auto found = entries_.find(dot.actor);
  if (found == entries_.end() || dot.sequence == 0) return dot.sequence == 0;
  const Entry& entry = found->second;
  if (dot.sequence <= entry.base) return true;
  const auto range = std::lower_bound(entry.above.begin(), entry.above.end(), dot.sequence, ends_before);
  return range != entry.above.end() && range->first <= dot.sequence;
}

namespace {

// Calls visit(first, last) for each run of dots of an entry.
template <class Visit>
void each_run(const Clock::Entry& entry, Visit visit) {
  if (entry.base > 0) visit(Clock::Range{1, entry.base});
  for (const Clock::Range range : entry.above) visit(range);
}

// How many of the dots of `range` are in `entry`.
std::uint64_t common(const Clock::Entry& entry, Clock::Range range) {
  std::uint64_t sum = 0;
  each_run(entry, [&](Clock::Range run) {
    const std::uint64_t first = std::max(run.first, range.first);
    const std::uint64_t last = std::min(run.last, range.last);
    if (first <= last) sum += last - first + 1;
  });
  return sum;
}

std::uint64_t lacking(const Clock::Entry& mine, const Clock::Entry& theirs) {
  if (mine.above.empty() && theirs.above.empty())
    return theirs.base > mine.base ? theirs.base - mine.base : 0;
  std::uint64_t sum = 0;
  each_run(theirs, [&](Clock::Range run) { sum += run.last - run.first + 1 - common(mine, run); });
  return sum;
}

}  // namespace

bool Clock::covers(const Clock& other) const {
  return std::all_of(other.entries_.begin(), other.entries_.end(),
                     [&](const auto& entry) { return covers(other, entry.first); });
}

bool Clock::covers(const Clock& other, ActorId actor) const {
  const auto theirs = other.entries_.find(actor);
  if (theirs == other.entries_.end()) return true;
  const auto mine = entries_.find(actor);
  return lacking(mine == entries_.end() ? Entry{} : mine->second, theirs->second) == 0;
}

std::uint64_t Clock::lacks(const Clock& other) const {
  std::uint64_t sum = 0;
  for (const auto& [actor, theirs] : other.entries_) {
    const auto mine = entries_.find(actor);
    const std::uint64_t more = lacking(mine == entries_.end() ? Entry{} : mine->second, theirs);
    sum += std::min(more, std::numeric_limits<std::uint64_t>::max() - sum);
  }
  return sum;
}

std::uint64_t Clock::base(ActorId actor) const {
  const auto found = entries_.find(actor);
  return found == entries_.end() ? 0 : found->second.base;
}

std::uint64_t Clock::highest(ActorId actor) const {
  const auto found = entries_.find(actor);
  if (found == entries_.end()) return 0;
  return found->second.above.empty() ? found->second.base : found->second.above.back().last;
}

void Clock::add(Dot dot) {
  if (dot.sequence != 0) add_range(entries_[dot.actor], {dot.sequence, dot.sequence});
}

void Clock::add(ActorId actor, Range range) { add_range(entries_[actor], range); }

void Clock::replace(ActorId actor, const Clock& from) {
  const auto found = from.entries_.find(actor);
  if (found == from.entries_.end()) {
    entries_.erase(actor);
  } else {
    entries_[actor] = found->second;
  }
}

void Clock::join(const Clock& other) {
  for (const auto& [actor, entry] : other.entries_) {
    Entry& mine = entries_[actor];
    if (entry.base > 0) add_range(mine, {1, entry.base});
    for (const Range range : entry.above) add_range(mine, range);
  }
}

void Clock::truncate(ActorId actor, std::uint64_t sequence) {
  const auto found = entries_.find(actor);
  if (found == entries_.end()) return;
  Entry& entry = found->second;
  entry.base = std::min(entry.base, sequence);
  std::erase_if(entry.above, [&](Range range) { return range.first > sequence; });
  if (!entry.above.empty()) entry.above.back().last = std::min(entry.above.back().last, sequence);
  if (entry == Entry{}) entries_.erase(found);
}

Clock Clock::common_bases(const Clock& a, const Clock& b) {
  Clock common;
  for (const auto& [actor, entry] : a.entries_) {
    const std::uint64_t base = std::min(entry.base, b.base(actor));
    if (base > 0) common.entries_[actor].base = base;
  }
  return common;
}

// Unites `range` with all that it overlaps or touches, then lets the base swallow what it reaches.
void Clock::add_range(Entry& entry, Range range) {
  if (range.last <= entry.base) return;
  const auto follows = [](std::uint64_t end, std::uint64_t start) {
    return end == std::numeric_limits<std::uint64_t>::max() || start <= end + 1;
  };
  if (follows(entry.base, range.first)) {
    entry.base = range.last;
  } else {
    // The first range that reaches to `range` or lies behind it. Not at 0: that would follow the base.
    auto place = std::lower_bound(entry.above.begin(), entry.above.end(), range.first - 1, ends_before);
    while (place != entry.above.end() && follows(range.last, place->first)) {
      range = {std::min(range.first, place->first), std::max(range.last, place->last)};
      place = entry.above.erase(place);
    }
    entry.above.insert(place, range);
  }
  while (!entry.above.empty() && follows(entry.base, entry.above.front().first)) {
    entry.base = std::max(entry.base, entry.above.front().last);
    entry.above.erase(entry.above.begin());
  }
}

void Clock::encode(ByteWriter& out) const {
  out.varint(entries_.size());
  for (const auto& [actor, entry] : entries_) {
    out.u64(actor.value);
    out.varint(entry.base);
    out.varint(entry.above.size());
    std::uint64_t previous = entry.base;
    for (const Range range : entry.above) {  // Distances, so that gaps cost few bytes.
      out.varint(range.first - previous);
      out.varint(range.last - range.first);
      previous = range.last;
    }
  }
}

Clock Clock::decode(ByteReader& in) {
  Clock clock;
  std::size_t all_ranges = 0;
  const std::size_t actors = in.count(10, actors_max);
  for (std::size_t i = 0; i < actors && in.ok(); ++i) {
    const ActorId actor{in.u64()};
    if (!clock.entries_.empty() && !(clock.entries_.rbegin()->first < actor)) in.fail();
    Entry& entry = clock.entries_[actor];
    entry.base = in.varint();
    const std::size_t ranges = in.count(2, ranges_max - all_ranges);
    all_ranges += ranges;
    if (entry.base == 0 && ranges == 0) in.fail();
    std::uint64_t previous = entry.base;
    for (std::size_t r = 0; r < ranges && in.ok(); ++r) {
      const std::uint64_t distance = in.varint();
      const std::uint64_t length = in.varint();
      const std::uint64_t room = std::numeric_limits<std::uint64_t>::max() - previous;
      if (distance < 2 || distance > room || length > room - distance) in.fail();
      const Range range{previous + distance, previous + distance + length};
      entry.above.push_back(range);
      previous = range.last;
    }
  }
  return in.ok() ? clock : Clock{};
}

std::size_t Clock::ranges() const {
  std::size_t ranges = 0;
  for (const auto& [actor, entry] : entries_) ranges += entry.above.size();
  return ranges;
}

bool Clock::within_limits() const { return entries_.size() <= actors_max && ranges() <= ranges_max; }
bool Clock::has_room() const { return entries_.size() < actors_max && ranges() < ranges_max; }

std::uint64_t Clock::digest(const HashKey& key) const {
  std::string bytes;
  ByteWriter writer(bytes);
  encode(writer);
  return siphash64(bytes, key);
}

}  // namespace knit
