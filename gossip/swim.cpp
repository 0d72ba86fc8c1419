// What the owner calls, and the order in which time is dealt with.
#include "gossip/swim.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace knit {

Swim::Swim(SwimOptions options, ProfilePool& pool, NodeId self, Generation generation, const Profile& profile,
           std::uint64_t seed, Now now)
    : options_(options),
      pool_(pool),
      self_(self),
      random_(seed),
      members_(options.members_max),
      queue_(options.updates_max),
      health_(options.health_most),
      last_call_(now.steady),
      next_probe_(now.steady + Millis(random(static_cast<std::uint64_t>(options.probe_interval.count())))),
      next_sequence_(static_cast<std::uint32_t>(random_())) {
  check(self.value != 0, "a node has an id");
  Member mine;
  mine.id = self;
  mine.generation = generation;
  mine.since = now.wall;
  mine.profile = pool.take(profile);
  members_.put(std::move(mine));
}

void Swim::restore(std::vector<Member> members) {
  for (Member& member : members) {
    if (member.id == self_) continue;
    // Nobody waits for its refutation: it will be asked.
    if (member.state == MemberState::suspect) member.state = MemberState::alive;
    const NodeId id = member.id;
    const bool dead = member.state == MemberState::dead;
    if (!members_.put(std::move(member))) continue;
    order_.push_back(id);
    if (dead) dead_.push_back(id);
  }
  std::shuffle(order_.begin(), order_.end(), random_);
}

void Swim::on_link_up(NodeId peer, Now now, SwimOutbox& out) {
  look_for_stall(now);
  links_.insert(peer);
  if (self_ < peer) compare_with({peer, {}, true}, now, out);
}

void Swim::on_link_down(NodeId peer) {
  const Member* member = members_.find(peer);
  if (links_.erase(peer) == 0 || member == nullptr || !may_be_asked(*member)) return;
  order_.insert(order_.begin() + static_cast<std::ptrdiff_t>(next_in_order_), peer);
  next_probe_ = {};
}

void Swim::greet(const Endpoint& endpoint, SwimOutbox& out) {
  const Source anybody{NodeId{}, endpoint, false};
  send_with_news(anybody, Ping{next_sequence_++, NodeId{}, heads()}, out);
}

void Swim::leave(Now now, SwimOutbox& out) {
  if (left()) return;
  Member mine = self();
  mine.state = MemberState::left;
  probe_.reset();
  announce(std::move(mine), now, out);
}

Result<void> Swim::forget(NodeId id, Now now, SwimOutbox& out) {
  const Member* known = members_.find(id);
  if (known == nullptr || known->state == MemberState::forgotten) {
    return fail(ErrorCode::not_found, "no member has this id");
  }
  if (id == self_) return fail(ErrorCode::refused, "a node does not forget itself; let it leave");
  if (known->is_present()) {
    return fail(ErrorCode::refused, known->profile->name + " is " + std::string(name(known->state)) +
                                        "; only who is dead or has left can be forgotten");
  }
  Member member = *known;
  member.state = MemberState::forgotten;
  if (apply(std::move(member), now, out)) tell(*members_.find(id), self_, UpdateQueue::Urgency::normal);
  return {};
}

Result<void> Swim::set_profile(const Profile& profile, Now now, SwimOutbox& out) {
  if (auto fine = check_profile(profile); !fine) return fine;
  Member mine = self();
  if (*mine.profile == profile) return {};
  mine.profile = pool_.take(profile);
  if (const auto incarnation = mine.incarnation.next()) {
    mine.incarnation = *incarnation;
  } else if (const auto generation = mine.generation.next()) {
    mine.generation = *generation;
    mine.incarnation = {};
  } else {
    return fail(ErrorCode::refused, "there is no later life of this node's id");
  }
  announce(std::move(mine), now, out);
  return {};
}

std::optional<Millis> Swim::round_trip(NodeId id) const {
  const auto found = round_trips_.find(id);
  if (found == round_trips_.end()) return std::nullopt;
  return found->second;
}

void Swim::on_tick(Now now, SwimOutbox& out) {
  look_for_stall(now);
  tick_relays(now, out);
  tick_probe(now, out);
  tick_suspicions(now, out);
  tick_dead(now, out);
  tick_gossip(now, out);
}

Millis Swim::next_tick() const {
  Millis next = left() ? Millis::max() : probe_tick();
  next = std::min(next, next_deadline_);
  for (const auto& [sequence, relay] : relays_) next = std::min(next, relay.nack_at);
  if (!dead_.empty() && !left()) next = std::min(next, next_dead_);
  if (has_news()) next = std::min(next, next_gossip_);
  return next;
}

// Whichever call is the first after the process was stopped, or the host slept: what was to be heard
// meanwhile waits in the socket, so nobody is judged by the time that has passed.
void Swim::look_for_stall(Now now) {
  const Millis before = std::exchange(last_call_, now.steady);
  if (now.steady - before <= options_.stall) return;
  if (now.steady - std::max(before, next_tick()) <= options_.stall) return;
  ++counters_.stalls;
  health_.change(1);
  for (auto& [id, suspicion] : suspicions_) suspicion.shift(now.steady - before, now.steady);
  relays_.clear();
  probe_.reset();
  next_probe_ = now.steady + options_.probe_timeout;
}

void Swim::tick_gossip(Now now, SwimOutbox& out) {
  if (!has_news() || now.steady < next_gossip_) return;
  next_gossip_ = now.steady + options_.gossip_interval;
  for (const Member* member : random_members(options_.gossip_fanout, NodeId{})) {
    if (has_news()) send_with_news({member->id, member->profile->endpoint, false}, News{}, out);
  }
}

}  // namespace knit
