// What is heard of members, and what is made of it.
#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "gossip/swim.h"

namespace knit {

namespace {

// News that comparing brings is passed on if there is little of it; much of it others find by comparing too.
constexpr std::size_t passed_on_max = 16;
constexpr Millis dispute_interval{1000};
constexpr unsigned disputes_max = 3;

bool same_life(const Member& a, const Member& b) {
  return a.generation == b.generation && a.incarnation == b.incarnation;
}

}  // namespace

void Swim::take_all(const Source& from, const std::vector<Update>& updates, Heard how, Now now,
                    SwimOutbox& out) {
  std::vector<std::pair<NodeId, NodeId>> taken;  // Members, and who accuses them.
  for (const Update& update : updates) {
    const NodeId accuser = update.accuser.value != 0 ? update.accuser : from.node;
    if (take(update, accuser, how, now, out)) taken.emplace_back(update.member.id, accuser);
  }
  if (how == Heard::comparison && taken.size() > passed_on_max) return;
  for (const auto& [id, accuser] : taken) tell(*members_.find(id), accuser, UpdateQueue::Urgency::normal);
}

// A brief update says nothing of the profile, so it fits only the life that is known here.
bool Swim::complete(Update& update) const {
  if (!update.brief) return true;
  const Member* known = members_.find(update.member.id);
  if (known == nullptr) return false;
  const bool ends =
      update.member.state == MemberState::forgotten && update.member.generation == known->generation;
  if (!ends && !same_life(update.member, *known)) return false;
  update.member.profile = known->profile;
  return true;
}

// Answers whether something was new.
bool Swim::take(Update update, NodeId accuser, Heard how, Now now, SwimOutbox& out) {
  if (update.member.id == self_) {
    refute(update.member, now, out);
    return false;
  }
  if (!complete(update)) return false;
  Member& member = update.member;
  const Member* known = members_.find(member.id);
  const bool present = known != nullptr && known->is_present() && known->generation == member.generation;
  // Somebody thinks it dead whom we do not. After a cut has healed both sides think so of each other.
  const bool disputed = member.state == MemberState::dead && how == Heard::comparison && present;
  if (disputed && supersedes(member, *known)) member.state = MemberState::suspect;
  if (member.state == MemberState::suspect) return suspect(std::move(member), accuser, now, out);
  return apply(std::move(member), now, out);
}

// Begins to suspect, or adds an accuser. Answers whether that is news.
bool Swim::suspect(Member member, NodeId accuser, Now now, SwimOutbox& out) {
  const NodeId id = member.id;
  const auto known = suspicions_.find(id);
  member.state = MemberState::suspect;
  const Member* listed = members_.find(id);
  if (known != suspicions_.end() && same_life(*listed, member) && !supersedes(member, *listed)) {
    if (!known->second.confirm(accuser)) return false;
    next_deadline_ = std::min(next_deadline_, known->second.deadline());
    if (accuser == self_) tell(*members_.find(id), accuser, UpdateQueue::Urgency::normal);
    return true;
  }
  if (!apply(std::move(member), now, out)) return false;
  ++counters_.suspicions;
  const std::size_t others = members_.present() - std::min<std::size_t>(members_.present(), 2);
  const Suspicion begun(options_.suspicion, accuser, others, health_.stretch(), now.steady);
  suspicions_.insert_or_assign(id, begun);
  next_deadline_ = std::min(next_deadline_, begun.deadline());
  if (accuser == self_) tell(*members_.find(id), accuser, UpdateQueue::Urgency::normal);
  return true;
}

bool Swim::apply(Member member, Now now, SwimOutbox& out) {
  const NodeId id = member.id;
  const Member* known = members_.find(id);
  std::optional<MemberState> before;
  if (known != nullptr) before = known->state;
  const bool goes_on = known != nullptr && known->generation == member.generation;
  member.since = before == member.state ? known->since : now.wall;
  const MemberState after = member.state;
  const bool present = member.is_present();
  if (!members_.put(std::move(member))) return false;
  if (after != MemberState::suspect) suspicions_.erase(id);
  if (before == MemberState::dead && present && goes_on) ++counters_.false_alarms;
  if (before == MemberState::dead) std::erase(dead_, id);
  if (after == MemberState::dead) dead_.push_back(id);
  const bool was_present = before == MemberState::alive || before == MemberState::suspect;
  if (present && !was_present && id != self_) add_to_round(id, before.has_value());
  out.emplace_back(MemberChanged{id, before, after});
  return true;
}

// Somewhere in what is left of this round; but who was in it stays where it was, so that it has an end.
void Swim::add_to_round(NodeId id, bool known) {
  if (known && std::find(order_.begin(), order_.end(), id) != order_.end()) return;
  order_.push_back(id);
  std::swap(order_.back(), order_[next_in_order_ + random(order_.size() - next_in_order_)]);
}

void Swim::declare_dead(NodeId id, Now now, SwimOutbox& out) {
  Member member = *members_.find(id);
  member.state = MemberState::dead;
  ++counters_.deaths;
  check(apply(std::move(member), now, out), "dead supersedes suspect");
  tell(*members_.find(id), self_, UpdateQueue::Urgency::normal);
}

void Swim::tick_suspicions(Now now, SwimOutbox& out) {
  if (now.steady < next_deadline_) return;
  next_deadline_ = Millis::max();
  std::vector<NodeId> over;
  for (const auto& [id, suspicion] : suspicions_) {
    if (suspicion.deadline() <= now.steady) {
      over.push_back(id);
    } else {
      next_deadline_ = std::min(next_deadline_, suspicion.deadline());
    }
  }
  for (const NodeId id : over) declare_dead(id, now, out);
}

// Somebody has it that this node is not what it is.
void Swim::refute(const Member& said, Now now, SwimOutbox& out) {
  Member mine = self();
  const bool later_life = said.generation > mine.generation;
  const bool forgotten = said.state == MemberState::forgotten && said.generation == mine.generation;
  if (left() || (!later_life && !forgotten && !supersedes(said, mine))) return;
  if (later_life || said.state == MemberState::alive) {
    // An earlier start of this directory whose clock was ahead, or another process that uses this id.
    if (now.steady < refuted_at_ + dispute_interval) return;
    // Two earlier starts may be known to somebody still; a third one is none.
    const bool elsewhere =
        !(said.profile == PooledProfile()) && said.profile->endpoint != mine.profile->endpoint;
    const auto& at = elsewhere ? said.profile->endpoint : mine.profile->endpoint;
    if (elsewhere || ++disputes_ >= disputes_max) out.emplace_back(IdInUse{at});
  }
  const auto incarnation = said.incarnation.next();
  if (!later_life && !forgotten && incarnation) {
    mine.incarnation = *incarnation;
  } else {
    const auto generation = said.generation.next();
    if (!generation) return;  // Only a new id can help; the owner's starts never get here.
    mine.generation = *generation;
    mine.incarnation = {};
  }
  mine.state = MemberState::alive;
  refuted_at_ = now.steady;
  ++counters_.refutations;
  if (said.state != MemberState::alive) health_.change(1);
  if (forgotten) out.emplace_back(WasForgotten{});
  announce(std::move(mine), now, out);
}

void Swim::announce(Member mine, Now now, SwimOutbox& out) {
  check(apply(std::move(mine), now, out), "what a node says of itself is the newest");
  tell(self(), self_, UpdateQueue::Urgency::first);
}

// Of the living all is told; of others what has become of them.
void Swim::tell(const Member& member, NodeId accuser, UpdateQueue::Urgency urgency) {
  const bool whole = member.state == MemberState::alive;
  queue_.put(member.id, whole ? encode_update(member) : encode_brief_update(member, accuser), urgency,
             times_to_tell());
}

// A number between two is rounded at random, so that a cluster that grows does not jump.
unsigned Swim::times_to_tell() {
  const double times = options_.gossip_times * std::log10(static_cast<double>(members_.present()) + 1);
  const double whole = std::floor(times);
  const bool up = static_cast<double>(random(1 << 20)) < (times - whole) * (1 << 20);
  return static_cast<unsigned>(whole) + (up ? 1 : 0);
}

}  // namespace knit
