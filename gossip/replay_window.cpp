#include "gossip/replay_window.h"

namespace knit {

bool ReplayWindow::take(std::uint64_t counter) {
  if (counter > highest_) advance(counter);
  if (highest_ - counter >= width) return false;
  const std::uint64_t bit = std::uint64_t{1} << (counter % 64);
  if ((word(counter) & bit) != 0) return false;
  word(counter) |= bit;
  return true;
}

// The places of the counters in between become theirs.
void ReplayWindow::advance(std::uint64_t counter) {
  if (counter - highest_ >= width) {
    seen_.fill(0);
    highest_ = counter;
  }
  while (highest_ < counter) {
    ++highest_;
    word(highest_) &= ~(std::uint64_t{1} << (highest_ % 64));
  }
}

}  // namespace knit
