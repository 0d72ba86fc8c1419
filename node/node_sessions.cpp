// What clients ask of all copies: which writes are where, and what must be here before somebody may read.
#include <algorithm>
#include <string>

#include "base/bytes.h"
#include "base/fault.h"
#include "base/hash.h"
#include "node/node.h"

namespace knit {

namespace {

// All of 1 to the highest of each actor: who has seen a row above a gap waits for the gap as well.
Clock without_gaps(const Clock& clock) {
  Clock out;
  for (const auto& [actor, entry] : clock.entries()) out.add(actor, {1, clock.highest(actor)});
  return out;
}

}  // namespace

// With a clear that this node shows before its clock has come to its dot; unless nobody has come to that, and
// the writer is gone.
Clock Node::seen() const {
  Clock seen = store_.clock();
  if (seen.covers(store_.clear())) return seen;
  Clock known = seen;
  visit_members([&](const Peer* peer) {
    if (peer != nullptr) known.join(peer->stream.peer_clock());
  });
  seen.join(Clock::common_bases(store_.clear(), known));
  return seen;
}

// A member whose clock was not heard since our start may lack anything. So may those that come when this node
// is left alone: from whomever it has forgotten they get what they have.
Clock Node::seen_by_clients() const {
  Clock needed = without_gaps(seen());
  bool is_left_alone = had_company_;
  visit_members([&](const Peer*) { is_left_alone = false; });
  if (is_left_alone || !all_clocks_known()) return needed;
  Clock out;
  for (const auto& [actor, entry] : needed.entries()) {
    bool everywhere = true;
    visit_members([&](const Peer* peer) {
      everywhere = everywhere && peer->stream.peer_clock().base(actor) >= entry.base;
    });
    if (!everywhere) out.add(actor, {1, entry.base});
  }
  return out;
}

bool Node::all_clocks_known() const {
  bool known = knows_members() || planted(Fault::nobody_met_ignored);
  visit_members([&](const Peer* peer) { known = known && peer != nullptr && peer->stream.knows_peer(); });
  return known;
}

// A token leaves out what all members had when it was made. A node that is new, or was restored from an old
// copy, need not have that; but it has it once it has caught up with those it met. (Above gaps, too: they had
// none when all had it, but may have been damaged since.)
bool Node::shows(const Needed& needed) const {
  if (!store_.clock().covers(needed.clock) || !has_met(needed.meeting) || recalled_ != 0) return false;
  return has_met_somebody() ? has_caught_up() : is_alone();
}

// Nor need one have it that is no member for the node that made the token: it was forgotten there, or is too
// new. Somebody who is must be heard first: most of those who are members here, since others may have been
// forgotten with it. Who has not caught up himself does not answer.
Node::Needed Node::needed(Token token) {
  Needed needed{std::move(token.needed), 0};
  if (token.members == members_digest() || planted(Fault::members_ignored)) return needed;
  needed.meeting = call_meeting();
  return needed;
}

std::uint64_t Node::call_meeting() {
  for (auto& [id, peer] : peers_) hasten_status(peer);
  return ++meeting_;
}

bool Node::has_met(std::uint64_t meeting) const {
  if (meeting == 0) return true;
  std::size_t members = 1, met = 1;  // This node.
  visit_members([&](const Peer* peer) {
    ++members;
    if (peer != nullptr && peer->meeting_answered >= meeting) ++met;
  });
  return 2 * met > members;
}

Token Node::token() { return {seen_by_clients(), members_digest()}; }

std::uint32_t Node::members_digest() {
  if (!swim_ || members_of_ == swim_->members().digest()) return members_;
  std::string ids;
  ByteWriter out(ids);
  const NodeId self = store_.identity().node;
  swim_->members().visit([&](const Member& member) {
    if (member.belongs() || member.id == self) out.u64(member.id.value);
  });
  members_of_ = swim_->members().digest();
  members_ = static_cast<std::uint32_t>(siphash64("members" + ids, store_.hash_keys().digest));
  return members_;
}

// What they wrote since they need not have told it: it shows nothing to tokens before one has answered.
void Node::on_forgotten(Outbox& out) {
  out.push_back(
      Notice{Notice::Level::warning, "other members have forgotten this node; it joins them again"});
  recalled_ = call_meeting();
}

// Nobody else belongs to the cluster, as far as can be known.
bool Node::is_alone() const {
  const bool seeds = options_.seeds_by_name || !to_join_.empty() ||
                     std::any_of(options_.peers.begin(), options_.peers.end(),
                                 [this](const std::string& seed) { return seed != options_.address; });
  bool members = false;
  visit_members([&](const Peer*) { members = true; });
  return !seeds && !members;
}

std::uint64_t Node::lacks(const Clock& needed) const { return store_.clock().lacks(needed); }

void Node::meet(const Peer& peer) {
  met_.join(peer.stream.peer_clock());
  met_nobody_ = false;
  if (peer.meeting_answered >= recalled_) recalled_ = 0;
}

std::size_t Node::replicas_with(const Clock& needed) const {
  return static_cast<std::size_t>(std::count_if(peers_.begin(), peers_.end(), [&](const auto& peer) {
    return is_member(peer.second) && peer.second.stream.peer_clock().covers(needed);
  }));
}

Dot Node::last_write() const {
  const ActorId actor = store_.identity().actor;
  return {actor, store_.clock().base(actor)};
}

// From whoever has more of it, unless that is being done.
void Node::fetch(const Clock& needed, Now now, Outbox& out) {
  const bool underway = std::any_of(peers_.begin(), peers_.end(),
                                    [](const auto& peer) { return peer.second.session.has_value(); });
  if (underway) return;
  for (auto& [id, peer] : peers_) {
    const Clock& theirs = peer.stream.peer_clock();
    const bool has_more = theirs.lacks(needed) < store_.clock().lacks(needed);
    if (has_more && may_begin_session(peer) && begin_session(peer, false, std::nullopt, now, out)) return;
  }
}

}  // namespace knit
