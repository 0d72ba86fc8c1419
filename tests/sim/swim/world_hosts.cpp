// What befalls hosts.
#include <algorithm>

#include "world.h"

namespace knit::swim_sim {

namespace {

constexpr Micros recovery{10'000'000};
constexpr Micros leaving_look{100'000};
constexpr Micros leaving_most{2'000'000};
constexpr std::uint16_t port = 7946;

}  // namespace

Endpoint World::endpoint_of(std::uint32_t address) const {
  Endpoint out;
  const std::uint32_t ip = (10U << 24) + address;
  out.ip = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  for (int i = 0; i < 4; ++i) out.ip[12 + i] = static_cast<std::uint8_t>(ip >> (24 - 8 * i));
  out.port = port;
  return out;
}

std::uint32_t World::address_of(const Endpoint& endpoint) const {
  std::uint32_t ip = 0;
  for (int i = 0; i < 4; ++i) ip = ip << 8 | endpoint.ip[12 + i];
  return ip - (10U << 24);
}

std::uint32_t World::new_address(Host host) {
  by_address_.push_back(host);
  return static_cast<std::uint32_t>(by_address_.size() - 1);
}

Host World::add_host() {
  const Host host = static_cast<Host>(hosts_.size());
  HostState state;
  do state.id.value = random_();
  while (state.id.value == 0 || by_id_.contains(state.id));
  state.address = new_address(host);
  state.generation = {1};
  state.profile = {"node" + std::to_string(host + 1), endpoint_of(state.address), 1, 1, "0.1.0", {}};
  by_id_.emplace(state.id, host);
  hosts_.push_back(std::move(state));
  drivers_.emplace_back();
  return host;
}

void World::make_process(Host host) {
  HostState& state = hosts_[host];
  drivers_[host] = Driver{};
  state.life = Life::running;
  state.paused = false;
  state.swim = std::make_unique<Swim>(options_.swim, pool_, state.id, state.generation, state.profile,
                                      random_(), now_of(state));
}

void World::start(Host host, Returns returns) {
  HostState& state = hosts_[host];
  if (state.life == Life::running) return;
  make_process(host);
  if (returns == Returns::with_list) state.swim->restore(state.saved);
  state.saved.clear();
  state.generation.value += 1;
  audit_all(host);
  reschedule(host);
  wake_dialer(host, Micros{0});
}

void World::start_known(const Hosts& hosts) {
  std::vector<Member> members;
  for (const Host host : hosts) {
    make_process(host);
    members.push_back(hosts_[host].swim->self());
    hosts_[host].generation.value += 1;
  }
  for (const Host host : hosts) {
    hosts_[host].swim->restore(members);
    audit_all(host);
    reschedule(host);
    wake_dialer(host, Micros(static_cast<Micros::rep>(random(1'000'000))));
  }
}

void World::end_process(Host host, Life after) {
  HostState& state = hosts_[host];
  while (!links_.of(host).empty()) break_link(links_.of(host).front());
  state.saved.clear();
  state.swim->members().visit([&](const Member& m) { state.saved.push_back(m); });
  state.life = after;
  state.swim.reset();
  if (std::exchange(state.paused, false)) end_fault(host);
  for (const std::uint32_t number : drivers_[host].inbox) take(number);
  drivers_[host] = Driver{};
}

void World::crash(Host host) {
  if (hosts_[host].life == Life::running) end_process(host, Life::crashed);
}

void World::leave(Host host) {
  if (hosts_[host].life != Life::running) return;
  call(host, [](Swim& swim, Now now, SwimOutbox& out) { swim.leave(now, out); });
  drivers_[host].left_at = now_;
  queue_.push(now_ + leaving_look, {Kind::leave, host, 0, 0});
}

// It stops when all is told, or after a while.
void World::on_leaving(Host host) {
  HostState& state = hosts_[host];
  if (state.life != Life::running || !state.swim->left()) return;
  if (!state.swim->has_news() || now_ >= drivers_[host].left_at + leaving_most) {
    return end_process(host, Life::left);
  }
  queue_.push(now_ + leaving_look, {Kind::leave, host, 0, 0});
}

bool World::forget(Host host, Host by) {
  if (hosts_[by].life != Life::running) return false;
  bool done = false;
  call(by, [&](Swim& swim, Now now, SwimOutbox& out) {
    done = swim.forget(hosts_[host].id, now, out).has_value();
  });
  return done;
}

void World::set_slowness(Host host, Micros slowness) {
  const bool was = hosts_[host].slowness.count() > 0;
  hosts_[host].slowness = slowness;
  if (slowness.count() > 0 && !was) begin_fault(host);
  if (slowness.count() == 0 && was) end_fault(host);
}

void World::set_tag(Host host, const std::string& tag, const std::string& value) {
  hosts_[host].profile.tags[tag] = value;
  if (hosts_[host].life != Life::running) return;
  call(host, [&](Swim& swim, Now now, SwimOutbox& out) {
    if (!swim.set_profile(hosts_[host].profile, now, out)) violate(host, "its profile was refused");
  });
}

void World::move(Host host) {
  HostState& state = hosts_[host];
  state.address = new_address(host);
  state.profile.endpoint = endpoint_of(state.address);
}

void World::begin_fault(Host host) { ++hosts_[host].faults; }

void World::end_fault(Host host) {
  HostState& state = hosts_[host];
  if (--state.faults == 0) state.healthy_from = now_ + recovery;  // It may have been suspected before.
}

bool World::is_healthy(Host host) const {
  const HostState& state = hosts_[host];
  return state.life == Life::running && state.faults == 0 && now_ >= state.healthy_from;
}

// A cut is a fault of those that it keeps from half of the others.
Network::RuleId World::add_rule(const Network::Rule& rule) {
  const Network::RuleId id = network_.add(rule);
  if (rule.fault != Network::Fault::cut) return id;
  Hosts& cut_off = cut_off_[id];
  if (2 * rule.to.size() >= hosts_.size()) cut_off = rule.from;
  if (2 * rule.from.size() >= hosts_.size()) cut_off.insert(cut_off.end(), rule.to.begin(), rule.to.end());
  for (const Host host : cut_off) {
    ++hosts_[host].cuts;
    begin_fault(host);
  }
  for (const LinkId link : links_.all()) watch_link(link);
  return id;
}

void World::remove_rule(Network::RuleId id) {
  network_.remove(id);
  const auto found = cut_off_.find(id);
  if (found == cut_off_.end()) return;
  for (const Host host : found->second) {
    --hosts_[host].cuts;
    end_fault(host);
  }
  cut_off_.erase(found);
}

void World::heal() {
  network_.clear();
  while (!cut_off_.empty()) remove_rule(cut_off_.begin()->first);
  for (Host host = 0; host < hosts_.size(); ++host) {
    resume(host);
    set_slowness(host, Micros{0});
  }
}

}  // namespace knit::swim_sim
