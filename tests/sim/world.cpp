#include "world.h"

#include <algorithm>

#include "base/fault.h"
#include "merkle/tree.h"

namespace knit::sim {

namespace {

constexpr std::uint64_t start_of_time = 1'700'000'000'000;
constexpr std::int64_t skew_max_millis = 2000;

std::string address_of(std::size_t host) { return "host" + std::to_string(host); }

}  // namespace

World::World(WorldOptions options) : options_(options), random_(options.seed) {
  cluster_.name = "sim";
  cluster_.id = std::string(16, 'c');
  for (std::uint8_t i = 0; i < 16; ++i) {
    cluster_.hash_keys.position[i] = static_cast<std::uint8_t>(random(256));
    cluster_.hash_keys.digest[i] = static_cast<std::uint8_t>(random(256));
  }
  for (std::size_t i = 0; i < options_.keys; ++i) keys_.push_back("key" + std::to_string(i));
  for (std::size_t i = 0; i < options_.counters; ++i) counters_.push_back("counter" + std::to_string(i));
  keys_.push_back("");
  keys_.push_back(std::string(5000, 'k'));  // Too long for a row key.
  for (std::size_t i = 0; i < options_.hosts; ++i) {
    hosts_.push_back(std::make_unique<Host>());
    hosts_[i]->skew_millis = static_cast<std::int64_t>(random(2 * skew_max_millis)) - skew_max_millis;
    boot(i);
  }
}

World::~World() = default;

Now World::now(const Host& host) const {
  return {{start_of_time + static_cast<std::uint64_t>(time_.count() + host.skew_millis)}, time_};
}

void World::at(Millis delay, std::function<void()> run) {
  events_.push({time_ + delay, order_++, std::move(run)});
}

// An event of a host happens only in the boot that planned it.
void World::on_host(std::size_t host, Millis delay, std::function<void()> run) {
  const std::uint64_t boot = hosts_[host]->boot;
  at(delay, [this, host, boot, run = std::move(run)] {
    if (hosts_[host]->up() && hosts_[host]->boot == boot) run();
  });
}

void World::run_until(Millis end) {
  while (!violation_ && !events_.empty() && events_.top().at <= end) {
    violation_ = model_.contradiction();
    Event event = events_.top();
    events_.pop();
    time_ = event.at;
    note(static_cast<std::uint64_t>(time_.count()) ^ (event.order << 20));
    event.run();
  }
  time_ = std::max(time_, end);
}

void World::boot(std::size_t index) {
  Host& host = *hosts_[index];
  host.syncing = host.undo_waits = host.working = false;
  StoreOptions options;
  options.cluster = cluster_;
  options.fresh = {{random_()}, {random_()}};
  options.disk_reserve_bytes = 1;
  options.log = options_.log;
  options.clock_max_ahead = clock_max_ahead;
  auto store = Store::open(host.disk, host.journal, options);
  if (!store) {
    violation_ = "host does not open its store: " + store.error().message;
    return;
  }
  host.store = std::move(*store);
  if (host.store->is_new() && host.store->start_commit()) host.store->on_committed(host.disk.finish_commit());
  NodeOptions node;
  node.name = node.address = address_of(index);
  for (std::size_t other = 0; other < options_.hosts; ++other) node.peers.push_back(address_of(other));
  node.exchange_interval = Millis(15'000);
  node.exchange_deadline = Millis(3000);
  node.rows_per_step = 3;
  host.node = std::make_unique<Node>(node, *host.store, random_());
  host.keyspace = std::make_unique<Keyspace>(*host.store);
  on_host(index, Millis(random(100)), [this, index] { tick(index); });
  on_host(index, Millis(random(300)), [this, index] { dial(index); });
  on_host(index, Millis(random(300)), [this, index] { client(index); });
}

void World::crash(std::size_t index) {
  Host& host = *hosts_[index];
  if (!host.up()) return;
  const JournalPosition synced = host.store->synced();
  host.disk.crash(chance(0.5));
  const JournalPosition kept = host.journal.crash(chance(0.3), chance(0.3) ? random(8) : 0);
  model_.forget_unsynced(index, std::max({synced, kept, host.disk.durable()}));
  host.held.clear();
  host.replies.clear();
  host.keyspace.reset();
  host.node.reset();
  host.store.reset();
  ++host.boot;
  std::vector<LinkId> broken;
  for (const auto& [id, link] : links_) {
    if (link.ends[0] == index || link.ends[1] == index) broken.push_back(id);
  }
  for (const LinkId id : broken) break_link(id);
}

void World::tick(std::size_t index) {
  Host& host = *hosts_[index];
  Outbox out;
  host.node->on_tick(now(host), out);
  host.store->refresh_space();
  settle(index, out);
  on_host(index, Millis(100), [this, index] { tick(index); });
}

// Between any two steps anything else may happen.
void World::plan_work(std::size_t index) {
  Host& host = *hosts_[index];
  if (host.working || !host.node->has_work()) return;
  host.working = true;
  on_host(index, Millis(random(8)), [this, index] {
    Host& worker = *hosts_[index];
    worker.working = false;
    Outbox out;
    for (std::uint64_t steps = 1 + random(4); steps > 0 && worker.node->has_work(); --steps) {
      worker.node->work(now(worker), out);
    }
    settle(index, out);
  });
}

void World::dial(std::size_t index) {
  Host& host = *hosts_[index];
  for (std::size_t other = 0; other < hosts_.size(); ++other) {
    const bool blocked = cut_.contains({index, other}) || cut_.contains({other, index});
    if (other == index || blocked || !hosts_[other]->up() || !host.node->wants_link(address_of(other)))
      continue;
    const LinkId id{next_link_++};
    links_[id] = {{index, other}, {}};
    Outbox mine, theirs;
    host.node->on_link_up(id, address_of(other), now(host), mine);
    hosts_[other]->node->on_link_up(id, "", now(*hosts_[other]), theirs);
    settle(index, mine);
    settle(other, theirs);
  }
  on_host(index, Millis(400 + random(200)), [this, index] { dial(index); });
}

void World::break_link(LinkId id) {
  const auto found = links_.find(id);
  if (found == links_.end()) return;
  const auto ends = found->second.ends;
  links_.erase(found);
  for (const std::size_t end : ends) {
    Host& host = *hosts_[end];
    std::erase_if(host.held, [&](const Send& send) { return send.link == id; });
    if (!host.up()) continue;
    Outbox out;
    host.node->on_link_down(id, now(host), out);
    settle(end, out);
  }
}

// Carries out what a node asked for, then lets its store begin the next sync and the next commit.
void World::settle(std::size_t index, Outbox& out) {
  Host& host = *hosts_[index];
  if (!host.up()) return;
  host.node->push(now(host), out);
  for (Output& output : out) {
    if (auto* send = std::get_if<Send>(&output)) {
      host.held.push_back(std::move(*send));
    } else if (const auto* close = std::get_if<CloseLink>(&output)) {
      at(Millis(0), [this, link = close->link] { break_link(link); });
    } else if (const auto* notice = std::get_if<Notice>(&output)) {
      if (std::getenv("KNIT_SIM_TRACE") != nullptr) {
        std::fprintf(stderr, "%6ld host%zu %s\n", static_cast<long>(time_.count()), index,
                     notice->text.c_str());
      }
      if (notice->text.find("broke the protocol") != std::string::npos) violation_ = notice->text;
    }
  }
  if (!host.syncing && !host.undo_waits && host.journal.waiting()) {
    host.syncing = true;
    on_host(index, Millis(1 + random(faults_ && chance(0.05) ? 500 : 10)),
            [this, index, position = host.store->applied()] { sync_done(index, position); });
  }
  if (!host.disk.writing() && !host.undo_waits && chance(options_.commit_chance) && host.store->start_commit()) {
    on_host(index, Millis(1 + random(faults_ && chance(0.05) ? 2000 : 50)),
            [this, index] { commit_done(index); });
  }
  release(index);
  plan_work(index);
}

void World::sync_done(std::size_t index, JournalPosition position) {
  Host& host = *hosts_[index];
  host.syncing = false;
  host.journal.full = host.disk.full;
  const bool synced = host.journal.sync(position).has_value();
  host.undo_waits = !synced && host.disk.writing();
  if (!synced && !host.undo_waits) undo(index);
  Outbox none;
  settle(index, none);
}

// What was not synced never was.
void World::undo(std::size_t index) {
  Host& host = *hosts_[index];
  host.undo_waits = false;
  if (auto undone = host.store->undo_unsynced(); !undone) {
    // The process ends; the next start takes another actor once more.
    if (!host.rotten) violation_ = undone.error().message;
    return crash_and_boot(index);
  }
  model_.forget_unsynced(index, host.store->synced());
  host.held.clear();
  host.replies.clear();
  Outbox out;
  host.node->on_undone(now(host), out);
  settle(index, out);
}

void World::commit_done(std::size_t index) {
  Host& host = *hosts_[index];
  host.store->on_committed(host.disk.finish_commit());
  if (host.undo_waits) undo(index);
  Outbox none;
  settle(index, none);
}

void World::release(std::size_t index) {
  Host& host = *hosts_[index];
  const JournalPosition synced = host.store->synced();
  std::erase_if(host.replies, [&](const Reply& reply) {
    if (reply.after <= synced) model_.tell(reply.dots);
    return reply.after <= synced;
  });
  const bool early = planted(Fault::send_before_sync);
  while (!host.held.empty() && (host.held.front().after <= synced || early)) {
    Send send = std::move(host.held.front());
    host.held.pop_front();
    const auto found = links_.find(send.link);
    if (found == links_.end()) continue;
    VirtualLink& link = found->second;
    const std::size_t side = link.ends[0] == index ? 0 : 1;
    Millis& last = link.last_arrival[side][static_cast<std::size_t>(send.channel)];
    last = std::max(last, time_ + Millis(1 + random(faults_ && chance(0.02) ? 1500 : 20)));
    at(last - time_,
       [this, id = send.link, to = link.ends[1 - side], channel = send.channel,
        message = std::move(send.message)]() mutable { deliver(id, to, channel, std::move(message)); });
  }
}

void World::deliver(LinkId id, std::size_t to, Channel channel, std::string message) {
  const auto found = links_.find(id);
  if (found == links_.end()) return;
  const auto& ends = found->second.ends;
  const std::size_t from = ends[0] == to ? ends[1] : ends[0];
  bool& dead = found->second.dead[ends[0] == from ? 0 : 1];
  dead = dead || cut_.contains({from, to}) || (faults_ && chance(0.002));
  if (dead) return;
  Host& host = *hosts_[to];
  note(message.size() + to);
  Outbox out;
  host.node->on_message(id, channel, message, now(host), out);
  settle(to, out);
}

std::optional<std::string> World::run() {
  at(Millis(50), [this] { fault(); });
  at(Millis(50), [this] { inspect(); });
  run_until(time_ + options_.faults_for);
  heal();
  if (auto wrong = converge("after the faults")) return wrong;
  for (std::size_t i = 0; i < hosts_.size(); ++i) check_clock(i);
  const std::size_t victim = random(hosts_.size());
  crash(victim);
  for (int i = 0; i < 3; ++i) hosts_[victim]->disk.damage_row(random_());
  for (int i = 0; i < 3; ++i) hosts_[victim]->disk.lose_row(random_());
  boot(victim);
  return converge("after rows were damaged and lost");
}

void World::heal() {
  faults_ = false;
  cut_.clear();
  for (std::size_t i = 0; i < hosts_.size(); ++i) {
    hosts_[i]->disk.full = false;
    if (!hosts_[i]->up()) boot(i);
  }
}

bool World::converged() {
  const Host& first = *hosts_.front();
  return std::all_of(hosts_.begin(), hosts_.end(), [&](const auto& host) {
    return host->store->tree().complete() && !host->store->has_work() && !host->store->has_damage() &&
           host->store->applied() == host->store->synced() &&
           root_digest(host->store->tree(), host->store->clear(), cluster_.hash_keys) ==
               root_digest(first.store->tree(), first.store->clear(), cluster_.hash_keys) &&
           host->store->clock() == first.store->clock();
  });
}

std::optional<std::string> World::converge(const char* when) {
  const Millis deadline = time_ + options_.converge_within;
  while (!violation_ && time_ < deadline && !converged()) run_until(time_ + Millis(200));
  if (violation_) return violation_;
  if (!converged()) return std::string("no convergence ") + when;
  for (std::size_t i = 0; i < hosts_.size() && !violation_; ++i) {
    auto wrong = model_.difference(*hosts_[i]->store);
    if (!wrong) wrong = model_.miscount(*hosts_[i]->store, now(*hosts_[i]).wall);
    if (wrong) {
      violation_ = address_of(i) + " " + when + ": " + *wrong;
    } else {
      check_tree(i);
    }
    exchanges_ += hosts_[i]->node->status(now(*hosts_[i])).exchanges;
  }
  if (const auto wrong = disagreement()) violation_ = std::string(when) + ": " + *wrong;
  return violation_;
}

// A key that does not show the same everywhere, asked at one instant.
std::optional<std::string> World::disagreement() {
  const WallTime instant = now(*hosts_.front()).wall;
  const auto shown = [&](std::size_t host, const std::string& key) {
    const auto found = hosts_[host]->keyspace->get(key, instant);
    return found && *found ? std::string((*found)->value) : std::string("nothing");
  };
  for (const std::string& key : keys_) {
    for (std::size_t i = 1; i < hosts_.size(); ++i) {
      if (shown(i, key) != shown(0, key)) return "key " + key + " is not the same on " + address_of(i);
    }
  }
  return std::nullopt;
}

// Invariant 2, at any moment before rows were lost behind the store's back.
void World::check_clock(std::size_t index) {
  if (const auto wrong = model_.uncovered(*hosts_[index]->store, hosts_[index]->scarred))
    violation_ = address_of(index) + ": " + *wrong;
}

// Invariant 3, at any moment.
void World::check_tree(std::size_t index) {
  Host& host = *hosts_[index];
  if (!host.store->tree().complete()) return;
  if (!host.scarred.empty() && host.store->has_work()) return;  // It is about to be built anew.
  Store::Verification verification;
  while (verification.next) {
    if (!host.store->verify_step(verification, 1000)) return;
  }
  if (verification.wrong_leaves > 0 || (verification.damaged_rows > 0 && host.scarred.empty())) {
    violation_ = address_of(index) + ": " + std::to_string(verification.wrong_leaves) + " leaves and " +
                 std::to_string(verification.damaged_rows) + " rows are wrong";
  }
}

}  // namespace knit::sim
