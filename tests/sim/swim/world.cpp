// Time, what arrives, and what is sent.
#include "world.h"

#include "base/check.h"
#include "base/hash.h"

namespace knit::swim_sim {

namespace {

constexpr Millis steady_at_start{1'000'000};
constexpr std::uint64_t wall_at_start = 1'700'000'000'000;
constexpr std::size_t sealing_bytes = 32;  // Nonce and tag, of each datagram.
constexpr std::size_t link_message_bytes_max = 64 << 10;
constexpr Micros stalled_link_retry{200'000};

}  // namespace

World::World(WorldOptions options)
    : options_(std::move(options)), random_(options_.seed), network_(options_.latency, random_()) {}

World::~World() = default;

Now World::now_of(const HostState& host) const {
  const auto millis = std::chrono::duration_cast<Millis>(now_);
  const auto wall = static_cast<std::uint64_t>((millis + host.wall_skew).count());
  return {WallTime{wall_at_start + wall}, steady_at_start + millis};
}

void World::trace(std::uint64_t value) {
  trace_ = (trace_ ^ value) * 0x9e3779b97f4a7c15;
  trace_ ^= trace_ >> 29;
}

// --- Time

void World::run_until(Micros until) {
  while (!queue_.empty() && queue_.next() <= until) {
    now_ = queue_.next();
    ++events_;
    on(queue_.pop());
  }
  now_ = until;
}

bool World::run_until_true(const std::function<bool()>& fact, Micros until, Micros step) {
  while (!fact()) {
    if (now_ >= until) return false;
    run_until(std::min(now_ + step, until));
  }
  return true;
}

void World::at(Micros when, std::function<void()> action) {
  actions_.push_back(std::move(action));
  queue_.push(when, {Kind::action, 0, static_cast<std::uint32_t>(actions_.size() - 1), 0});
}

void World::on(const Event& event) {
  trace(static_cast<std::uint64_t>(now_.count()) << 4 | static_cast<std::uint64_t>(event.kind));
  trace(event.host);
  switch (event.kind) {
    case Kind::tick: return on_tick(event.host);
    case Kind::delivery: return on_delivery(event.host, event.number);
    case Kind::link_ready: return on_link_ready(event);
    case Kind::link_up: return on_link_up(event);
    case Kind::link_down: return on_link_down(event);
    case Kind::link_check: return on_link_check(event);
    case Kind::dial: return on_dial(event.host);
    case Kind::leave: return on_leaving(event.host);
    case Kind::action: return actions_[event.number]();
  }
}

// --- Ticks

void World::reschedule(Host host) {
  Driver& driver = drivers_[host];
  const HostState& state = hosts_[host];
  const Millis next = state.swim->next_tick();
  if (next == Millis::max()) return;
  const Micros due = std::max(Micros(next - steady_at_start), now_) + lateness(host);
  if (due >= driver.tick_at && driver.tick_at >= now_) return;
  driver.tick_at = due;
  queue_.push(due, {Kind::tick, host, 0, 0});
}

Micros World::lateness(Host host) {
  const auto slowness = static_cast<std::uint64_t>(hosts_[host].slowness.count());
  return slowness == 0 ? Micros{0} : Micros(static_cast<Micros::rep>(random(2 * slowness)));
}

void World::on_tick(Host host) {
  Driver& driver = drivers_[host];
  HostState& state = hosts_[host];
  if (driver.tick_at != now_ || state.life != Life::running || state.paused) return;
  driver.tick_at = Micros::max();
  if (state.swim->next_tick() > now_of(state).steady) return reschedule(host);
  call(host, [&](Swim& swim, Now now, SwimOutbox& out) { swim.on_tick(now, out); });
}

// --- What arrives

std::uint32_t World::store(Delivery delivery) {
  if (free_deliveries_.empty()) {
    deliveries_.push_back(std::move(delivery));
    return static_cast<std::uint32_t>(deliveries_.size() - 1);
  }
  const std::uint32_t number = free_deliveries_.back();
  free_deliveries_.pop_back();
  deliveries_[number] = std::move(delivery);
  return number;
}

World::Delivery World::take(std::uint32_t number) {
  free_deliveries_.push_back(number);
  return std::move(deliveries_[number]);
}

void World::on_delivery(Host host, std::uint32_t number) {
  const Delivery& delivery = deliveries_[number];
  if (delivery.link) {
    const Link& link = links_[*delivery.link];
    if (link.life == delivery.link_life && !can_talk(link)) return redeliver(host, number);
    if (link.life != delivery.link_life) return void(take(number));
  }
  const bool there = by_address_[delivery.to_address] == host && hosts_[host].address == delivery.to_address;
  if (hosts_[host].life != Life::running || !there) return void(take(number));
  if (hosts_[host].paused) return put_aside(host, number);
  hand_over(host, number);
}

// It stays in the sender's TCP buffer until the cut is healed, or the link ends.
void World::redeliver(Host host, std::uint32_t number) {
  Micros& last = links_[*deliveries_[number].link].last_to(host);
  last = std::max(last, now_ + stalled_link_retry);
  queue_.push(last, {Kind::delivery, host, number, 0});
}

// In the socket's buffer, as long as there is room.
void World::put_aside(Host host, std::uint32_t number) {
  Driver& driver = drivers_[host];
  if (!deliveries_[number].link && ++driver.inbox_datagrams > options_.socket_datagrams)
    return void(take(number));
  driver.inbox.push_back(number);
}

void World::hand_over(Host host, std::uint32_t number) {
  const Delivery delivery = take(number);
  trace(checksum(delivery.bytes));
  const Swim::Source source{hosts_[delivery.from].id, endpoint_of(delivery.from_address),
                            delivery.link.has_value()};
  call(host, [&](Swim& swim, Now now, SwimOutbox& out) { swim.on_packet(source, delivery.bytes, now, out); });
}

void World::pause(Host host) {
  HostState& state = hosts_[host];
  if (state.life != Life::running || std::exchange(state.paused, true)) return;
  begin_fault(host);
}

// What arrived is read before the clock is looked at.
void World::resume(Host host) {
  HostState& state = hosts_[host];
  if (!std::exchange(state.paused, false)) return;
  end_fault(host);
  Driver& driver = drivers_[host];
  driver.inbox_datagrams = 0;
  for (const std::uint32_t number : std::exchange(driver.inbox, {})) {
    const auto& link = deliveries_[number].link;
    if (link && links_[*link].life != deliveries_[number].link_life) {
      take(number);
    } else {
      hand_over(host, number);
    }
  }
  driver.tick_at = Micros::max();
  reschedule(host);
  wake_dialer(host, Micros{0});
}

// --- What is sent

void World::call(Host host, const std::function<void(Swim&, Now, SwimOutbox&)>& what) {
  HostState& state = hosts_[host];
  SwimOutbox out = std::move(outbox_);
  out.clear();
  what(*state.swim, now_of(state), out);
  for (SwimOutput& output : out) {
    if (auto* datagram = std::get_if<SendDatagram>(&output)) send(host, *datagram);
    if (auto* message = std::get_if<SendOverLink>(&output)) send(host, *message);
    if (auto* change = std::get_if<MemberChanged>(&output)) on_change(host, *change);
  }
  outbox_ = std::move(out);
  reschedule(host);
}

void World::send(Host from, SendDatagram& datagram) {
  HostState& sender = hosts_[from];
  ++sender.datagrams;
  sender.bytes += datagram.bytes.size() + sealing_bytes;
  if (datagram.bytes.size() > options_.swim.datagram_bytes_max) violate(from, "a datagram is too long");
  const std::uint32_t address = address_of(datagram.to);
  if (address >= by_address_.size()) return;
  const Host to = by_address_[address];
  const Network::Fate fate = network_.fate(from, to);
  for (std::size_t i = 0; i < fate.copies; ++i) {
    const bool last = i + 1 == fate.copies;
    Delivery delivery{
        from, sender.address, address, {}, 0, last ? std::move(datagram.bytes) : datagram.bytes};
    queue_.push(now_ + fate.delays[i] + lateness(to), {Kind::delivery, to, store(std::move(delivery)), 0});
  }
}

void World::send(Host from, SendOverLink& message) {
  const auto to = by_id_.find(message.to);
  const LinkId* id = to == by_id_.end() ? nullptr : links_.find(from, to->second);
  if (id == nullptr || !links_[*id].up[links_[*id].side_of(from)]) return;
  hosts_[from].link_bytes += message.bytes.size();
  if (message.bytes.size() > link_message_bytes_max) violate(from, "a message over a link is too long");
  Link& link = links_[*id];
  Micros& last = link.last_to(to->second);
  last = std::max(last, now_ + network_.delay_of_stream(from, to->second) + lateness(to->second));
  const HostState& target = hosts_[to->second];
  Delivery delivery{from, hosts_[from].address, target.address, *id, link.life, std::move(message.bytes)};
  queue_.push(last, {Kind::delivery, to->second, store(std::move(delivery)), 0});
}

}  // namespace knit::swim_sim
