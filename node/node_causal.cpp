// Causal order: a batch of a stream is taken only when all that its sender had seen when it read the rows is
// here, or is taken in the same turn.
//
// Its rows show no more than that, but may show what comes in a later batch, of this peer or of another one:
// the greatest set is taken whose needs are met by what is here and by the set itself. What does not come is
// fetched by an exchange, which brings rows in no such order; and when the wait is over, or more is held than
// a peer may send without an answer, it is done without. What will be refused is not counted on.
#include <algorithm>
#include <map>

#include "base/fault.h"
#include "node/node.h"

namespace knit {

namespace {

constexpr int fetch_share = 4;  // Of the wait, until an exchange is begun.
// Less than half of the least window of a stream, for which bytes count as they are and as they travel.
constexpr std::size_t held_bytes_max = 48 << 10;

}  // namespace

void Node::admit(Now now, Outbox& out) {
  do {
    admit_ordered();
  } while (admit_late(now, out));
}

void Node::admit_ordered() {
  std::map<NodeId, std::vector<InStream::Unadmitted>> admitted;
  for (auto& [id, peer] : peers_) {
    if (peer.link && peer.incoming.busy()) admitted.emplace(id, peer.incoming.unadmitted(may_merge(peer)));
  }
  for (bool settled = planted(Fault::causes_ignored); !settled;) {
    Clock here = store_.clock();
    here.join(forgiven_);
    for (const auto& [id, batches] : admitted) {
      for (const InStream::Unadmitted& batch : batches) here.join(batch.brings);
    }
    settled = true;
    for (auto& [id, batches] : admitted) {
      const auto lacks = [&](const InStream::Unadmitted& batch) { return !here.covers(batch.needed); };
      const auto first = std::find_if(batches.begin(), batches.end(), lacks);
      settled = settled && first == batches.end();
      batches.erase(first, batches.end());
    }
  }
  for (const auto& [id, batches] : admitted) peers_.at(id).incoming.admit(batches.size());
}

// What has waited too long, or is too much, is not waited for any more. False: there is nothing of that kind.
bool Node::admit_late(Now now, Outbox& out) {
  bool forgave = false;
  for (auto& [id, peer] : peers_) {
    const auto held = peer.incoming.held();
    if (!held) continue;
    const Clock needed = peer.incoming.unadmitted(may_merge(peer)).front().needed;
    const Millis waited = now.steady - held->since;
    if (waited >= options_.causal_wait || held->bytes >= held_bytes_max || held->too_much) {
      ++out_of_order_;
      forgiven_.join(needed);
      forgave = true;
    } else if (waited >= options_.causal_wait / fetch_share) {
      fetch(needed, now, out);
    }
  }
  return forgave;
}

}  // namespace knit
