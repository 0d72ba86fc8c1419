// What lies behind all members: up to a line, nothing will be written or changed any more by who does not
// know all of it.
#pragma once

#include <algorithm>

#include "base/types.h"
#include "crdt/clock.h"

namespace knit {

// A fact, so lines may be joined. Two things at once:
//  - all members have all dots of `clock`, which has no gaps;
//  - what expires at `expired` or before has expired for good: no member puts it off any more, and what
//  members
//    did put off all of them have.
struct Line {
  Clock clock;
  WallTime expired;

  bool operator==(const Line&) const = default;
  bool empty() const { return clock.empty(); }
  bool covers(const Line& other) const { return clock.covers(other.clock) && expired >= other.expired; }
  void join(const Line& other) {
    clock.join(other.clock);
    expired = std::max(expired, other.expired);
  }
  // What two members say, or both of two lines.
  static Line common(const Line& a, const Line& b) {
    return {Clock::common_bases(a.clock, b.clock), std::min(a.expired, b.expired)};
  }
};

}  // namespace knit
