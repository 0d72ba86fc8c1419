// When this node issued which of its writes: from it follows how old the first one is that a peer lacks.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "base/types.h"

namespace knit {

// One actor's. Bounded: of old writes it knows less precisely when they were issued.
class WriteTimes {
 public:
  // Of writes up to `start` nothing is known.
  explicit WriteTimes(std::uint64_t start = 0) : start_(start) {}

  // All writes up to `sequence` were issued by now. What is told twice, or goes back, changes nothing.
  void note(std::uint64_t sequence, Now now) {
    const std::uint64_t last = samples_.empty() ? start_ : samples_.back().sequence;
    if (sequence <= last) return;
    if (!samples_.empty() && samples_.back().at.steady == now.steady) {
      samples_.back().sequence = sequence;
      return;
    }
    samples_.push_back({sequence, now});
    if (samples_.size() > samples_max) thin_out();
  }

  // About when the write after `sequence` was issued; empty if it is not known, or was not yet.
  std::optional<Now> after(std::uint64_t sequence) const {
    if (sequence < start_) return std::nullopt;
    const auto found = std::partition_point(samples_.begin(), samples_.end(),
                                            [&](const Sample& s) { return s.sequence <= sequence; });
    if (found == samples_.end()) return std::nullopt;
    return found->at;
  }

 private:
  static constexpr std::size_t samples_max = 2048;

  struct Sample {
    std::uint64_t sequence{};
    Now at;
  };
  // Of the older half every second one goes: some writes then seem younger than they are.
  void thin_out() {
    std::deque<Sample> kept;
    for (std::size_t i = 0; i < samples_.size(); ++i) {
      if (i >= samples_.size() / 2 || i % 2 == 0) kept.push_back(samples_[i]);
    }
    samples_.swap(kept);
  }

  std::uint64_t start_;
  std::deque<Sample> samples_;  // Ascending.
};

}  // namespace knit
