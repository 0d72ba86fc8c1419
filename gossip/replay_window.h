// Which counters of one sender's packets were seen: the highest, and a bitmap of those right below it.
// Each counter is taken once; what lies too far below cannot be told from a replay and is not taken.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace knit {

// A pure value.
class ReplayWindow {
 public:
  static constexpr std::uint64_t width = 1024;

  // As if `highest` and all below it had been seen.
  explicit ReplayWindow(std::uint64_t highest) : highest_(highest) { seen_.fill(~std::uint64_t{0}); }

  // Whether `counter` is new, and then marks it as seen.
  bool take(std::uint64_t counter);

 private:
  void advance(std::uint64_t counter);
  std::uint64_t& word(std::uint64_t counter) { return seen_[counter / 64 % seen_.size()]; }

  std::uint64_t highest_;
  std::array<std::uint64_t, width / 64> seen_;  // A ring of bits: that of a counter is counter % width.
};

}  // namespace knit
