// What a daemon does to have links, and what becomes of these.
#include <algorithm>

#include "world.h"

namespace knit::swim_sim {

namespace {

constexpr Micros dial_interval{200'000};
constexpr Micros redial_first{200'000};
constexpr Micros redial_most{5'000'000};
constexpr Micros link_timeout{5'000'000};
constexpr std::size_t accepted_links_max = 1024;
constexpr int ways_to_connect = 4;  // Two round trips: TCP's, and that of both sides' random numbers.

Micros next_delay(Micros delay) { return std::clamp(2 * delay, redial_first, redial_most); }

}  // namespace

void World::wake_dialer(Host host, Micros in) {
  Driver& driver = drivers_[host];
  if (driver.dial_at <= now_ + in) return;
  driver.dial_at = now_ + in;
  queue_.push(driver.dial_at, {Kind::dial, host, 0, 0});
}

void World::on_dial(Host host) {
  Driver& driver = drivers_[host];
  const HostState& state = hosts_[host];
  if (driver.dial_at != now_ || state.life != Life::running) return;
  driver.dial_at = Micros::max();
  if (state.paused || state.swim->left()) return;
  if (!driver.asked_seeds || state.swim->members().present() <= 1) {
    ask_seeds(host);
  } else if (dial_members(host)) {
    wake_dialer(host, dial_interval);
  }
}

void World::ask_seeds(Host host) {
  Driver& driver = drivers_[host];
  for (const Host seed : options_.seeds) {
    if (seed == host) continue;
    call(host, [&](Swim& swim, Now, SwimOutbox& out) { swim.greet(hosts_[seed].profile.endpoint, out); });
    if (links_.find(host, seed) == nullptr) dial(host, seed);
  }
  driver.asked_seeds = true;
  driver.seed_delay = next_delay(driver.seed_delay);
  wake_dialer(host, driver.seed_delay);
}

bool World::may_dial(Host host, const Member& member) const {
  const Host peer = by_id_.at(member.id);
  if (member.state != MemberState::alive || peer == host || links_.find(host, peer) != nullptr) return false;
  return true;
}

// Answers whether there is more to be done soon.
bool World::dial_members(Host host) {
  const MemberList& members = hosts_[host].swim->members();
  Driver& driver = drivers_[host];
  const std::size_t have = links_.of(host).size();
  if (have >= options_.links_most) return false;
  std::vector<const Member*> candidates;
  const std::size_t wanted = options_.links_most - have;
  if (members.size() <= 2 * options_.links_most) {
    members.visit([&](const Member& m) {
      if (candidates.size() < wanted && may_dial(host, m)) candidates.push_back(&m);
    });
  } else {
    for (std::size_t tries = 4 * wanted; tries > 0 && candidates.size() < wanted; --tries) {
      const auto& bucket = members.bucket(random(member_buckets));
      if (bucket.empty()) continue;
      const Member& m = bucket[random(bucket.size())];
      if (may_dial(host, m) && std::find(candidates.begin(), candidates.end(), &m) == candidates.end()) {
        candidates.push_back(&m);
      }
    }
  }
  for (const Member* member : candidates) {
    const Host peer = by_id_.at(member->id);
    const auto redial = driver.redials.find(peer);
    if (redial == driver.redials.end() || redial->second.next <= now_) dial(host, peer);
  }
  return !candidates.empty();
}

void World::dial(Host host, Host peer) {
  const LinkId id = links_.open(host, peer);
  Micros takes{};
  for (int i = 0; i < ways_to_connect; ++i) takes += network_.delay_of_stream(host, peer);
  queue_.push(now_ + takes, {Kind::link_ready, host, id, links_[id].life});
}

bool World::can_talk(const Link& link) const {
  return network_.reaches(link.ends[0], link.ends[1]) && network_.reaches(link.ends[1], link.ends[0]);
}

void World::on_link_ready(const Event& event) {
  const LinkId id = event.number;
  Link& link = links_[id];
  if (link.life != event.life) return;
  const auto [dialer, dialed] = link.ends;
  const HostState& peer = hosts_[dialed];
  const bool accepts =
      peer.life == Life::running && !peer.paused && links_.of(dialed).size() <= accepted_links_max;
  if (!accepts || !can_talk(link)) {
    links_.close(id);
    Redial& redial = drivers_[dialer].redials[dialed];
    redial.delay = next_delay(redial.delay);
    redial.next = now_ + (can_talk(link) ? Micros{0} : link_timeout) + redial.delay;
    return wake_dialer(dialer, redial.next - now_);
  }
  drivers_[dialer].redials.erase(dialed);
  for (int side = 0; side < 2; ++side) {
    const Micros up = now_ + (side == 0 ? Micros{0} : network_.delay());
    link.last[side] = up;
    queue_.push(up, {Kind::link_up, link.ends[side], id, link.life});
  }
}

void World::on_link_up(const Event& event) {
  Link& link = links_[event.number];
  if (link.life != event.life) return;
  link.up[link.side_of(event.host)] = true;
  if (hosts_[event.host].paused) return;  // Its kernel has it; the next packets will tell the rest.
  const NodeId peer = hosts_[link.ends[1 - link.side_of(event.host)]].id;
  call(event.host, [&](Swim& swim, Now now, SwimOutbox& out) { swim.on_link_up(peer, now, out); });
}

// Both ends hear of it, one way later.
void World::break_link(LinkId id) {
  const Link link = links_[id];
  links_.close(id);
  for (int side = 0; side < 2; ++side) {
    const Host host = link.ends[side];
    if (link.up[side] || side == 0)
      queue_.push(now_ + network_.delay(), {Kind::link_down, host, link.ends[1 - side], 0});
  }
}

void World::on_link_down(const Event& event) {
  HostState& state = hosts_[event.host];
  if (state.life != Life::running) return;
  const LinkId* next = links_.find(event.host, event.number);
  if (next == nullptr || !links_[*next].up[links_[*next].side_of(event.host)]) {
    state.swim->on_link_down(hosts_[event.number].id);
  }
  wake_dialer(event.host, dial_interval);
}

void World::watch_link(LinkId id) {
  const Link& link = links_[id];
  if (can_talk(link)) return;
  queue_.push(now_ + link_timeout, {Kind::link_check, link.ends[0], id, link.life});
}

void World::on_link_check(const Event& event) {
  const Link& link = links_[event.number];
  if (link.life == event.life && !can_talk(link)) break_link(event.number);
}

}  // namespace knit::swim_sim
