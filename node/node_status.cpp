// Step 0 of a comparison: what peers tell each other once a status interval, and what follows from it.
#include <algorithm>

#include "base/fault.h"
#include "node/node.h"

namespace knit {

namespace {

constexpr std::uint64_t patience_statuses = 3;
constexpr std::uint64_t lag_max_millis = 1'000'000'000'000;
constexpr std::size_t peers_told_max = 256;
constexpr int settling_statuses = 30;
constexpr int hurried_statuses = 4;  // At most so many in an interval.
constexpr Millis log_trim_interval{1000};

// What is not the same in both, of `now`. Empty if an actor has gone: then all must be told.
std::optional<Clock> changes(const Clock& before, const Clock& now) {
  Clock changed;
  for (const auto& [actor, entry] : before.entries()) {
    if (!now.entries().contains(actor)) return std::nullopt;
  }
  for (const auto& [actor, entry] : now.entries()) {
    const auto old = before.entries().find(actor);
    if (old == before.entries().end() || !(old->second == entry)) changed.replace(actor, now);
  }
  return changed;
}

}  // namespace

// Who has not caught up himself answers no further meeting.
std::uint64_t Node::meeting_answer(const Peer& peer) const {
  if (has_caught_up()) return peer.meeting_heard;
  return peer.told ? peer.told->meeting_heard : 0;
}

Node::Told Node::my_state(const Peer& peer, Now now) {
  return {store_.clock(),           expired_,
          store_.floor(),           store_.purged(),
          store_.passes(),          meeting_,
          meeting_answer(peer),     root_digest(store_.tree(), store_.clear(), store_.hash_keys()),
          store_.tree().complete(), store_.key_count(now.wall),
          store_.floor_number(),    peer.i_fenced_at,
          is_at_work(peer),         my_lags(now)};
}

// Nothing new costs nothing. What is new in the clock is told, not all of it.
void Node::send_status(Peer& peer, Now now, Outbox& out) {
  if (!peer.link) return;
  peer.next_status = now.steady + options_.status_interval;
  Told state = my_state(peer, now);
  if (peer.told == state) return;
  const auto& told = peer.told;
  const auto clock = told ? changes(told->clock, state.clock) : std::nullopt;
  const auto floor = clock ? changes(told->floor.clock, state.floor.clock) : std::nullopt;
  const auto purged = floor ? changes(told->purged.clock, state.purged.clock) : std::nullopt;
  const bool whole = !purged;
  const auto encoded = [whole](const Clock& all, const std::optional<Clock>& changed) {
    std::string bytes;
    ByteWriter writer(bytes);
    (whole ? all : *changed).encode(writer);
    return bytes;
  };
  const std::string clock_bytes = encoded(state.clock, clock);
  const std::string floor_bytes = encoded(state.floor.clock, floor);
  const std::string purged_bytes = encoded(state.purged.clock, purged);
  Status status;
  status.root = state.root;
  status.tree_complete = state.tree_complete;
  status.keys = state.keys;
  status.clock_whole = whole;
  status.clock = clock_bytes;
  status.floor = floor_bytes;
  status.purged = purged_bytes;
  const RowMessages begun = rows_begun(peer);
  status.batches = begun.batches;
  status.turns = begun.turns;
  status.rows = begun.reads;
  status.floor_number = state.floor_number;
  status.fenced_at = state.fenced_at;
  status.time = now.wall;
  status.expired = state.expired;
  status.floor_expired = state.floor.expired;
  status.purged_expired = state.purged.expired;
  status.passes = state.passes;
  status.meeting = state.meeting;
  status.meeting_heard = state.meeting_heard;
  status.lags = state.lags;
  send(*peer.link, Channel::control, status, out);
  peer.told = std::move(state);
  peer.told_at = now.steady;
}

// Something that a peer waits for has happened: it is told sooner, but not at any price.
void Node::hasten_status(Peer& peer) const {
  peer.next_status = std::min(peer.next_status, peer.told_at + options_.status_interval / hurried_statuses);
}

// Once a status interval, and with each status: what is to be judged by what has happened since the last one.
void Node::pulse(Peer& peer, Now now, Outbox& out) {
  const double seconds = std::chrono::duration<double>(now.steady - peer.pulse_at).count();
  if (peer.pulse_at != Millis{} && seconds > 0) {
    const double pace = static_cast<double>(peer.acknowledged) / seconds;
    peer.pace = peer.pace > 0 ? (peer.pace + pace) / 2 : pace;
  }
  peer.pulse_at = now.steady;
  push_again_ = push_again_ || peer.stream_paused;
  peer.stream_paused = false;
  if (reachable(peer)) compare(peer, now, out);
  peer.acknowledged = 0;
}

void Node::handle(LinkId link, const Status& status, Now now, Outbox& out) {
  Peer& peer = *peer_of(link);
  const bool first = !peer.stream.knows_peer();
  if (!take_clock(peer, status)) return drop_link(link, "a status that cannot be understood", now, out);
  const bool answers = status.meeting_heard > peer.meeting_answered;
  peer.meeting_answered = std::max(peer.meeting_answered, status.meeting_heard);
  if (first || answers) meet(peer);
  if (peer.meeting_heard < status.meeting) hasten_status(peer);
  peer.meeting_heard = status.meeting;
  if (!reachable(peer)) {
    peer.since = now.wall;
    out.push_back(Notice{Notice::Level::info, "reached " + peer.hello.name + " at " + peer.hello.address});
  }
  if (status.fenced_at != peer.it_fenced_at) peer.tried.reset();  // It waits for us, and not for ever.
  peer.it_fenced_at = status.fenced_at;
  note_time(peer, status.time, now, out);
  peer.shown = {status.root, status.tree_complete, status.keys, peer.stream.peer_clock(), status.expired};
  push_again_ = true;
  check_my_actor(peer, now, out);
  hear_clock(peer, status);
  hold_purge();
  pulse(peer, now, out);
}

// What is late on its way makes the peer's clock seem to be behind, never ahead.
void Node::note_time(Peer& peer, WallTime told, Now now, Outbox& out) {
  const bool kept_time = keeps_time(peer);
  peer.clock_ahead = static_cast<std::int64_t>(told.millis - now.wall.millis);
  if (keeps_time(peer) == kept_time) return;
  const std::string ahead = std::to_string(*peer.clock_ahead) + " ms ahead of ours";
  out.push_back(Notice{Notice::Level::warning,
                       kept_time ? "the clock of " + peer.hello.name + " is " + ahead +
                                       ": what it writes comes by exchanges alone until that is mended"
                                 : "the clock of " + peer.hello.name + " is right again"});
}

// Their stamps would win over all that is written meanwhile by those whose clocks are right.
bool Node::keeps_time(const Peer& peer) const {
  return peer.clock_ahead.value_or(0) <= options_.clock_max_ahead.count() ||
         planted(Fault::stream_from_the_future);
}

bool Node::take_clock(Peer& peer, const Status& status) {
  ByteReader clock_in(status.clock);
  const Clock told = Clock::decode(clock_in);
  Lags lags;
  ByteReader lags_in(status.lags);
  while (lags_in.ok() && lags_in.left() > 0 && lags.size() < peers_told_max) {
    const NodeId node{lags_in.u64()};
    lags[node] = Millis(std::min(lags_in.varint(), lag_max_millis));
  }
  ByteReader floor_in(status.floor);
  const Clock floor = Clock::decode(floor_in);
  ByteReader purged_in(status.purged);
  const Clock purged = Clock::decode(purged_in);
  if (!clock_in.done() || !lags_in.done() || !floor_in.done() || !purged_in.done()) return false;
  peer.stream.on_clock(told, status.clock_whole);
  if (status.clock_whole || !peer.floor) {
    peer.floor.emplace();
    peer.purged = {};
  }
  peer.floor->clock.join(Clock::common_bases(floor, floor));
  peer.floor->expired = status.floor_expired;
  peer.purged = {std::move(peer.purged.clock), status.purged_expired};
  peer.purged.clock.join(Clock::common_bases(purged, purged));
  peer.passes = status.passes;
  peer.floor_number = status.floor_number;
  if (!peer.stream.peer_clock().within_limits() || !peer.floor->clock.within_limits() ||
      !peer.purged.clock.within_limits())
    return false;
  peer.lags = std::move(lags);
  return true;
}

// Clocks differ: streams bring what is missing, if they can. Clocks are equal and rows are not: an exchange.
void Node::compare(Peer& peer, Now now, Outbox& out) {
  const Clock& theirs = peer.shown->clock;  // That of the root; acknowledgements may have gone beyond.
  const Uint128 root = root_digest(store_.tree(), store_.clear(), store_.hash_keys());
  const bool comparable =
      (peer.shown->tree_complete && store_.tree().complete()) || planted(Fault::exchange_before_tree);
  const bool clocks_equal = theirs == store_.clock();
  // Between two that have not purged the same, roots that differ tell nothing: what was found before holds.
  const bool purged_equally = peer.purged == store_.purged() && !peer.passes && !store_.passes();
  const bool undecided = clocks_equal && !purged_equally;
  peer.sight = {root, peer.shown->root, store_.clock(), theirs};
  peer.equal =
      comparable && (peer.shown->root == root || (undecided && peer.equal) || peer.proven == peer.sight);
  if (peer.equal) peer.last_equal = now.wall;
  peer.judged = comparable && clocks_equal && purged_equally;
  if (peer.judged || !clocks_equal) peer.judged_at = now.steady;
  const bool rows_differ = comparable && clocks_equal && purged_equally && !peer.equal;
  peer.unequal_statuses = rows_differ ? peer.unequal_statuses + 1 : 0;
  if (store_.has_damage() && all_peers_show(root)) store_.forget_damaged();
  const bool below = am_below(peer);
  const bool beyond_streams = below || (!clocks_equal && help(peer, now) && comparable);
  if (clocks_equal) peer.stalls.clear();
  if ((!rows_differ && !beyond_streams) || !may_begin_session(peer) || is_paused(peer, now)) return;
  // Of two whose rows differ one begins; the other only if that one does not seem to.
  const bool mine_to_begin = store_.identity().node < peer.hello.node;
  if (beyond_streams || mine_to_begin || peer.unequal_statuses > patience_statuses)
    begin_session(peer, false, std::nullopt, now, out);
}

// Those too that are configured and were not met yet. What was found before the root was this one does not
// count.
bool Node::all_peers_show(Uint128 root) const {
  const auto shows = [root](const Peer& peer) {
    const bool proven = peer.sight.peer_root == root || peer.proven == peer.sight;
    return peer.equal && peer.sight.my_root == root && proven;
  };
  bool all = true;
  if (swim_) {
    swim_->members().visit([&](const Member& member) {
      all = all && (!member.belongs() || member.id == swim_->self().id || peers_.contains(member.id));
    });
  }
  return all &&
         std::all_of(peers_.begin(), peers_.end(),
                     [&](const auto& p) { return shows(p.second) || !is_member(p.second); }) &&
         std::all_of(options_.peers.begin(), options_.peers.end(),
                     [this](const std::string& address) { return was_met(address); });
}

// A peer knows later writes of this actor than we do: this directory was restored from an old copy. (One that
// has written as much again before it met that peer is not told from one that was copied while it was alone.)
void Node::check_my_actor(const Peer& peer, Now now, Outbox& out) {
  const ActorId actor = store_.identity().actor;
  if (peer.stream.peer_clock().highest(actor) <= store_.clock().highest(actor)) return;
  // What a session took as the clock of its start covers dots that are not ours after all.
  for (auto& [id, other] : peers_) {
    if (other.session) fail_session(other, {ErrorCode::refused, "a fresh actor was taken"}, now, out);
    other.stream.end(actor);
  }
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

// Whoever waits to compare with us hears of a tree that has become whole.
void Node::announce_tree(Now now, Outbox& out) {
  const bool complete = store_.tree().complete();
  if (complete && !tree_was_complete_) {
    for (auto& [id, peer] : peers_) send_status(peer, now, out);
  }
  tree_was_complete_ = complete;
}

void Node::on_tick(Now now, Outbox& out) {
  resume_work(now);
  std::vector<LinkId> silent;
  for (const auto& [id, link] : links_) {
    if (!link.peer && now.steady - link.up_at > options_.hello_timeout) silent.push_back(id);
  }
  for (const LinkId id : silent) drop_link(id, "no hello came in time", now, out);
  give_up_gaps(now, out);
  forget_wrong_time(now, out);
  let_expire(now);
  raise_floor(now);
  give_up_guards(now);
  may_trickle_ = true;
  // A commit may have made room, and what is held may have waited long enough.
  const bool streams_wait = may_take_some();
  streams_behind_ = streams_behind_ || options_.causal || streams_wait;
  pace_purge(streams_wait, now);
  measure_lag(now);
  hasten_reads(now, out);
  tell_state();
  announce_tree(now, out);
  for (auto& [id, peer] : peers_) {
    if (peer.link && now.steady >= peer.next_status) send_status(peer, now, out);
    if (peer.link && now.steady >= peer.pulse_at + options_.status_interval) pulse(peer, now, out);
    schedule(peer, now, out);
  }
  start_waiting_jobs(now, out);
  scrub(now, out);
  if (now.steady >= next_log_trim_) {
    next_log_trim_ = now.steady + log_trim_interval;
    store_.trim_log(now.wall);
  }
}

void Node::on_undone(Now now, Outbox& out) {
  stream_copy_ = {};  // Positions of the journal will name other writes.
  while (!links_.empty()) drop_link(links_.begin()->first, "unsynced changes were undone", now, out);
}

PeerStatus Node::peer_status(NodeId id, const Peer& peer, Now now) const {
  PeerStatus status;
  status.node = id;
  status.actor = peer.hello.actor;
  status.name = peer.hello.name;
  status.address = peer.hello.address;
  status.version = peer.hello.version;
  status.reachable = reachable(peer);
  status.since = peer.since;
  if (swim_) status.round_trip = swim_->round_trip(id);
  status.clock_ahead = peer.clock_ahead;
  status.keeps_time = keeps_time(peer);
  status.equal = peer.equal;
  status.last_equal = peer.last_equal;
  status.stream = peer.stream_stats;
  status.backlog = backlog(peer, now);
  if (peer.shown) {
    status.tree_complete = peer.shown->tree_complete;
    status.clock_equal = peer.stream.peer_clock() == store_.clock();
    const bool lately = now.steady < peer.judged_at + settling_statuses * options_.status_interval;
    status.settling = status.clock_equal && !peer.judged && lately;
    status.root = peer.shown->root;
    status.keys = peer.shown->keys;
  }
  if (peer.session) {
    status.exchange_progress = peer.session->exchange->progress();
    status.exchange_stats = peer.session->exchange->stats();
    status.exchange_duration = now.steady - peer.session->started;
  }
  return status;
}

bool Node::was_met(const std::string& address) const {
  bool met = address == options_.address || found_at_.contains(address) ||
             std::any_of(peers_.begin(), peers_.end(),
                         [&](const auto& peer) { return peer.second.hello.address == address; });
  if (met || !swim_) return met;
  swim_->members().visit(
      [&](const Member& member) { met = met || to_string(member.profile->endpoint) == address; });
  return met;
}

// Members of whom others have told, and with whom there was no link yet.
void Node::add_unmet_members(NodeStatus& status) const {
  if (!swim_) return;
  swim_->members().visit([&](const Member& member) {
    if (!member.belongs() || member.id == store_.identity().node || peers_.contains(member.id)) return;
    PeerStatus& peer = status.peers.emplace_back();
    peer.node = member.id;
    peer.name = member.profile->name;
    peer.address = to_string(member.profile->endpoint);
    peer.version = member.profile->version;
    peer.since = member.since;
  });
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
  for (const auto& [id, peer] : peers_) {
    if (is_member(peer)) status.peers.push_back(peer_status(id, peer, now));
  }
  add_unmet_members(status);
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
  status.lags = lags(now);
  status.log = {store_.log().bytes(), store_.log().bytes_max(), store_.log().oldest()};
  status.stale_reads = store_.stale_reads();
  status.conflicts_of_writes = store_.conflicts().of_writes();
  status.conflicts_of_deletes = store_.conflicts().of_deletes();
  status.above_floor = store_.floor().clock.lacks(store_.clock());
  status.purged_rows = store_.purged_rows();
  status.out_of_order = out_of_order_;
  status.lag = lag_;
  status.stale = is_stale();
  status.rows_mended = rows_mended_;
  status.stream_delays = stream_delays_;
  return status;
}

}  // namespace knit
