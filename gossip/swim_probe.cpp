// One member after the other is asked whether it is there.
#include <algorithm>

#include "gossip/swim.h"

namespace knit {

const Member* Swim::next_target() {
  const Member* doubted = members_.find(std::exchange(doubted_, NodeId{}));
  if (doubted != nullptr && may_be_asked(*doubted)) return doubted;
  for (std::size_t tries = order_.size() + 1; tries > 0; --tries) {
    if (next_in_order_ >= order_.size()) {
      next_in_order_ = 0;
      order_.clear();
      members_.visit([&](const Member& m) {
        if (may_be_asked(m)) order_.push_back(m.id);
      });
      std::shuffle(order_.begin(), order_.end(), random_);
      if (order_.empty()) return nullptr;
    }
    const Member* member = members_.find(order_[next_in_order_++]);
    if (may_be_asked(*member)) return member;
  }
  return nullptr;
}

// Some that are present, each at most once; fewer than `count` where there are few, or many of them gone.
std::vector<const Member*> Swim::random_members(std::size_t count, NodeId except) {
  std::vector<const Member*> out;
  for (std::size_t tries = 4 * count; tries > 0 && out.size() < count && !order_.empty(); --tries) {
    const Member* member = members_.find(order_[random(order_.size())]);
    const bool taken = std::find(out.begin(), out.end(), member) != out.end();
    if (!taken && may_be_asked(*member) && member->id != except) out.push_back(member);
  }
  return out;
}

// While the last one asked has not answered, or is not judged yet, nobody else is asked.
Millis Swim::probe_tick() const {
  if (!probe_) return next_probe_;
  if (probe_->indirect) return probe_->end;
  return std::min(probe_->timeout, next_reping());
}

Millis Swim::next_reping() const {
  if (probe_->sent.size() > options_.repings) return Millis::max();
  return probe_->sent.back() + probe_->patience;
}

void Swim::tick_probe(Now now, SwimOutbox& out) {
  if (left()) return;
  if (probe_) go_on_probing(now, out);
  if (!probe_ && now.steady >= next_probe_) begin_probe(now, out);
}

void Swim::begin_probe(Now now, SwimOutbox& out) {
  const unsigned stretch = health_.stretch();
  next_probe_ = now.steady + options_.probe_interval * stretch;
  meet_strangers(now, out);
  const Member* target = next_target();
  if (target == nullptr) return;
  const Millis timeout = options_.probe_timeout * stretch;
  const auto known = round_trips_.find(target->id);
  const Millis round_trip = known == round_trips_.end() ? Millis{0} : known->second;
  const Millis patience = std::max(timeout / (options_.repings + 1), 2 * round_trip);
  probe_ = Probe{target->id,  next_sequence_, {now.steady}, patience, now.steady + timeout,
                 next_probe_, false,          {},           0};
  next_sequence_ += options_.repings + 2;
  ++counters_.probes;
  ping(*target, probe_->sequence, out);
}

// Those whose link was cut or replaced before the lists were compared: neither would hear of the other.
void Swim::meet_strangers(Now now, SwimOutbox& out) {
  for (const NodeId id : links_) {
    if (members_.find(id) == nullptr) compare_with({id, {}, true}, now, out);
  }
}

void Swim::go_on_probing(Now now, SwimOutbox& out) {
  const Member* target = members_.find(probe_->target);
  if (!target->is_present()) return probe_.reset();
  if (probe_->indirect && now.steady >= probe_->end) return end_probe(now, out);
  if (probe_->indirect) return;
  if (now.steady >= probe_->timeout) return ask_others(now, out);
  if (now.steady < next_reping()) return;
  ping(*target, probe_->sequence + static_cast<std::uint32_t>(probe_->sent.size()), out);
  probe_->sent.push_back(now.steady);
}

// Some others ask it, and we once more, also over the link: datagrams may be what does not get through.
void Swim::ask_others(Now now, SwimOutbox& out) {
  probe_->indirect = true;
  probe_->end += now.steady - probe_->timeout;  // They have their whole time, however late this is.
  const Member* target = members_.find(probe_->target);
  const Endpoint endpoint = target->profile->endpoint;
  for (const Member* helper : random_members(options_.helpers, target->id)) {
    probe_->helpers.insert(helper->id);
    const PingRequest request{probe_->sequence, target->id, endpoint};
    send_with_news({helper->id, helper->profile->endpoint, false}, request, out);
  }
  probe_->helpers_asked = probe_->helpers.size();
  const auto again = probe_->sequence + static_cast<std::uint32_t>(probe_->sent.size());
  probe_->sent.push_back(now.steady);
  ping(*target, again, out);
  if (links_.contains(target->id)) {
    send({target->id, endpoint, true}, encode(Ping{again, target->id, heads()}), out);
  }
}

// A helper owes us an ack or a nack. If most have said nothing it may well be us who do not hear.
void Swim::end_probe(Now now, SwimOutbox& out) {
  const Probe probe = *std::exchange(probe_, std::nullopt);
  ++counters_.probes_failed;
  if (2 * probe.helpers.size() > probe.helpers_asked) health_.change(1);
  suspect(*members_.find(probe.target), self_, now, out);
}

void Swim::tick_relays(Now now, SwimOutbox& out) {
  for (auto relay = relays_.begin(); relay != relays_.end();) {
    if (relay->second.nack_at > now.steady) {
      ++relay;
      continue;
    }
    send(relay->second.to, encode(Nack{relay->second.sequence}), out);
    doubted_ = relay->second.target;
    relay = relays_.erase(relay);
  }
}

// Whoever is dead may be back, or on the other side of a cut that has healed.
void Swim::tick_dead(Now now, SwimOutbox& out) {
  if (dead_.empty() || left() || now.steady < next_dead_) return;
  next_dead_ = now.steady + options_.dead_interval;
  ping(*members_.find(dead_[random(dead_.size())]), next_sequence_++, out);
}

}  // namespace knit
