// What all members have, and who must rejoin: the node's side of store/store_purge.cpp.
//
// The floor rises over what members have told of their clocks. A clock counts only once all rows that its
// owner sent before it told that clock are through here: then no row can come in that was read by somebody
// who lacked what lies below the floor. A member that is down, or was never heard, holds the floor.
#include <algorithm>

#include "base/fault.h"
#include "node/node.h"

namespace knit {

// Every other member; null if it was never met.
void Node::visit_members(FunctionRef<void(const Peer*)> visit) const {
  if (swim_) {
    swim_->members().visit([&](const Member& member) {
      const bool belongs = member.is_present() || member.state == MemberState::dead;
      if (belongs && member.id != store_.identity().node && !peers_.contains(member.id)) visit(nullptr);
    });
  }
  for (const auto& [id, peer] : peers_) {
    if (peer.link || is_member(peer)) visit(&peer);
  }
}

void Node::hear_clock(Peer& peer, const Status& status) {
  Heard heard{peer.stream.peer_clock(), status.batches, status.turns};
  const bool waits = peer.heard && !is_through(peer, heard);
  if (!waits) peer.heard_last.reset();
  (waits ? peer.heard_last : peer.heard) = std::move(heard);
  settle_heard(peer);
}

bool Node::is_through(const Peer& peer, const Heard& heard) const {
  const bool at_work = peer.session && peer.session->exchange->busy();
  const std::uint64_t turns = peer.turns_received - (at_work ? 1 : 0);
  return peer.batches_taken >= heard.batches && turns >= heard.turns;
}

// With a message that is being written: its rows may have been read already.
std::uint64_t Node::turns_begun(const Peer& peer) const {
  const bool at_work = peer.session && peer.session->exchange->busy();
  return peer.turns_sent + (at_work ? 1 : 0);
}

void Node::settle_heard(Peer& peer) {
  while (peer.heard) {
    if (!is_through(peer, *peer.heard) && !planted(Fault::clock_before_its_rows)) return;
    peer.has = std::move(peer.heard->clock);
    peer.heard = std::exchange(peer.heard_last, std::nullopt);
  }
}

// The link is gone, and with it all that was under way.
void Node::end_hearing(Peer& peer) const {
  if (peer.heard) peer.has = std::move(peer.heard->clock);
  if (peer.heard_last) peer.has = std::move(peer.heard_last->clock);
  peer.heard.reset();
  peer.heard_last.reset();
  peer.batches_sent = peer.turns_sent = peer.batches_taken = peer.turns_received = 0;
  peer.fenced_me = peer.fenced = false;
}

// Empty if it is not known of every member.
std::optional<Clock> Node::common_to_members(Clock mine, FunctionRef<const Clock*(const Peer&)> of) const {
  const bool unmet = !swim_ && !std::all_of(options_.peers.begin(), options_.peers.end(),
                                            [this](const std::string& peer) { return was_met(peer); });
  bool known = !unmet && (!met_nobody_ || is_alone());
  Clock common = Clock::common_bases(mine, mine);
  visit_members([&](const Peer* peer) {
    if (planted(Fault::floor_without_the_down) && (peer == nullptr || !peer->link)) return;
    const Clock* theirs = peer == nullptr ? nullptr : of(*peer);
    known = known && theirs != nullptr;
    if (known) common = Clock::common_bases(common, *theirs);
  });
  return known ? std::optional(common) : std::nullopt;
}

// A floor that others know of is one, too, for whoever has it and whose peers have it.
bool Node::may_adopt(const Clock& floor) const {
  bool may = store_.clock().covers(floor);
  visit_members([&](const Peer* peer) {
    if (peer != nullptr && (peer->link || peer->has)) may = may && peer->has && peer->has->covers(floor);
  });
  return may;
}

void Node::raise_floor() {
  for (auto& [id, peer] : peers_) settle_heard(peer);
  Clock floor = common_to_members(store_.clock(), [](const Peer& peer) {
                  return peer.has ? &*peer.has : nullptr;
                }).value_or(Clock{});
  for (const auto& [id, peer] : peers_) {
    if (peer.floor && !store_.floor().covers(*peer.floor) && may_adopt(*peer.floor)) floor.join(*peer.floor);
  }
  if (auto raised = store_.raise_floor(floor); !raised) return;
  const auto known =
      common_to_members(store_.floor(), [](const Peer& peer) { return peer.floor ? &*peer.floor : nullptr; });
  if (known) store_.purge_to(planted(Fault::purged_at_floor) ? store_.floor() : *known);
  for (const auto& [id, peer] : peers_) {
    if (store_.floor().covers(peer.purged)) store_.purge_to(peer.purged);
  }
}

namespace {

// Damage may have taken from a clock what lies below its floor.
Clock common_part(const Clock& clock, const Clock& floor) {
  Clock part = clock;
  for (const auto& [actor, entry] : clock.entries()) part.truncate(actor, floor.base(actor));
  return part;
}

// Lacks what the other has, and says that all have.
bool lies_below(const Clock& clock, const Clock& others_clock, const Clock& others_floor) {
  return !clock.covers(others_floor) && !clock.covers(common_part(others_clock, others_floor));
}

}  // namespace

bool Node::am_below(const Peer& peer) const {
  return peer.floor && lies_below(store_.clock(), peer.stream.peer_clock(), *peer.floor);
}

bool Node::is_below(const Peer& peer) const {
  return lies_below(peer.stream.peer_clock(), store_.clock(), store_.floor());
}

// Whether streams may run, which only add to clocks that cover the floors.
bool Node::may_stream(const Peer& peer) const {
  return planted(Fault::merged_from_below) || (!am_below(peer) && !is_below(peer));
}

// Who lies below the floor of the other drops what was purged there, before any row goes to and fro.
bool Node::may_repair(const Peer& peer) const {
  const bool i_may = !am_below(peer) || peer.fenced_me;
  const bool it_may = !is_below(peer) || peer.fenced;
  return planted(Fault::merged_from_below) || (i_may && it_may);
}

// What a session with this peer is to do. Empty: the peer must rejoin first.
std::optional<ExchangeMode> Node::mode_with(const Peer& peer, bool only_compare) const {
  if (only_compare) return ExchangeMode::compare;
  if (may_repair(peer)) return ExchangeMode::repair;
  return am_below(peer) && !peer.fenced_me ? std::optional(ExchangeMode::fence) : std::nullopt;
}

// What the peer does not show of this was superseded.
Clock Node::fence_of(const Peer& peer) const { return common_part(peer.stream.peer_clock(), *peer.floor); }

ExchangeOptions Node::session_options(const Peer& peer) const {
  ExchangeOptions options;
  options.peer_purged = peer.purged;
  options.peer_is_below = is_below(peer);
  return options;
}

}  // namespace knit
