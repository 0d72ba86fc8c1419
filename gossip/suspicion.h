// How long a member stays suspect before it is declared dead. The longer one hears the suspicion from nobody
// else, the longer one waits: a node that is slow itself is then the only one to believe it. Source: Dadgar,
// Phillips, Currey, "Lifeguard: Local Health Awareness for More Accurate Failure Detection", 2018, section
// IV-B.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "base/types.h"

namespace knit {

struct SuspicionOptions {
  Millis shortest{1800};          // With all confirmations.
  unsigned longest_factor = 6;    // Without any: so many times the shortest.
  std::size_t confirmations = 3;  // Further accusers that shorten it all the way.
};

class Suspicion {
 public:
  // `others`: members beside this node and the suspect, who could confirm. With nobody to ask it is the
  // shortest at once. `stretch` multiplies it, at least 1: how slow this node thinks itself to be.
  Suspicion(const SuspicionOptions& options, NodeId accuser, std::size_t others, unsigned stretch,
            Millis now);

  // True if this accuser is a new one, and counts: the news is worth passing on.
  bool confirm(NodeId accuser);
  Millis deadline() const { return deadline_; }
  // For so long until now nothing could be heard. A suspicion that began since then begins now.
  void shift(Millis by, Millis now) {
    start_ = std::min(start_ + by, now);
    deadline_ = start_ + lasting();
  }

  std::size_t confirmations() const { return accusers_.size() - 1; }

 private:
  Millis lasting() const;

  Millis start_;
  Millis shortest_;
  Millis longest_;
  std::size_t needed_;
  std::vector<NodeId> accusers_;  // At most needed_ + 1.
  Millis deadline_;
};

}  // namespace knit
