// Step 0 of a comparison: what peers tell each other once a status interval, and what follows from it.
#include <algorithm>

#include "base/fault.h"
#include "node/node.h"

namespace knit {

namespace {

constexpr std::uint64_t patience_statuses = 3;
constexpr std::uint64_t round_trip_max_millis = 3'600'000;  // A peer may send any number.

std::uint64_t millis(Millis time) { return static_cast<std::uint64_t>(time.count()); }

}  // namespace

Status Node::my_status(const Peer& peer, Now now) {
  Status status;
  status.clock_digest = store_.clock().digest(store_.hash_keys().digest);
  status.root = root_digest(store_.tree(), store_.clear(), store_.hash_keys());
  status.tree_complete = store_.tree().complete();
  status.keys = store_.key_count(now.wall);
  status.your_actor = peer.hello.actor;
  status.your_sequence = store_.clock().highest(peer.hello.actor);
  status.sent_millis = millis(now.steady);
  if (peer.status) {
    status.echo_millis = peer.status->sent_millis;
    status.held_millis = millis(now.steady - peer.status_at);
  }
  return status;
}

void Node::send_status(Peer& peer, Now now, Outbox& out) {
  if (!peer.link) return;
  peer.next_status = now.steady + options_.status_interval;
  send(*peer.link, Channel::control, my_status(peer, now), out);
}

void Node::handle(LinkId link, const Status& status, Now now, Outbox& out) {
  Peer& peer = *peer_of(link);
  if (!reachable(peer)) {
    peer.since = now.wall;
    out.push_back(Notice{Notice::Level::info, "reached " + peer.hello.name + " at " + peer.hello.address});
  }
  peer.status = status;
  peer.status_at = now.steady;
  const std::uint64_t waited = millis(now.steady) - status.echo_millis;
  if (status.echo_millis != 0 && waited >= status.held_millis &&
      waited - status.held_millis <= round_trip_max_millis) {
    peer.round_trip = Millis(static_cast<std::int64_t>(waited - status.held_millis));
  }
  check_my_actor(status, now, out);
  const Status mine = my_status(peer, now);
  const bool comparable =
      (status.tree_complete && mine.tree_complete) || planted(Fault::exchange_before_tree);
  peer.equal = comparable && status.root == mine.root;
  if (peer.equal) peer.last_equal = now.wall;
  peer.sight = {mine.root, status.root, mine.clock_digest, status.clock_digest};
  const bool differs = comparable && (!peer.equal || status.clock_digest != mine.clock_digest);
  peer.unequal_statuses = differs ? peer.unequal_statuses + 1 : 0;
  if (store_.has_damage() && all_peers_equal()) store_.forget_damaged();
  if (!differs || !may_begin_session(peer) || is_paused(peer, now)) return;
  // One of the two begins; the other only if that one does not seem to.
  const bool mine_to_begin = store_.identity().node < peer.hello.node;
  if (mine_to_begin || peer.unequal_statuses > patience_statuses)
    begin_session(peer, false, std::nullopt, now, out);
}

// Those too that are configured and were not met yet.
bool Node::all_peers_equal() const {
  return std::all_of(peers_.begin(), peers_.end(), [](const auto& p) { return p.second.equal; }) &&
         std::all_of(options_.peers.begin(), options_.peers.end(),
                     [this](const std::string& address) { return was_met(address); });
}

// A peer knows later writes of this actor than we do: this directory was restored from an old copy.
void Node::check_my_actor(const Status& status, Now now, Outbox& out) {
  const ActorId actor = store_.identity().actor;
  if (status.your_actor != actor || status.your_sequence <= store_.clock().highest(actor)) return;
  // What a session took as the clock of its start covers dots that are not ours after all.
  for (auto& [id, peer] : peers_) end_session(peer, "a fresh actor was taken", now, out);
  const auto taken = store_.reincarnate({random()}, now.wall);
  if (!taken) {
    out.push_back(Notice{Notice::Level::error, "cannot take a fresh actor: " + taken.error().message});
    return;
  }
  out.push_back(
      Notice{Notice::Level::warning,
             "peers have seen later writes of this node than it knows: the data directory is an old copy; "
             "continuing as actor " +
                 to_string(store_.identity().actor)});
  for (const auto& [link, state] : links_) send(link, Channel::control, my_hello(), out);
}

void Node::on_tick(Now now, Outbox& out) {
  resume_work(now);
  std::vector<LinkId> silent;
  for (const auto& [id, link] : links_) {
    const bool is_silent = now.steady - link.last_heard > options_.peer_timeout;
    const bool is_stranger = !link.peer && now.steady - link.up_at > options_.hello_timeout;
    if (is_silent || is_stranger) silent.push_back(id);
  }
  for (const LinkId id : silent) drop_link(id, "nothing was heard for too long", now, out);
  for (auto& [id, peer] : peers_) {
    if (peer.link && now.steady >= peer.next_status) send_status(peer, now, out);
    schedule(peer, now, out);
  }
  start_waiting_jobs(now, out);
  scrub(now, out);
}

void Node::on_undone(Now now, Outbox& out) {
  while (!links_.empty()) drop_link(links_.begin()->first, "unsynced changes were undone", now, out);
}

PeerStatus Node::peer_status(NodeId id, const Peer& peer) const {
  PeerStatus status;
  status.node = id;
  status.actor = peer.hello.actor;
  status.name = peer.hello.name;
  status.address = peer.hello.address;
  status.version = peer.hello.version;
  status.reachable = reachable(peer);
  status.since = peer.since;
  status.round_trip = peer.round_trip;
  status.equal = peer.equal;
  status.last_equal = peer.last_equal;
  if (peer.status) {
    status.tree_complete = peer.status->tree_complete;
    status.clock_equal = peer.status->clock_digest == store_.clock().digest(store_.hash_keys().digest);
    status.root = peer.status->root;
    status.keys = peer.status->keys;
  }
  if (peer.session) {
    status.exchange_progress = peer.session->exchange->progress();
    status.exchange_stats = peer.session->exchange->stats();
  }
  return status;
}

bool Node::was_met(const std::string& address) const {
  return address == options_.address || found_at_.contains(address) ||
         std::any_of(peers_.begin(), peers_.end(),
                     [&](const auto& peer) { return peer.second.hello.address == address; });
}

NodeStatus Node::status(Now now) {
  NodeStatus status;
  status.node = store_.identity().node;
  status.actor = store_.identity().actor;
  status.name = options_.name;
  status.address = options_.address;
  status.cluster = store_.cluster().name;
  status.tree_complete = store_.tree().complete();
  status.tree_fraction = store_.tree().built_fraction();
  status.root = root_digest(store_.tree(), store_.clear(), store_.hash_keys());
  status.rows = store_.tree().total().count;
  status.keys = store_.key_count(now.wall);
  status.has_space = store_.has_space();
  status.damaged_rows = store_.damaged_rows();
  status.bytes_on_disk = store_.bytes_on_disk();
  status.pending_bytes = store_.pending_bytes();
  for (const auto& [id, peer] : peers_) status.peers.push_back(peer_status(id, peer));
  for (const std::string& address : options_.peers) {
    if (!was_met(address)) status.peers.emplace_back().address = address;
  }
  std::sort(status.peers.begin(), status.peers.end(),
            [](const PeerStatus& a, const PeerStatus& b) { return a.name < b.name; });
  status.in_sync = status.tree_complete && std::all_of(status.peers.begin(), status.peers.end(),
                                                       [](const auto& p) { return p.reachable && p.equal; });
  status.last_exchanges = reports_;
  status.exchanges = exchanges_;
  status.totals = totals_;
  return status;
}

}  // namespace knit
