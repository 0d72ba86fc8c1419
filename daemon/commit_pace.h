// When the committer's next batch begins.
//
// At rest what is written shall lie in the ordered store within milliseconds: it begins at once. Under load
// batches shall grow: a row costs the less the more of them are written together, in order, and what is
// overwritten meanwhile costs nothing. So the committer rests four times as long as it worked, five
// seconds at most.
#pragma once

#include <algorithm>
#include <cstddef>

#include "base/types.h"

namespace knit {

// A value. Times are steady ones.
class CommitPace {
 public:
  static constexpr Millis rest_max{5000};
  static constexpr int rest_factor = 4;

  // `bytes_max`: of what may be pending. Above half of it there is no rest.
  explicit CommitPace(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  void on_started(Millis now) { started_ = now; }
  void on_ended(Millis now) { next_ = now + std::min((now - started_) * rest_factor, rest_max); }

  // How long to wait still; zero: begin.
  Millis wait(Millis now, std::size_t pending_bytes) const {
    return pending_bytes > bytes_max_ / 2 ? Millis{0} : std::max(next_ - now, Millis{0});
  }

 private:
  std::size_t bytes_max_;
  Millis started_{};
  Millis next_{};
};

}  // namespace knit
