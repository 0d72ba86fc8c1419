#include "gossip/suspicion.h"

#include <algorithm>
#include <cmath>

namespace knit {

Suspicion::Suspicion(const SuspicionOptions& options, NodeId accuser, std::size_t others, unsigned stretch,
                     Millis now)
    : start_(now),
      shortest_(options.shortest * stretch),
      longest_(shortest_ * options.longest_factor),
      needed_(std::min(options.confirmations, others)),
      accusers_{accuser},
      deadline_(start_ + lasting()) {}

bool Suspicion::confirm(NodeId accuser) {
  const bool known = std::find(accusers_.begin(), accusers_.end(), accuser) != accusers_.end();
  if (known || confirmations() >= needed_) return false;
  accusers_.push_back(accuser);
  deadline_ = start_ + lasting();
  return true;
}

// max - (max - min) * log(C + 1) / log(K + 1)
Millis Suspicion::lasting() const {
  if (confirmations() >= needed_) return shortest_;
  const double share =
      std::log(static_cast<double>(confirmations() + 1)) / std::log(static_cast<double>(needed_ + 1));
  const auto spread = static_cast<double>((longest_ - shortest_).count());
  return longest_ - Millis(static_cast<Millis::rep>(spread * share));
}

}  // namespace knit
