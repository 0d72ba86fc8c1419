// How well this node itself is doing, judged by what it should have heard in time: 0 is well. A node that is
// slow asks more slowly and is slower to accuse others.
// Source: Lifeguard (see suspicion.h), section IV-A.
#pragma once

#include <algorithm>

namespace knit {

class LocalHealth {
 public:
  explicit LocalHealth(int most) : most_(most) {}
  void change(int by) { score_ = std::clamp(score_ + by, 0, most_); }
  int score() const { return score_; }
  unsigned stretch() const { return static_cast<unsigned>(score_) + 1; }  // Of intervals and timeouts.

 private:
  int most_;
  int score_ = 0;
};

}  // namespace knit
