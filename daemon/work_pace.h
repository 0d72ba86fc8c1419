// How much of the loop's time background work takes: sessions, the building of the tree, sweeps,
// verifications.
//
// It comes in slices, one a turn of the loop, so what a client asks waits for one slice at most. While the
// loop has little else to do every turn has one. The busier it is with clients and peers, the longer
// background work rests after each slice; it never gets less than a fifth of the time, so it always comes to
// its end.
#pragma once

#include <algorithm>
#include <chrono>

#include "base/types.h"

namespace knit {

// A value. Times are steady ones; "busy" is processor time of the loop's thread.
class WorkPace {
 public:
  using Nanos = std::chrono::nanoseconds;

  static constexpr Nanos slice = std::chrono::microseconds(400);
  // Measured anew this often.
  static constexpr Nanos window = std::chrono::milliseconds(250);
  static constexpr double least_share = 0.2;  // Of the time, from half of it busy on.
  static constexpr double free_load = 0.1;    // Up to here there is no rest.

  // A slice ended, and took so long.
  void on_worked(Nanos now, Nanos took) {
    worked_ += took;
    next_ = now + Nanos(static_cast<Nanos::rep>(static_cast<double>(took.count()) * (1 / share_ - 1)));
  }

  // The thread has been busy for so long since it began, with whatever.
  void on_busy(Nanos now, Nanos busy) {
    if (now - measured_ < window) return;
    const Nanos others = std::max(busy - busy_ - worked_, Nanos{0});
    const double load = static_cast<double>(others.count()) / static_cast<double>((now - measured_).count());
    share_ = std::clamp(1 - 2 * (load - free_load), least_share, 1.0);
    measured_ = now;
    busy_ = busy;
    worked_ = {};
  }

  // How long to wait still, up to whole milliseconds; zero: work.
  Millis wait(Nanos now) const { return std::chrono::ceil<Millis>(std::max(next_ - now, Nanos{0})); }

  double share() const { return share_; }

 private:
  double share_ = 1;
  Nanos next_{};
  Nanos measured_{};
  Nanos busy_{};    // When it was measured;
  Nanos worked_{};  // since then, in slices.
};

}  // namespace knit
