// So much a second: a token bucket. What was spent beyond it is a debt, and whoever asks waits until it is
// paid: so one message may be larger than the bucket, and the average holds all the same.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "base/types.h"

namespace knit {

// A value. Times are steady ones.
class Budget {
 public:
  // What may be saved up: enough for an owner that looks a few times a second.
  static constexpr double saved_seconds_max = 0.5;

  // `per_second` 0: no limit.
  explicit Budget(std::uint64_t per_second)
      : per_second_(static_cast<double>(per_second)), left_(per_second_ * saved_seconds_max) {}

  void spend(std::uint64_t amount, Millis now) {
    left_ = left_at(now) - static_cast<double>(amount);
    at_ = std::max(at_, now);
  }

  // How long to wait; zero: go on.
  Millis wait(Millis now) const {
    const double left = left_at(now);
    if (per_second_ == 0 || left >= 0) return Millis{0};
    return std::min(Millis(static_cast<Millis::rep>(std::ceil(-left / per_second_ * 1000))), wait_max);
  }

 private:
  static constexpr Millis wait_max{3'600'000};

  double left_at(Millis now) const {
    const double earned = per_second_ * static_cast<double>(std::max(now - at_, Millis{0}).count()) / 1000;
    return std::min(left_ + earned, per_second_ * saved_seconds_max);
  }

  double per_second_;
  double left_;
  Millis at_{};
};

}  // namespace knit
