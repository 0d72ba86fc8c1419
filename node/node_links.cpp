// Links, hellos, and which of two links of a pair stays.
#include <algorithm>

#include "base/check.h"
#include "base/fault.h"
#include "node/node.h"

namespace knit {

namespace {

constexpr std::size_t peers_max = 256;
constexpr std::size_t hello_text_bytes_max = 255;

template <class... Kinds>
bool is_one_of(const Message& message) {
  return (std::holds_alternative<Kinds>(message) || ...);
}

bool is_of_read(const Message& message) { return is_one_of<RowRequest, RowReply, RowRepair>(message); }

// What is sent while a message is at work must not be taken for it, whose rows were read before.
bool is_turn(const Message& message) {
  const auto* turn = std::get_if<ExchangeTurn>(&message);
  return is_one_of<ExchangeOpen>(message) || (turn != nullptr && !turn->payload.empty());
}

Channel channel_of(const Message& message) {
  if (is_one_of<StreamBatch>(message)) return Channel::stream;
  const bool bulk = is_one_of<ExchangeOpen, ExchangeTurn>(message) || is_of_read(message);
  return bulk ? Channel::exchange : Channel::control;
}

// What a stranger calls itself goes into logs and terminals.
bool is_plain(std::string_view text) {
  return text.size() <= hello_text_bytes_max &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

}  // namespace

Node::Node(NodeOptions options, Store& store, std::uint64_t seed)
    : options_(std::move(options)),
      store_(store),
      random_(seed),
      boot_(random_()),
      bytes_(options_.exchange_bytes_per_second),
      rows_(options_.exchange_rows_per_second),
      scrub_(options_.scrub_interval) {}

Hello Node::my_hello() const {
  Hello hello;
  hello.cluster_id = store_.cluster().id;
  hello.node = store_.identity().node;
  hello.actor = store_.identity().actor;
  hello.boot = boot_;
  hello.name = options_.name;
  hello.address = options_.address;
  hello.version = options_.version;
  return hello;
}

Node::Peer* Node::peer_of(LinkId link) {
  const auto found = links_.find(link);
  if (found == links_.end() || !found->second.peer) return nullptr;
  return &peers_.at(*found->second.peer);
}

void Node::send(LinkId link, Channel channel, const Message& message, Outbox& out) {
  Peer* peer = peer_of(link);
  if (all_isolated_ || (peer != nullptr && peer->isolated)) return;
  if (peer != nullptr && channel == Channel::stream) ++peer->sent.batches;
  if (peer != nullptr && is_turn(message)) ++peer->sent.turns;
  if (peer != nullptr && is_of_read(message)) ++peer->sent.reads;
  const bool early = planted(Fault::acknowledged_before_sync) && std::holds_alternative<StreamAck>(message);
  out.push_back(Send{link, channel, encode(message), early ? JournalPosition{} : store_.applied()});
}

void Node::on_link_up(LinkId link, std::string dialed_address, Now now, Outbox& out) {
  links_[link] = {std::move(dialed_address), std::nullopt, now.steady};
  send(link, Channel::control, my_hello(), out);
}

void Node::on_link_down(LinkId link, Now now, Outbox& out) {
  forget_link(link, "the connection was closed", now, out);
}

void Node::drop_link(LinkId link, std::string reason, Now now, Outbox& out) {
  forget_link(link, reason, now, out);
  out.push_back(CloseLink{link, std::move(reason)});
}

void Node::forget_link(LinkId link, std::string_view reason, Now now, Outbox& out) {
  Peer* peer = peer_of(link);
  links_.erase(link);
  if (peer == nullptr || peer->link != link) return;
  end_session(*peer, std::string(reason), now, out);
  if (reachable(*peer)) {
    peer->since = now.wall;
    out.push_back(Notice{Notice::Level::warning, "lost " + peer->hello.name + ": " + std::string(reason)});
  }
  peer->link.reset();
  leave(*peer);
  if (swim_) swim_->on_link_down(peer->hello.node);
}

// What was said on a link that is gone.
void Node::leave(Peer& peer) {
  end_guard(peer);
  peer.line.end();
  peer.sent = peer.taken = {};
  peer.floor_number = peer.i_fenced_at = peer.it_fenced_at = 0;
  peer.shown.reset();
  peer.told.reset();
  peer.meeting_heard = 0;
  peer.pulse_at = {};
  peer.stream_paused = false;
  peer.incoming.clear();
  peer.equal = false;
  peer.stalls.clear();
  peer.ahead.reset();
  peer.clock_ahead.reset();
  peer.stream.stop();
  peer.pace = 0;
}

void Node::on_progress(LinkId link, Now now) {
  const auto found = links_.find(link);
  if (found == links_.end()) return;
  Peer* peer = peer_of(link);
  if (peer != nullptr && peer->session) peer->session->last_progress = now.steady;
}

bool Node::wants_link(const std::string& address) const {
  if (address == options_.address) return false;
  const bool linked = std::any_of(peers_.begin(), peers_.end(), [&](const auto& peer) {
    return peer.second.link && peer.second.hello.address == address;
  });
  if (linked) return false;
  const auto found = found_at_.find(address);
  if (found == found_at_.end()) return true;
  if (found->second == store_.identity().node) return false;
  const auto peer = peers_.find(found->second);
  return peer == peers_.end() || !peer->second.link;
}

void Node::on_message(LinkId link, Channel channel, std::string_view bytes, Now now, Outbox& out) {
  const auto found = links_.find(link);
  if (found == links_.end() || all_isolated_) return;
  const auto message = decode_message(bytes);
  if (!message) return drop_link(link, message.error().message, now, out);
  if (channel != channel_of(*message)) return drop_link(link, "a message on the wrong channel", now, out);
  if (!found->second.peer && !is_one_of<Hello, JoinRequest>(*message)) {
    return drop_link(link, "the first message was no hello", now, out);
  }
  Peer* peer = peer_of(link);
  if (peer != nullptr && peer->isolated) return;
  if (peer != nullptr && is_turn(*message)) ++peer->taken.turns;
  if (peer != nullptr && is_of_read(*message)) ++peer->taken.reads;
  std::visit([&](const auto& m) { handle(link, m, now, out); }, *message);
}

void Node::handle(LinkId link, const Hello& hello, Now now, Outbox& out) {
  if (!is_plain(hello.name) || !is_plain(hello.address) || !is_plain(hello.version)) {
    return drop_link(link, "a hello with a name that cannot be printed", now, out);
  }
  if (!accept_hello(link, hello, out)) return drop_link(link, "refused", now, out);
  Link& mine = links_.at(link);
  if (!mine.dialed_address.empty()) found_at_[mine.dialed_address] = hello.node;
  to_join_.erase(mine.dialed_address);
  if (hello.node == store_.identity().node) return drop_link(link, "this is myself", now, out);
  if (mine.peer && *mine.peer != hello.node) return drop_link(link, "a link changed its node", now, out);
  if (!peers_.contains(hello.node) && peers_.size() >= peers_max) {
    return drop_link(link, "too many peers", now, out);
  }
  forget_predecessor(hello, now, out);
  const auto [entry, is_new] = peers_.try_emplace(hello.node);
  Peer& peer = entry->second;
  peer.hello = hello;
  if (is_new) {
    peer.since = now.wall;
    peer.stream = OutStream(options_.stream);
    peer.next_scheduled =
        now.steady + Millis(random() % static_cast<std::uint64_t>(options_.exchange_interval.count()));
  }
  if (mine.peer || peer.isolated) return;
  if (!keep_link(link, peer, hello.node, now, out)) return;
  mine.peer = hello.node;
  peer.link = link;
  hold_purge();
  send_status(peer, now, out);
  if (!keys_.empty()) send(link, Channel::control, Keys{keys_}, out);
  if (!swim_) return;
  SwimOutbox said;
  swim_->on_link_up(hello.node, now, said);
  settle(said, now, out);
}

// Whoever gets this far has a key of the ring, or came from where none is asked for: see docs/security.md.
void Node::handle(LinkId link, const JoinRequest& request, Now now, Outbox& out) {
  if (!is_plain(request.name))
    return drop_link(link, "a request with a name that cannot be printed", now, out);
  if (!speaks_our_version(request.name, request.protocol_min, request.protocol_max, out)) {
    return drop_link(link, "refused", now, out);
  }
  const ClusterIdentity& cluster = store_.cluster();
  const auto bytes = [](const HashKey& key) { return std::string(key.begin(), key.end()); };
  send(link, Channel::control,
       Welcome{cluster.name, cluster.id, bytes(cluster.hash_keys.position), bytes(cluster.hash_keys.digest)},
       out);
  out.push_back(Notice{Notice::Level::info, "told " + request.name + " what this cluster is"});
}

void Node::handle(LinkId link, const Welcome&, Now now, Outbox& out) {
  drop_link(link, "a welcome that was not asked for", now, out);
}

// A host whose data directory was made anew comes back with another id at the same address.
void Node::forget_predecessor(const Hello& hello, Now now, Outbox& out) {
  const auto old = std::find_if(peers_.begin(), peers_.end(), [&](const auto& entry) {
    const auto& [id, peer] = entry;
    return id != hello.node && !peer.link && peer.hello.address == hello.address;
  });
  if (old == peers_.end()) return;
  out.push_back(Notice{Notice::Level::info,
                       hello.name + " replaces node " + to_string(old->first) + " at " + hello.address});
  remove_peer(old->first, "the peer was replaced", now, out);
}

void Node::remove_peer(NodeId id, const std::string& why, Now now, Outbox& out) {
  const auto peer = peers_.find(id);
  if (peer == peers_.end()) return;
  if (peer->second.link) drop_link(*peer->second.link, why, now, out);
  std::erase_if(found_at_, [&](const auto& found) { return found.second == id; });
  std::erase_if(jobs_, [&](const auto& job) {
    if (job.second.peer != id) return false;
    JobDone done;
    done.job = job.first;
    done.error = why;
    out.push_back(std::move(done));
    return true;
  });
  end_session(peer->second, why, now, out);
  peers_.erase(peer);
}

// Refuses strangers, with a line in the log that says why.
bool Node::accept_hello(LinkId, const Hello& hello, Outbox& out) {
  const std::string who = hello.name + " at " + hello.address;
  const auto refuse = [&](const std::string& why) {
    out.push_back(Notice{Notice::Level::warning, "refused " + who + ": " + why});
    return false;
  };
  if (hello.cluster_id != store_.cluster().id) return refuse("it belongs to another cluster");
  if (!speaks_our_version(who, hello.protocol_min, hello.protocol_max, out)) return false;
  if (hello.node == store_.identity().node && hello.boot != boot_) {
    return refuse(
        "it has this node's id: a copy of the data directory runs there; remove its data directory");
  }
  return true;
}

bool Node::speaks_our_version(const std::string& who, std::uint64_t low, std::uint64_t high,
                              Outbox& out) const {
  if (low <= protocol_version && protocol_version <= high) return true;
  out.push_back(Notice{Notice::Level::warning, "refused " + who + ": it speaks protocol versions " +
                                                   std::to_string(low) + " to " + std::to_string(high) +
                                                   ", this node " + std::to_string(protocol_version)});
  return false;
}

// Both sides must come to the same answer without asking each other.
bool Node::keep_link(LinkId link, Peer& peer, NodeId peer_id, Now now, Outbox& out) {
  if (!peer.link) return true;
  const NodeId self = store_.identity().node;
  const auto dialer = [&](LinkId id) { return links_.at(id).dialed_address.empty() ? peer_id : self; };
  const bool newer_wins = dialer(link) == dialer(*peer.link) || dialer(link) == std::min(self, peer_id);
  if (!newer_wins) {
    drop_link(link, "there is another link to this node", now, out);
    return false;
  }
  const LinkId old = *peer.link;
  end_session(peer, "the link was replaced", now, out);
  peer.link.reset();
  leave(peer);
  links_.erase(old);
  out.push_back(CloseLink{old, "there is another link to this node"});
  return true;
}

Result<NodeId> Node::find_peer(std::string_view name) const {
  std::optional<NodeId> found;
  for (const auto& [id, peer] : peers_) {
    const bool is_prefix = name.size() >= 4 && to_string(id).starts_with(name);
    if (peer.hello.name != name && peer.hello.address != name && !is_prefix) continue;
    if (found)
      return fail(ErrorCode::refused, "more than one peer is called " + std::string(name) + "; name its id");
    found = id;
  }
  if (!found)
    return fail(ErrorCode::not_found, "no peer is called " + std::string(name) + "; see KNIT MEMBERS");
  return *found;
}

Result<void> Node::isolate(std::string_view name, bool isolated, Now now, Outbox& out) {
  if (name.empty()) {
    all_isolated_ = isolated;
    for (auto& [id, peer] : peers_) set_isolated(peer, isolated, now, out);
    return {};
  }
  const auto id = find_peer(name);
  if (!id) return tl::unexpected(id.error());
  set_isolated(peers_.at(*id), isolated, now, out);
  return {};
}

void Node::set_isolated(Peer& peer, bool isolated, Now now, Outbox& out) {
  const bool ends = peer.isolated && !isolated;
  peer.isolated = isolated;
  if (ends && peer.link) drop_link(*peer.link, "it was isolated, and lost messages", now, out);
}

}  // namespace knit
