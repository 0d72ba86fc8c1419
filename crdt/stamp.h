// Hybrid logical clock (Kulkarni et al., "Logical Physical Clocks", 2014, section 3), packed into
// 64 bits: 48 bits of milliseconds since 1970, 16 bits of counter.
#pragma once

#include <compare>
#include <cstdint>

#include "base/types.h"

namespace knit {

// Decides between concurrent writes. Comparing the number compares time first, then the counter.
struct Stamp {
  std::uint64_t value{};
  auto operator<=>(const Stamp&) const = default;

  static Stamp at(WallTime time);  // Counter 0; times past 48 bits give the greatest one.
  WallTime time() const { return {value >> 16}; }
  Stamp next() const;  // Stays at the maximum when it is there: a peer may send us any number.
};

// Issues this node's stamps. Not thread safe; time enters only as an argument.
class HybridClock {
 public:
  explicit HybridClock(Millis max_ahead, Stamp last = {}) : max_ahead_(max_ahead), last_(last) {}

  // A stamp greater than `superseded`, and than every stamp issued before that no poisoned stamp
  // (beyond max_ahead) had pushed up. Total at the maximum.
  Stamp issue(WallTime now, Stamp superseded);

  // Lets a remote stamp move this clock, by at most `max_ahead` before `now`: a peer whose clock
  // runs far ahead must not drag ours with it.
  void observe(Stamp remote, WallTime now);

  Stamp last() const { return last_; }

 private:
  Stamp limit(WallTime now) const;

  Millis max_ahead_;
  Stamp last_;
};

}  // namespace knit
