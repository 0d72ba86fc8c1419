#include "world.h"

#include <algorithm>

#include "base/fault.h"
#include "merkle/tree.h"
#include "trace.h"

namespace knit::sim {

namespace {

constexpr std::uint64_t start_of_time = 1'700'000'000'000;
constexpr std::size_t travellers_max = 30;

}  // namespace

World::World(WorldOptions options) : options_(options), random_(options.seed), next_author_(options.hosts) {
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
    hosts_[i]->author = i;
    hosts_[i]->seed = i == 0 ? 1 : 0;
    const std::int64_t skew_max = options_.skew_max.count();
    hosts_[i]->skew_millis =
        static_cast<std::int64_t>(random(2 * static_cast<std::uint64_t>(skew_max))) - skew_max;
  }
  found();
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

void World::trace_host(std::size_t host, const std::string& what) const {
  if (tracing()) trace(std::to_string(time_.count()) + " " + address_of(host) + " " + what);
}

void World::trace_state() {
  if (!tracing()) return;
  for (std::size_t i = 0; i < hosts_.size(); ++i) {
    Host& host = *hosts_[i];
    trace_host(i, host.up() ? "is node " + to_string(host.id) : "is down");
    if (!host.up()) continue;
    const Store& store = *host.store;
    for (const MemberStatus& member : host.node->members())
      trace("  member " + member.profile.name + " " + to_string(member.node) + " " +
            std::string(name(member.state)));
    for (const PeerStatus& peer : host.node->status(now(host)).peers)
      trace("  peer " + peer.name + (peer.reachable ? "" : " not") + " reachable," +
            (peer.equal ? "" : " not") + " equal");
    trace("  clock" + text_of(store.clock()));
    trace("  floor" + text_of(store.floor().clock) + " expired " +
          std::to_string(store.floor().expired.millis));
    trace("  purged" + text_of(store.purged().clock) + " expired " +
          std::to_string(store.purged().expired.millis));
    trace(std::string("  tree ") + (store.tree().complete() ? "complete" : "being built") +
          (store.has_work() ? ", has work" : "") + (store.has_damage() ? ", has damage" : "") +
          (store.applied() == store.synced()
               ? ""
               : ", not synced: applied " + std::to_string(store.applied().value) + ", synced " +
                     std::to_string(store.synced().value)));
  }
  for (const auto* keys : {&keys_, &counters_}) {
    for (const std::string& key : *keys) trace_row(key);
  }
}

// If it is not the same on all.
void World::trace_row(const std::string& key) {
  std::set<std::string> rows;
  std::string lines;
  for (std::size_t i = 0; i < hosts_.size(); ++i) {
    if (!hosts_[i]->up()) continue;
    const auto row = hosts_[i]->store->read(key);
    const std::string text = row ? text_of(row->row) : " " + row.error().message;
    lines += "\n  " + address_of(i) + text;
    rows.insert(text);
  }
  if (rows.size() > 1) trace("rows of " + key.substr(0, 20) + lines);
}

void World::run_until(Millis end) {
  while (!violation_ && !events_.empty() && events_.top().at <= end) {
    violation_ = model_.contradiction();
    Event event = events_.top();
    events_.pop();
    time_ = event.at;
    note(static_cast<std::uint64_t>(time_.count()) ^ (event.order << 20));
    event.run();
    if (violation_) trace_state();
  }
  time_ = std::max(time_, end);
}

Result<void> World::open_data(std::size_t index) {
  Host& host = *hosts_[index];
  StoreOptions options;
  options.cluster = cluster_;
  options.fresh = {{random_()}, {random_()}};
  options.place = options_.members ? index + 1 : 0;
  options.disk_reserve_bytes = 1;
  options.log = options_.log;
  options.clock_max_ahead = clock_max_ahead;
  auto store = Store::open(host.disk, host.journal, options);
  if (!store) return tl::unexpected(store.error());
  host.store = std::move(*store);
  return host.store->is_copy() ? rename_copy(index) : Result<void>{};
}

NodeOptions World::node_options(std::size_t index) const {
  NodeOptions node;
  node.name = address_of(index);
  node.address = endpoint_of(index);
  for (std::size_t other = 0; other < options_.hosts; ++other) {
    if (!options_.members || other == hosts_[index]->seed) node.peers.push_back(endpoint_of(other));
  }
  node.exchange_interval = options_.exchange_interval;
  if (options_.narrow_streams) {
    node.stream.batch_bytes = 300;
    node.stream.window_bytes_min = 500;
    node.stream.window_bytes_max = 4000;
    node.stream.items_per_turn = 2;
  }
  node.clock_max_ahead = clock_max_ahead;
  node.causal = options_.causal;
  node.exchange_deadline = options_.exchange_deadline;
  node.rows_per_step = 3;
  return node;
}

void World::boot(std::size_t index) {
  Host& host = *hosts_[index];
  host.syncing = host.undo_waits = host.working = false;
  if (auto opened = open_data(index); !opened) {
    violation_ = "host does not open its store: " + opened.error().message;
    return;
  }
  if (!host.store->clock().covers(host.promised))
    violation_ = address_of(index) + " lost what it acknowledged";
  host.promised = {};
  if (host.store->must_commit_first() && host.store->start_commit()) {
    const auto committed = host.disk.finish_commit();
    host.store->on_committed(committed);
    if (!committed && host.store->is_new()) {  // As the daemon: there is no room even for who this is.
      host.store.reset();
      return boot_after(index, Millis(300));
    }
  }
  host.id = host.store->identity().node;
  trace_host(index,
             "starts as node " + to_string(host.id) + ", actor " + to_string(host.store->identity().actor));
  host.node = std::make_unique<Node>(node_options(index), *host.store, random_());
  host.keyspace = std::make_unique<Keyspace>(*host.store);
  if (options_.members) start_membership(index);
  on_host(index, Millis(random(100)), [this, index] { tick(index); });
  on_host(index, Millis(random(300)), [this, index] { dial(index); });
  on_host(index, Millis(random(300)), [this, index] { client(index); });
}

void World::crash(std::size_t index) {
  Host& host = *hosts_[index];
  if (!host.up()) return;
  trace_host(index, "crashes");
  note_promises(index);
  if (options_.members && host.node->swim()->left()) host.settled = false;
  const JournalPosition synced = host.store->synced();
  host.disk.crash(chance(0.5));
  const JournalPosition kept = host.journal.crash(chance(0.3), chance(0.3) ? random(8) : 0);
  model_.forget_unsynced(host.author, std::max({synced, kept, host.disk.durable()}));
  host.held.clear();
  host.replies.clear();
  host.reads.clear();
  host.guests.clear();
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

// What writers take for delivered: not only received.
void World::note_promises(std::size_t index) {
  if (hosts_[index]->rotten) return;
  for (const auto& host : hosts_) {
    if (host == hosts_[index] || !host->up()) continue;
    const ActorId actor = host->store->identity().actor;
    for (const PeerStatus& peer : host->node->status(now(*host)).peers) {
      const bool delivered = peer.name == address_of(index) && peer.reachable && peer.backlog &&
                             peer.backlog->own_writes == 0 && host->store->clock().base(actor) > 0;
      if (delivered) hosts_[index]->promised.add(actor, {1, host->store->clock().base(actor)});
    }
  }
}

void World::tick(std::size_t index) {
  Host& host = *hosts_[index];
  Outbox out;
  host.node->on_tick(now(host), out);
  host.store->refresh_space();
  settle_in(index);
  if (auto members = host.node->take_members()) host.members = *std::move(members);
  settle(index, out);
  on_host(index, Millis(100), [this, index] { tick(index); });
}

// Between any two steps anything else may happen.
void World::plan_work(std::size_t index) {
  Host& host = *hosts_[index];
  if (host.working || !host.node->has_work()) return;
  host.working = true;
  on_host(index, Millis(random(faults_ && chance(0.1) ? 1500 : 8)), [this, index] {
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
  const std::set<std::string> wanted = host.node->wanted_links();
  for (std::size_t other = 0; other < hosts_.size(); ++other) {
    const bool blocked = is_cut(index, other) || is_cut(other, index);
    if (other == index || blocked || !hosts_[other]->up() || !wanted.contains(endpoint_of(other))) continue;
    const LinkId id{next_link_++};
    links_[id] = {{index, other}, {}};
    Outbox mine, theirs;
    host.node->on_link_up(id, endpoint_of(other), now(host), mine);
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
      note_rejoin(index, *send);
      host.held.push_back(std::move(*send));
    } else if (const auto* close = std::get_if<CloseLink>(&output)) {
      at(Millis(0), [this, link = close->link] { break_link(link); });
    } else if (const auto* done = std::get_if<JobDone>(&output)) {
      end_read(host, *done);
    } else if (auto* datagram = std::get_if<SendDatagram>(&output)) {
      send_datagram(index, std::move(*datagram));
    } else if (const auto* notice = std::get_if<Notice>(&output)) {
      trace_host(index, notice->text);
      if (notice->text.find("broke the protocol") != std::string::npos) violation_ = notice->text;
      const bool gives_up = notice->text.find("no member has them") != std::string::npos;
      if (gives_up && !model_.is_left_out(host.author)) model_.give_up(*host.store, others_than(index));
    }
  }
  if (!host.syncing && !host.undo_waits && host.journal.waiting()) {
    host.syncing = true;
    const bool slow = faults_ && (slow_.contains(index) || chance(0.05));
    on_host(index, Millis(1 + random(slow ? 500 : 10)),
            [this, index, position = host.store->applied()] { sync_done(index, position); });
  }
  if (!host.disk.writing() && !host.undo_waits && chance(options_.commit_chance) &&
      host.store->start_commit()) {
    on_host(index, Millis(1 + random(faults_ && chance(0.05) ? 2000 : 50)),
            [this, index] { commit_done(index); });
  }
  release(index);
  plan_work(index);
  if (host.up() && options_.members) plan_membership_tick(index);
  if (!host.up()) return;
  const Line& floor = host.store->floor();
  model_.note_floor({floor.clock, std::min(floor.expired, earliest([&](std::size_t other) {
                                             return other == index || is_member_of(other, index);
                                           }))});
}

void World::note_rejoin(std::size_t index, const Send& send) {
  if (send.channel != Channel::exchange) return;
  const auto message = decode_message(send.message);
  const auto* open = message ? std::get_if<ExchangeOpen>(&*message) : nullptr;
  if (open == nullptr || Exchange::mode_asked(open->payload) != ExchangeMode::fence) return;
  if (hosts_[index]->store->clock().empty()) return;  // There is nothing to drop.
  const auto link = links_.find(send.link);
  if (link == links_.end()) return;
  const auto& ends = link->second.ends;
  const std::size_t through = ends[0] == index ? ends[1] : ends[0];
  model_.rejoins(hosts_[index]->id, hosts_[through]->author);
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
  model_.forget_unsynced(host.author, host.store->synced());
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
    if (reply.after > synced) return false;
    model_.tell(reply.dots);
    if (reply.token) travellers_.push_back({reply.key, reply.dots, *reply.token, index, time_});
    if (travellers_.size() > travellers_max) travellers_.pop_front();
    return true;
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
    const bool slow = faults_ && (slow_.contains(link.ends[1 - side]) || chance(0.02));
    last = std::max(last, time_ + Millis(1 + random(slow ? 1500 : 20)));
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
  const bool lost = is_cut(from, to) || (faults_ && chance(0.002));
  if (lost && !dead) at(Millis(1000 + random(4000)), [this, id] { break_link(id); });  // As TCP gives up.
  dead = dead || lost;
  if (dead) return;
  Host& host = *hosts_[to];
  note(message.size() + to);
  Outbox out;
  host.node->on_message(id, channel, message, now(host), out);
  settle(to, out);
  if (faults_ && channel == Channel::stream && chance(0.2)) check_clock(to);
}

}  // namespace knit::sim
