// Causal order: a round of a stream is taken only when all that its sender had seen of others is here, or is
// taken in the same turn.
//
// A round (see out_stream.h) is the least that keeps the order: within it a row may come before what its
// author had seen. Rounds of several peers may need each other, since what a peer had seen is told as of the
// reading of its rows, not of their writing: the greatest set is taken whose needs are met by what is here
// and by the set itself. What does not come is fetched by an exchange, which brings rows in no such order;
// and when the wait is over, or more is held than a peer may send without an answer, it is done without.
// What will be refused is not counted on.
#include <algorithm>
#include <map>

#include "base/fault.h"
#include "node/node.h"

namespace knit {

namespace {

constexpr int fetch_share = 4;                    // Of the wait, until an exchange is begun.
constexpr std::size_t held_bytes_max = 96 << 10;  // Less than the least window of a stream.

}  // namespace

void Node::admit(Now now, Outbox& out) {
  std::map<NodeId, std::vector<InStream::Round>> admitted;
  for (auto& [id, peer] : peers_) {
    if (peer.link && peer.incoming.busy()) admitted.emplace(id, peer.incoming.rounds(may_merge(peer)));
  }
  for (bool settled = planted(Fault::causes_ignored); !settled;) {
    Clock here = store_.clock();
    here.join(forgiven_);
    for (const auto& [id, rounds] : admitted) {
      for (const InStream::Round& round : rounds) here.join(round.brings);
    }
    settled = true;
    for (auto& [id, rounds] : admitted) {
      const auto lacks = [&](const InStream::Round& round) { return !here.covers(round.needed); };
      const auto first = std::find_if(rounds.begin(), rounds.end(), lacks);
      settled = settled && first == rounds.end();
      rounds.erase(first, rounds.end());
    }
  }
  for (const auto& [id, rounds] : admitted) {
    Peer& peer = peers_.at(id);
    for (const InStream::Round& round : rounds) peer.incoming.admit(round.batches);
    admit_late(peer, now, out);
  }
}

// What has waited too long, or is too much.
void Node::admit_late(Peer& peer, Now now, Outbox& out) {
  const auto held = peer.incoming.held();
  if (!held) return;
  const auto rounds = peer.incoming.rounds(may_merge(peer));
  const Millis waited = now.steady - held->since;
  if (waited >= options_.causal_wait || held->bytes >= held_bytes_max) {
    ++out_of_order_;
    peer.incoming.admit(rounds.empty() ? held->batches : rounds.front().batches);
    if (!rounds.empty()) forgiven_.join(rounds.front().needed);
  } else if (waited >= options_.causal_wait / fetch_share && !rounds.empty()) {
    fetch(rounds.front().needed, now, out);
  }
}

}  // namespace knit
