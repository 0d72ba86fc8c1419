// Who belongs to the cluster: membership of the nodes, and what befalls it.
#include <algorithm>

#include "base/check.h"
#include "store/restored.h"
#include "world.h"

namespace knit::sim {

namespace {

constexpr std::string_view subnet = "10.0.0.";
constexpr std::string_view port = ":7901";
constexpr double packets_lost = 0.05;
constexpr double packets_doubled = 0.02;

}  // namespace

std::string World::endpoint_of(std::size_t host) const {
  return std::string(subnet) + std::to_string(host + 1) + std::string(port);
}

std::optional<std::size_t> World::host_at(const std::string& endpoint) const {
  for (std::size_t host = 0; host < hosts_.size(); ++host) {
    if (endpoint_of(host) == endpoint) return host;
  }
  return std::nullopt;
}

bool World::is_cut(std::size_t from, std::size_t to) const {
  return exiled_ == from || exiled_ == to || cut_.contains({from, to});
}

// The first hosts found the cluster; the last one may come later, and knows one address.
void World::found() {
  for (std::size_t i = 0; i < hosts_.size(); ++i) {
    const bool late = options_.members && i > 0 && i + 1 == hosts_.size() && chance(0.5);
    if (!late) {
      boot(i);
      continue;
    }
    hosts_[i]->settled = false;
    boot_after(i, Millis(random(15'000)));
  }
}

// Whose address a new host is given; false if it must wait. Nobody joins through one who has just done so,
// had left, or was forgotten, and met nobody else since: they would be a cluster of their own.
bool World::find_seed(std::size_t host) {
  const auto settled = std::find_if(hosts_.begin(), hosts_.end(),
                                    [](const auto& other) { return other->settled && other->has_data(); });
  if (settled == hosts_.end()) return !faults_;
  if (!(*settled)->up()) return false;
  const auto seed = static_cast<std::size_t>(settled - hosts_.begin());
  hosts_[host]->seed = seed;
  return !is_cut(host, seed) && !is_cut(seed, host);
}

bool World::reaches(std::size_t host, std::size_t other) const {
  const auto peers = hosts_[host]->node->status(now(*hosts_[host])).peers;
  return std::any_of(peers.begin(), peers.end(), [&](const PeerStatus& peer) {
    return peer.node == hosts_[other]->id && peer.reachable;
  });
}

void World::settle_in(std::size_t index) {
  for (std::size_t other = 0; !hosts_[index]->settled && other < hosts_.size(); ++other) {
    hosts_[index]->settled = hosts_[other]->up() && hosts_[other]->settled && is_member_of(other, index) &&
                             is_member_of(index, other) && reaches(index, other);
  }
}

void World::start_membership(std::size_t index) {
  Host& host = *hosts_[index];
  MembershipOptions membership;
  membership.swim.suspicion = {Millis(600), 2, 1};
  membership.generation = {now(host).wall.millis << 16};  // As the daemon's.
  membership.known = host.members;
  membership.profile.name = address_of(index);
  membership.profile.endpoint = *parse_endpoint(endpoint_of(index));
  membership.profile.protocol_min = membership.profile.protocol_max = protocol_version;
  membership.profile.version = "sim";
  host.node->start_membership(membership, now(host));
  host.membership_tick = Millis::max();
  plan_membership_tick(index);
}

void World::plan_membership_tick(std::size_t index) {
  Host& host = *hosts_[index];
  const Millis next = host.node->next_membership_tick();
  if (next == host.membership_tick) return;
  host.membership_tick = next;
  if (next == Millis::max()) return;
  on_host(index, std::max(next - time_, Millis(1)), [this, index, next] {
    Host& ticked = *hosts_[index];
    if (ticked.membership_tick != next) return;
    ticked.membership_tick = Millis::max();
    Outbox out;
    ticked.node->on_membership_tick(now(ticked), out);
    settle(index, out);
  });
}

void World::send_datagram(std::size_t from, SendDatagram send) {
  const auto to = host_at(to_string(send.to));
  if (!to || is_cut(from, *to) || (faults_ && chance(packets_lost))) return;
  const Swim::Source source{hosts_[from]->store->identity().node, *parse_endpoint(endpoint_of(from)), false};
  for (int copies = faults_ && chance(packets_doubled) ? 2 : 1; copies > 0; --copies) {
    const bool slow = faults_ && (slow_.contains(*to) || chance(0.02));
    at(Millis(1 + random(slow ? 1500 : 20)),
       [this, source, to = *to, wanted = send.node, bytes = send.bytes] {
         Host& host = *hosts_[to];
         if (!host.up() || (wanted.value != 0 && wanted != host.store->identity().node)) return;
         Outbox out;
         host.node->on_datagram(source, bytes, now(host), out);
         settle(to, out);
       });
  }
}

// All see all others alive, and nobody else holds anything up.
bool World::members_agree() const {
  if (!options_.members) return true;
  const auto up = static_cast<std::size_t>(
      std::count_if(hosts_.begin(), hosts_.end(), [](const auto& host) { return host->up(); }));
  return std::all_of(hosts_.begin(), hosts_.end(), [&](const auto& host) {
    if (!host->up()) return true;
    const auto members = host->node->members();
    const auto alive = std::count_if(members.begin(), members.end(), [](const MemberStatus& member) {
      return member.state == MemberState::alive;
    });
    return static_cast<std::size_t>(alive) == up;
  });
}

bool World::is_of_present(ActorId actor) const {
  return std::any_of(hosts_.begin(), hosts_.end(), [actor](const auto& host) {
    if (!host->up()) return false;
    const NodeIdentity& mine = host->store->identity();
    return mine.actor == actor ||
           std::find(mine.retired.begin(), mine.retired.end(), actor) != mine.retired.end();
  });
}

// What the floor must come to: all, but what lies behind a gap that a node has left that is gone for good.
Clock World::common_to_all(const Host& host) const {
  Clock all = host.store->clock();
  for (const auto& [actor, entry] : host.store->clock().entries()) {
    if (!is_of_present(actor)) all.truncate(actor, entry.base);
  }
  return all;
}

// --- What befalls it.

void World::upset() {
  if (!faults_) return;
  const std::size_t host = random(hosts_.size());
  const auto action = random(6);
  // Whom alone others know would take them with it: it is exiled at most.
  constexpr std::uint64_t exiles = 3;  // And above.
  const bool may_go = action >= exiles || all_know_each_other();
  switch (may_go ? action : exiles) {
    case 0: leave(host); break;
    case 1: wipe(host); break;
    case 2: copy_to(host); break;
    default:
      if (!exiled_) exile(host);
  }
  at(Millis(1000 + random(8000)), [this] { upset(); });
}

// Nobody reaches this host for so long that some operator forgets it, while it goes on.
void World::exile(std::size_t host) {
  exiled_ = host;
  at(Millis(1500 + random(2000)), [this, host] { forget(host); });
  at(Millis(4000 + random(12'000)), [this] { exiled_.reset(); });
}

void World::forget(std::size_t host) {
  const std::size_t by = random(hosts_.size());
  // Two that have forgotten each other, before they were equal again, are two clusters.
  const bool may = by != host && hosts_[by]->up() && !model_.is_left_out(hosts_[by]->author) &&
                   hosts_[host]->up() && all_know_each_other();
  if (exiled_ != host || !may) return retry_forget(host);
  Outbox out;
  const bool done = hosts_[by]->node->forget(to_string(hosts_[host]->id), now(*hosts_[by]), out).has_value();
  settle(by, out);
  if (!done) return retry_forget(host);
  model_.leave_out(hosts_[host]->author);
  hosts_[host]->settled = false;
}

// Whom one member alone knows is lost with it, and makes another cluster.
bool World::all_know_each_other() const {
  for (std::size_t of = 0; of < hosts_.size(); ++of) {
    for (std::size_t host = 0; hosts_[of]->up() && host < hosts_.size(); ++host) {
      if (hosts_[host]->id.value != 0 && !is_member_of(host, of)) return false;
    }
  }
  return true;
}

bool World::is_member_of(std::size_t host, std::size_t of) const {
  if (!options_.members) return true;
  const Member* member = hosts_[of]->node->swim()->members().find(hosts_[host]->id);
  return member != nullptr && member->belongs();
}

void World::retry_forget(std::size_t host) {
  if (faults_ && exiled_ == host) at(Millis(300), [this, host] { forget(host); });
}

void World::leave(std::size_t index) {
  Host& host = *hosts_[index];
  if (!host.up()) return;
  Outbox out;
  host.node->leave(now(host), out);
  settle(index, out);
  model_.leave_out(host.author);
  on_host(index, Millis(300 + random(1500)), [this, index] {
    crash(index);
    boot_after(index, Millis(200 + random(6000)));
  });
}

// A host whose data are gone: another node, at the same address.
void World::wipe(std::size_t index) {
  crash(index);
  trace_host(index, "loses its data");
  Host& host = *hosts_[index];
  model_.miss(host.author);
  host.author = next_author_++;
  host.id = {};
  host.disk = {};
  host.journal = {};
  host.members.clear();
  host.scarred.clear();
  host.promised = {};
  host.rotten = false;
  host.copied_at = {};
  host.settled = false;
  boot_after(index, Millis(100 + random(3000)));
}

// The data directory of another host, which goes on, is copied to this one.
void World::copy_to(std::size_t index) {
  const Host& from = *hosts_[random(hosts_.size())];
  Host& host = *hosts_[index];
  const bool whole = from.up() && !from.disk.writing() && !from.rotten && from.scarred.empty();
  if (&from == &host || !whole || !from.settled) return;  // It would join through that one.
  const VirtualDisk disk = from.disk;
  VirtualJournal journal = from.journal;
  journal.crash(false);
  wipe(index);
  trace_host(index, "gets a copy of those of " + to_string(from.id));
  host.disk = disk;
  host.disk.full = false;
  host.journal = std::move(journal);
  host.members = from.members;
  host.copied_at = std::max(now(from).wall, from.copied_at);
}

// As the daemon does.
Result<void> World::rename_copy(std::size_t index) {
  Host& host = *hosts_[index];
  if (host.store->has_uncommitted()) {
    check(host.store->start_commit(), "a disk that was just copied has room");
    host.store->on_committed(host.disk.finish_commit());
  }
  const NodeId original = host.store->identity().node;
  host.store.reset();
  host.journal = {};
  std::string& record = host.disk.of(Table::meta).find(identity_record)->second;
  auto renamed = with_identity(record, {NodeId{random_()}, ActorId{random_()}}, index + 1);
  if (!renamed) return tl::unexpected(renamed.error());
  record = *std::move(renamed);
  auto opened = open_data(index);
  if (opened) model_.copied(original, host.store->identity().node);
  return opened;
}

}  // namespace knit::sim
