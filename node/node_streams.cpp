// Streams to and from peers, and who streams the writes of whom.
#include <algorithm>
#include <limits>
#include <utility>

#include "base/check.h"
#include "base/fault.h"
#include "node/node.h"

namespace knit {

namespace {

constexpr int batches_per_turn = 4;
constexpr Millis purge_rest_max{5'000};
constexpr int patience = 3;  // So many times relay_after without progress: streams do not help.
constexpr std::uint64_t tenths = 10;

std::uint64_t millis(Millis time) { return static_cast<std::uint64_t>(time.count()); }

}  // namespace

// --- Out.

void Node::push(Now now, Outbox& out) {
  const ActorId actor = store_.identity().actor;
  if (actor != timed_actor_) {
    write_times_ = WriteTimes(store_.clock().base(actor));
    timed_actor_ = actor;
  }
  if (pushed_at_ == store_.applied() && !push_again_ && !push_waits_ && !streams_behind_) return;
  push_again_ = push_waits_ = streams_behind_ = false;
  take_streams(now, out);
  write_times_.note(store_.clock().base(actor), now);
  pushed_at_ = store_.applied();
  for (auto& [id, peer] : peers_) push_to(peer, now, out);
}

void Node::push_to(Peer& peer, Now now, Outbox& out) {
  if (!reachable(peer) || peer.stream_paused || peer.isolated || !may_stream(peer)) return;
  if (pushes_to(peer)) peer.stream.begin(store_.identity().actor, store_);
  OutStream::Waiting waiting = peer.stream.waiting(store_, now.steady);
  for (int i = 0; i < batches_per_turn && waiting == OutStream::Waiting::work; ++i) {
    const OutStream::Batch batch = peer.stream.next(store_, now.steady, stream_copy_);
    if (!batch.payload.empty()) {
      ++peer.stream_stats.batches_sent;
      peer.stream_stats.rows_sent += batch.rows;
      peer.stream_stats.bytes_sent += batch.payload.size();
      send_batch(peer, batch, out);
    }
    waiting = peer.stream.waiting(store_, now.steady);
  }
  streams_behind_ = streams_behind_ || waiting == OutStream::Waiting::work;
  push_waits_ = push_waits_ || waiting == OutStream::Waiting::company;
}

void Node::send_batch(const Peer& peer, const OutStream::Batch& batch, Outbox& out) {
  StreamBatch message{peer.stream.epoch(), batch.number, {}, batch.payload};
  std::string seen;
  if (options_.causal) {
    ByteWriter writer(seen);
    store_.clock().encode(writer);
    message.seen = seen;
  }
  send(*peer.link, Channel::stream, message, out);
}

// The seam for larger clusters: whoever is not pushed to must learn of writes otherwise.
bool Node::pushes_to(const Peer& peer) const {
  const auto before = std::count_if(peers_.begin(), peers_.find(peer.hello.node),
                                    [this](const auto& other) { return reachable(other.second); });
  return static_cast<std::size_t>(before) < options_.stream_peers_max;
}

// Its next status tells what it has.
void Node::begin_anew(Peer& peer) {
  peer.stream.stop();
  peer.stream_paused = true;
}

void Node::handle(LinkId link, const StreamAck& ack, Now now, Outbox&) {
  Peer& peer = *peer_of(link);
  if (ack.epoch != peer.stream.epoch()) return;
  const auto acked = ack.accepted ? peer.stream.on_ack(ack.epoch, ack.number, now.steady) : std::nullopt;
  if (!acked) return begin_anew(peer);
  push_again_ = true;
  peer.acknowledged += acked->rows;
  stream_delays_.add(static_cast<double>((now.steady - acked->built).count()), acked->rows);
  if (peer.stream.waiting(store_, now.steady) == OutStream::Waiting::nothing) hasten_status(peer);
}

// --- In.

void Node::handle(LinkId link, const StreamBatch& batch, Now now, Outbox& out) {
  const auto received = peer_of(link)->incoming.receive(batch, now.steady);
  if (!received) return drop_link(link, received.error().message, now, out);
  streams_behind_ = true;
}

// A millisecond's worth of what peers have streamed, one peer after the other; in causal order, all that was
// admitted, so that nobody sees a part of it.
//
// While too much is pending, once a tick: else others would think that the writers do not reach this node,
// and send it all of it too.
void Node::take_streams(Now now, Outbox& out) {
  if (has_too_much_pending() && !std::exchange(may_trickle_, false)) return;
  std::size_t items = options_.stream.items_per_turn;
  if (options_.causal) {
    admit(now, out);
    items = std::numeric_limits<std::size_t>::max();
  }
  auto entry = peers_.upper_bound(served_last_);
  for (std::size_t passed = 0; passed < peers_.size() && items > 0; ++passed) {
    if (entry == peers_.end()) entry = peers_.begin();
    served_last_ = entry->first;
    Peer& peer = (entry++)->second;
    while (items > 0 && may_take(peer)) take_batch(peer, items, now, out);
  }
  const bool streams_wait = may_take_some();
  streams_behind_ = streams_behind_ || (!has_too_much_pending() && streams_wait);
  pace_purge(streams_wait, now);
}

// What peers have written goes before the purge of what they have deleted: else a host that has too little
// time for both falls behind because of deletes. The purge then is behind for at most so long.
void Node::pace_purge(bool streams_wait, Now now) {
  if (!store_.has_to_purge()) purged_all_ = now.steady;
  store_.rest_purge(streams_wait && now.steady - purged_all_ < purge_rest_max);
}

bool Node::may_take_some() const {
  return std::any_of(peers_.begin(), peers_.end(), [this](const auto& p) { return may_take(p.second); });
}

bool Node::may_take(const Peer& peer) const {
  if (!peer.link || !peer.incoming.busy()) return false;
  return !options_.causal || peer.incoming.admitted() > 0;
}

// Who writes to its disk more slowly than peers send lets them wait: what is not taken is not acknowledged.
// Not when the disk is full: then it is refused.
bool Node::has_too_much_pending() const {
  return options_.pending_bytes_max > 0 && store_.pending_bytes() > options_.pending_bytes_max &&
         store_.has_reserve();
}

// Else one of the two must rejoin, or mend its clock.
bool Node::may_merge(const Peer& peer) const { return peer.shown && may_stream(peer) && keeps_time(peer); }

void Node::take_batch(Peer& peer, std::size_t& items, Now now, Outbox& out) {
  InStream::Counts counts;
  const auto done = peer.incoming.step(store_, may_merge(peer), items, now.wall, counts);
  peer.stream_stats.rows_received += counts.rows;
  peer.stream_stats.rows_changed += counts.changed;
  if (!done) return drop_link(*peer.link, done.error().message, now, out);
  if (!*done) return;
  ++peer.taken.batches;
  if ((*done)->accepted) {
    ++peer.stream_stats.batches_received;
    peer.stream_stats.bytes_received += (*done)->bytes;
    hasten_status(peer);
  } else {
    out.push_back(
        Notice{Notice::Level::debug, "refused a batch of " + peer.hello.name + ": " + (*done)->why_not});
  }
  send(*peer.link, Channel::control, StreamAck{(*done)->epoch, (*done)->number, (*done)->accepted}, out);
}

// --- Whose writes go to whom.

// Sees to it that the peer gets what it lacks. True if only an exchange can.
bool Node::help(Peer& peer, Now now) {
  const Clock& theirs = peer.stream.peer_clock();
  bool needs_exchange = false;
  for (const auto& [actor, entry] : store_.clock().entries()) {
    const bool lacks = !theirs.covers(store_.clock(), actor);
    if (lacks) {
      needs_exchange = help_with(peer, actor, now) || needs_exchange;
    } else {
      peer.stalls.erase(actor);
      if (actor != store_.identity().actor) peer.stream.end(actor);
    }
  }
  return needs_exchange;
}

// A writer streams its own writes. Those of one that does not reach the peer are relayed by whoever has them:
// of a dead one by the first holder at once, else after a while.
bool Node::help_with(Peer& peer, ActorId actor, Now now) {
  const std::uint64_t base = peer.stream.peer_clock().base(actor);
  Clock has;
  has.replace(actor, peer.stream.peer_clock());
  const auto [stall, is_new] = peer.stalls.try_emplace(actor, Stall{has, now.steady});
  const bool streams = peer.stream.streams(actor) && store_.clock().base(actor) > base;
  const bool moves = !(stall->second.has == has) || (streams && peer.acknowledged > 0);
  if (moves) stall->second = {has, now.steady};
  const Millis waited = now.steady - stall->second.since;
  const bool own = actor == store_.identity().actor;
  const bool in_log = store_.log().complete_from(actor) <= base;
  const Millis turn = options_.relay_after + options_.relay_after / static_cast<int>(tenths) *
                                                 static_cast<int>(store_.identity().node.value % tenths);
  const bool mine = own || waited >= turn || (!is_alive(actor) && is_first_holder(actor, base + 1));
  if (!mine || (!own && planted(Fault::relay_refused))) return false;
  if (!in_log) return true;
  if (own ? pushes_to(peer) : !peer.stream.streams(actor)) {
    peer.stream.begin(actor, store_);
    push_again_ = true;
  }
  return waited >= patience * options_.relay_after;
}

bool Node::is_alive(ActorId actor) const {
  return std::any_of(peers_.begin(), peers_.end(), [&](const auto& peer) {
    return peer.second.hello.actor == actor && reachable(peer.second);
  });
}

// Of all reachable nodes that have this write, this one has the lowest id.
bool Node::is_first_holder(ActorId actor, std::uint64_t sequence) const {
  return std::none_of(peers_.begin(), peers_.end(), [&](const auto& entry) {
    const auto& [id, peer] = entry;
    return id < store_.identity().node && reachable(peer) &&
           peer.stream.peer_clock().covers({actor, sequence});
  });
}

// --- What is told of it.

std::optional<Millis> Node::lag_of(const Peer& peer, Now now) const {
  if (!peer.stream.knows_peer()) return std::nullopt;
  const ActorId actor = store_.identity().actor;
  const std::uint64_t base = peer.stream.peer_clock().base(actor);
  if (base >= store_.clock().base(actor)) return Millis{0};
  const auto written = write_times_.after(base);
  if (!written) return std::nullopt;
  return now.steady - written->steady;
}

std::optional<Backlog> Node::backlog(const Peer& peer, Now now) const {
  if (!peer.stream.knows_peer()) return std::nullopt;
  const ActorId actor = store_.identity().actor;
  const Clock& theirs = peer.stream.peer_clock();
  Backlog backlog;
  backlog.writes = theirs.lacks(store_.clock());
  Clock own;
  own.replace(actor, store_.clock());
  backlog.own_writes = theirs.lacks(own);
  backlog.lag = lag_of(peer, now);
  if (backlog.own_writes > 0) {
    if (const auto written = write_times_.after(theirs.base(actor))) backlog.since = written->wall;
  }
  backlog.trimmed = backlog.own_writes > 0 && theirs.base(actor) < store_.log().complete_from(actor);
  if (backlog.writes > 0 && peer.pace >= 1) {
    backlog.drains_in =
        Millis(static_cast<Millis::rep>(static_cast<double>(backlog.writes) / peer.pace * 1000));
  }
  return backlog;
}

// How far each peer is behind our writes, for those that look from elsewhere.
std::string Node::my_lags(Now now) const {
  std::string bytes;
  ByteWriter out(bytes);
  for (const auto& [id, peer] : peers_) {
    const auto lag = lag_of(peer, now);
    if (!lag || *lag == Millis{0}) continue;
    out.u64(id.value);
    out.varint(millis(*lag));
  }
  return bytes;
}

std::vector<Lag> Node::lags(Now now) const {
  struct Known {
    NodeId node;
    ActorId actor;
    const Clock* clock;
    const Lags* lags;
  };
  std::vector<Known> nodes{{store_.identity().node, store_.identity().actor, &store_.clock(), nullptr}};
  for (const auto& [id, peer] : peers_) {
    if (peer.stream.knows_peer())
      nodes.push_back({id, peer.hello.actor, &peer.stream.peer_clock(), &peer.lags});
  }
  std::vector<Lag> lags;
  for (const Known& writer : nodes) {
    for (const Known& reader : nodes) {
      if (writer.node == reader.node) continue;
      Clock written;
      written.replace(writer.actor, *writer.clock);
      Lag lag{writer.node, reader.node, reader.clock->lacks(written), Millis{0}};
      if (writer.lags == nullptr) {
        lag.time = lag_of(peers_.at(reader.node), now);
      } else if (const auto told = writer.lags->find(reader.node); told != writer.lags->end()) {
        lag.time = told->second;
      } else if (lag.writes > 0) {
        lag.time.reset();
      }
      lags.push_back(lag);
    }
  }
  return lags;
}

}  // namespace knit
