#include "crdt/stamp.h"

#include <algorithm>
#include <limits>

#include "base/fault.h"

namespace knit {

namespace {

constexpr std::uint64_t time_max = (std::uint64_t{1} << 48) - 1;

}  // namespace

Stamp Stamp::at(WallTime time) { return {std::min(time.millis, time_max) << 16}; }

Stamp Stamp::next() const { return {value == std::numeric_limits<std::uint64_t>::max() ? value : value + 1}; }

Stamp HybridClock::limit(WallTime now) const {
  const auto ahead = static_cast<std::uint64_t>(max_ahead_.count());
  return Stamp::at({now.millis > time_max ? time_max : now.millis + ahead});
}

Stamp HybridClock::issue(WallTime now, Stamp superseded) {
  const Stamp mine = std::max(Stamp::at(now), last_.next());
  last_ = mine;
  // A poisoned stamp is overtaken by this one write, but does not become our time.
  const Stamp issued = planted(Fault::stamp_below_superseded) ? mine : std::max(mine, superseded.next());
  observe(issued, now);
  return issued;
}

void HybridClock::observe(Stamp remote, WallTime now) {
  last_ = std::max(last_, planted(Fault::clock_dragged_ahead) ? remote : std::min(remote, limit(now)));
}

}  // namespace knit
