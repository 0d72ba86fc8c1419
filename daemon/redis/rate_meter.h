// How fast a count grows, over the last two seconds or so. Loop thread only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/types.h"

namespace knit {

class RateMeter {
 public:
  static constexpr Millis interval{100};

  // To be called often; takes a sample an interval.
  void sample(std::uint64_t count, Millis now) {
    if (taken_ > 0 && now - at(taken_ - 1).time < interval) return;
    at(taken_++) = {count, now};
  }
  // Requires: `count` and `now` are not less than those of the last sample.
  double per_second(std::uint64_t count, Millis now) const {
    if (taken_ == 0) return 0;
    const Sample& oldest = at(taken_ < samples ? 0 : taken_);
    const Millis elapsed = now - oldest.time;
    if (elapsed < interval || count < oldest.count) return 0;  // Too short a time says nothing.
    return 1000.0 * static_cast<double>(count - oldest.count) / static_cast<double>(elapsed.count());
  }
  void reset() { taken_ = 0; }

 private:
  static constexpr std::size_t samples = 16;
  struct Sample {
    std::uint64_t count{};
    Millis time{};
  };
  Sample& at(std::size_t index) { return samples_[index % samples]; }
  const Sample& at(std::size_t index) const { return samples_[index % samples]; }

  std::array<Sample, samples> samples_{};
  std::size_t taken_ = 0;
};

}  // namespace knit
