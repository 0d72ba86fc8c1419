// What all members have, and who must rejoin: the node's side of store/store_purge.cpp.
//
// The floor rises over what members have told of their clocks. A clock counts only once all rows that its
// owner sent before it told that clock are through here: then no row can come in that was read by somebody
// who lacked what lies below the floor. A member that is down, or was never heard, holds the floor.
#include <algorithm>
#include <utility>

#include "base/fault.h"
#include "node/node.h"

namespace knit {

namespace {

constexpr int guard_statuses = 8;  // So long at least a rejoin may stand still.
constexpr int gap_statuses = 5;    // So long nothing more of a lost write must turn up.

}  // namespace

// Every other member; null if it was never met.
void Node::visit_members(FunctionRef<void(const Peer*)> visit) const {
  if (swim_) {
    swim_->members().visit([&](const Member& member) {
      if (member.belongs() && member.id != store_.identity().node && !peers_.contains(member.id))
        visit(nullptr);
    });
  }
  for (const auto& [id, peer] : peers_) {
    if (peer.link || is_member(peer)) visit(&peer);
  }
}

void Node::hear_clock(Peer& peer, const Status& status) {
  peer.line.hear({peer.stream.peer_clock(), status.expired}, {status.batches, status.turns, status.rows},
                 rows_through(peer));
}

bool Node::is_at_work(const Peer& peer) { return peer.session && peer.session->exchange->busy(); }

// With a message that is being written: its rows may have been read already.
RowMessages Node::rows_begun(const Peer& peer) {
  RowMessages begun = peer.sent;
  if (is_at_work(peer)) ++begun.turns;
  return begun;
}

// Without a message that is being taken.
RowMessages Node::rows_through(const Peer& peer) {
  RowMessages through = peer.taken;
  if (is_at_work(peer)) --through.turns;
  return through;
}

// Whether all whom visit_members() visits are all there are.
bool Node::knows_members() const {
  const bool unmet = !swim_ && !std::all_of(options_.peers.begin(), options_.peers.end(),
                                            [this](const std::string& peer) { return was_met(peer); });
  return !unmet && (has_met_somebody() || is_alone());
}

// Empty if it is not known of every member.
std::optional<Line> Node::common_to_members(const Line& mine,
                                            FunctionRef<const Line*(const Peer&)> of) const {
  bool known = knows_members();
  Line common = Line::common(mine, mine);
  visit_members([&](const Peer* peer) {
    if (planted(Fault::floor_without_the_down) && (peer == nullptr || !peer->link)) return;
    const Line* theirs = peer == nullptr ? nullptr : of(*peer);
    known = known && theirs != nullptr;
    if (known) common = Line::common(common, *theirs);
  });
  return known ? std::optional(common) : std::nullopt;
}

// A floor that others know of is one, too, for whoever has it and whose peers have it.
bool Node::may_adopt(const Clock& floor) const {
  bool may = store_.clock().covers(floor);
  visit_members([&](const Peer* peer) {
    if (peer == nullptr) return;
    const Line* has = peer->line.known();
    if (peer->link || has != nullptr)
      may = may && has != nullptr && (!peer->link || peer->shown) && has->clock.covers(floor);
  });
  return may;
}

void Node::raise_floor(Now now) {
  for (auto& [id, peer] : peers_) peer.line.settle(rows_through(peer));
  // Who has just come has to tell what it has now.
  const auto clock_of = [](const Peer& peer) {
    const bool stale = peer.link && !peer.shown;
    return stale ? nullptr : peer.line.known();
  };
  const auto common = common_to_members({store_.clock(), expired_}, clock_of);
  // What damage took from this node may come back as an older copy: before it is healed it lets nobody purge
  // more than they have.
  const bool is_whole = !store_.has_damage();
  Line floor;
  if (common && is_whole) floor.clock = common->clock;
  if (agree_on_expiry() && is_whole) floor.expired = agreement_->expired;
  for (auto& [id, peer] : peers_) {
    const bool rejoined = !peer.guard.empty() && store_.clock().covers(peer.guard);
    if (rejoined && !is_fencing(peer)) end_guard(peer);
  }
  for (const auto& [id, peer] : peers_) {
    if (!peer.floor) continue;
    const Line& told = is_whole ? *peer.floor : peer.purged;
    if (store_.floor().covers(told) || !may_adopt(told.clock)) continue;
    // This node has not promised what its own clock has not come to: somebody is wrong.
    const bool may_be = told.expired <= now.wall;
    floor.join({told.clock, may_be ? told.expired : WallTime{}});
  }
  if (auto raised = store_.raise_floor(floor); !raised) return;
  const auto known =
      common_to_members(store_.floor(), [](const Peer& peer) { return peer.floor ? &*peer.floor : nullptr; });
  if (known) store_.purge_to(planted(Fault::purged_at_floor) ? store_.floor() : *known);
  for (const auto& [id, peer] : peers_) {
    if (store_.floor().covers(peer.purged)) store_.purge_to(peer.purged);
  }
  hold_purge();
  for (auto& [id, peer] : peers_) hasten_lines(peer);
}

bool Node::nobody_has_more(ActorId actor) const {
  bool nobody = knows_members();
  visit_members([&](const Peer* peer) {
    const bool told = peer != nullptr && peer->link && peer->shown;
    nobody = nobody && told && store_.clock().covers(peer->stream.peer_clock(), actor);
  });
  return nobody || planted(Fault::gap_given_up_alone);
}

// What a damaged journal has lost of this node's writes, and no member has, is nowhere; so is what all
// members had once, and none has now. The clock then covers it, or no floor would ever rise above. (A message
// from one member to another might still bring it: not if nothing has changed for a while.)
void Node::give_up_gaps(Now now, Outbox& out) {
  Clock filled;
  for (const ActorId actor : store_.identity().retired) {
    const std::uint64_t highest = store_.clock().highest(actor);
    if (store_.clock().base(actor) < highest && nobody_has_more(actor)) filled.add(actor, {1, highest});
  }
  for (const auto& [actor, entry] : store_.floor().clock.entries()) {
    const bool lost = store_.clock().base(actor) < entry.base && nobody_has_more(actor);
    if (lost) filled.add(actor, {1, entry.base});
  }
  if (filled != gaps_) {
    gaps_ = std::move(filled);
    gaps_since_ = now.steady;
  }
  if (gaps_.empty() || store_.has_damage() ||
      now.steady < gaps_since_ + gap_statuses * options_.status_interval)
    return;
  const std::uint64_t lost = store_.clock().lacks(gaps_);
  if (auto joined = store_.join_clock(gaps_, now.wall); !joined) return;
  out.push_back(Notice{Notice::Level::warning, "the damage to the journal has cost " + std::to_string(lost) +
                                                   " writes: no member has them"});
}

// What is purged must be known before rows can be compared.
void Node::hasten_lines(Peer& peer) const {
  if (!peer.told) return;
  const Told& told = *peer.told;
  if (told.floor != store_.floor() || told.purged != store_.purged() || told.expired != expired_ ||
      told.passes != store_.passes())
    hasten_status(peer);
}

// Whoever rejoins must still find here what superseded its rows.
void Node::hold_purge() {
  store_.hold_purge(std::any_of(peers_.begin(), peers_.end(), [this](const auto& entry) {
    const Peer& peer = entry.second;
    return peer.link && (!peer.shown || is_below(peer));
  }));
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
  return peer.floor && lies_below(store_.clock(), peer.stream.peer_clock(), peer.floor->clock);
}

bool Node::is_below(const Peer& peer) const {
  const Clock& theirs = peer.stream.peer_clock();
  return lies_below(theirs, store_.clock(), store_.floor().clock) || !theirs.covers(guard_);
}

// From the moment when this node begins to drop what a peer has purged until it has that peer's clock, nobody
// who lacks what lies below that peer's floor may bring it back.
void Node::guard(Peer& peer, Now now, Outbox& out) {
  if (planted(Fault::rejoined_without_guard)) return;
  if (peer.guard.empty()) peer.guard_to = now.steady + draw_patience();
  peer.guard.join(fence_of(peer));
  guard_.join(peer.guard);
  for (auto& [id, other] : peers_) {
    if (other.session && is_below(other))
      fail_session(other, {ErrorCode::refused, "this node rejoins"}, now, out);
  }
  share_floor(peer);
}

// Of what this node has of the floor of a peer through which it rejoins it may drop what superseded others:
// nobody may take it for equal who lacks that, whatever becomes of the rejoin.
void Node::share_floor(const Peer& peer) {
  if (!peer.guard.empty())
    (void)store_.raise_floor({Clock::common_bases(peer.floor->clock, store_.clock()), {}});
}

bool Node::is_fencing(const Peer& peer) {
  return peer.session && peer.session->initiated && peer.session->exchange->mode() == ExchangeMode::fence;
}

// What was dropped may have been here when others fenced, also where the floor was as high before.
void Node::end_guard(Peer& peer) {
  if (!peer.guard.empty()) store_.renumber_floor();
  lift_guard(peer);
}

void Node::lift_guard(Peer& peer) {
  peer.guard = {};
  guard_ = {};
  for (const auto& [id, other] : peers_) guard_.join(other.guard);
}

Millis Node::draw_patience() {
  return (guard_statuses + random() % guard_statuses) * options_.status_interval;
}

// Of four or more that lie below each other each may wait for another one, in a ring. Whoever gives up first
// drops what its peer has purged once more, later.
void Node::give_up_guards(Now now) {
  for (auto& [id, peer] : peers_) {
    if (peer.guard.empty() || peer.session || now.steady < peer.guard_to) continue;
    end_guard(peer);
    peer.i_fenced_at = 0;
  }
}

// Whether streams may run, which only add to clocks that cover the floors.
bool Node::may_stream(const Peer& peer) const {
  return planted(Fault::merged_from_below) || (!am_below(peer) && !is_below(peer));
}

// A fence holds for the floor by which rows were dropped. Above it the peer may have dropped what is still
// here.
bool Node::i_fenced(const Peer& peer) const {
  return peer.i_fenced_at != 0 && peer.i_fenced_at == peer.floor_number;
}
bool Node::it_fenced(const Peer& peer) const { return peer.it_fenced_at == store_.floor_number(); }

// Who lies below the floor of the other drops what was purged there, before any row goes to and fro.
bool Node::may_repair(const Peer& peer) const {
  const bool i_may = !am_below(peer) || i_fenced(peer);
  const bool it_may = !is_below(peer) || (it_fenced(peer) && peer.stream.peer_clock().covers(guard_));
  return planted(Fault::merged_from_below) || (i_may && it_may);
}

// What a session with this peer is to do. Empty: somebody must rejoin first. Of two that lie below each other
// the one with the lower id begins: three would wait for each other in a ring. A node that rejoins already
// does so through another peer, too, if that one has what it guards (the first may be damaged, and not pass
// on its clock); against two that lie below each other it could never guard.
std::optional<ExchangeMode> Node::mode_with(const Peer& peer, bool only_compare) const {
  if (only_compare) return ExchangeMode::compare;
  if (may_repair(peer)) return ExchangeMode::repair;
  const bool mine_to_begin = !is_below(peer) || it_fenced(peer) || store_.identity().node < peer.hello.node;
  const bool fences =
      am_below(peer) && !i_fenced(peer) && mine_to_begin && peer.stream.peer_clock().covers(guard_);
  return fences ? std::optional(ExchangeMode::fence) : std::nullopt;
}

// What the peer does not show of this was superseded.
Clock Node::fence_of(const Peer& peer) const {
  return common_part(peer.stream.peer_clock(), peer.floor->clock);
}

ExchangeOptions Node::session_options(const Peer& peer, Now now) const {
  ExchangeOptions options;
  options.peer_purged = {peer.purged.clock, std::min(peer.purged.expired, now.wall)};
  options.peer_is_below = is_below(peer);
  return options;
}

}  // namespace knit
