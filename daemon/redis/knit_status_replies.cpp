// The replies that tell of a NodeStatus: what is, as far as this node knows.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "daemon/redis/knit_commands.h"

namespace knit {

namespace {

constexpr std::int64_t unknown = -1;

std::int64_t round_trip_us(std::optional<Millis> time) {
  return time ? std::chrono::microseconds(*time).count() : unknown;
}

std::int64_t millis_or_unknown(std::optional<Millis> time) { return time ? time->count() : unknown; }

std::uint64_t millis_or_zero(std::optional<WallTime> moment) { return moment ? moment->millis : 0; }

// Who lacks nothing is not behind, whatever is known of times.
std::int64_t lag_millis(std::uint64_t writes, std::optional<Millis> time) {
  return writes == 0 ? 0 : millis_or_unknown(time);
}

void add_writes(MapReply& map, std::string_view name, std::optional<std::uint64_t> writes) {
  if (writes) return map.count(name, *writes);
  map.integer(name, unknown);
}

const Lag* find_lag(const NodeStatus& status, NodeId writer, NodeId reader) {
  const auto found = std::find_if(status.lags.begin(), status.lags.end(), [&](const Lag& lag) {
    return lag.writer == writer && lag.reader == reader;
  });
  return found == status.lags.end() ? nullptr : &*found;
}

// What the peer lacks of this node, and this node of the peer's own writes.
void add_lags(MapReply& map, const NodeStatus& status, const PeerStatus& peer) {
  const Backlog* backlog = peer.backlog ? &*peer.backlog : nullptr;
  const Lag* behind = find_lag(status, peer.node, status.node);
  add_writes(map, "lag_writes", backlog ? std::optional(backlog->writes) : std::nullopt);
  map.integer("lag_ms", backlog ? lag_millis(backlog->own_writes, backlog->lag) : unknown);
  add_writes(map, "behind_writes", behind ? std::optional(behind->writes) : std::nullopt);
  map.integer("behind_ms", behind ? lag_millis(behind->writes, behind->time) : unknown);
  map.flag("trimmed", backlog && backlog->trimmed);
}

void add_stream(MapReply& map, const StreamStats& stream) {
  map.count("stream_batches_sent", stream.batches_sent);
  map.count("stream_rows_sent", stream.rows_sent);
  map.count("stream_bytes_sent", stream.bytes_sent);
  map.count("stream_batches_received", stream.batches_received);
  map.count("stream_rows_received", stream.rows_received);
  map.count("stream_rows_changed", stream.rows_changed);
  map.count("stream_bytes_received", stream.bytes_received);
}

// If it goes on as it went so far; unknown as long as that says little.
std::int64_t ends_in_millis(const PeerStatus& peer) {
  constexpr double telling_progress = 0.01;
  if (!peer.exchange_progress || !peer.exchange_duration) return unknown;
  const double progress = std::min(1.0, *peer.exchange_progress);
  if (!(progress >= telling_progress)) return unknown;
  return static_cast<std::int64_t>(static_cast<double>(peer.exchange_duration->count()) * (1 - progress) /
                                   progress);
}

void add_exchange(MapReply& map, const PeerStatus& peer) {
  const ExchangeStats stats = peer.exchange_stats.value_or(ExchangeStats{});
  map.text("exchange_progress", peer.exchange_progress ? fmt::format("{:.4f}", *peer.exchange_progress) : "");
  map.integer("exchange_duration_ms", millis_or_unknown(peer.exchange_duration));
  map.integer("exchange_ends_in_ms", ends_in_millis(peer));
  map.count("exchange_comparison_bytes", stats.comparison_bytes_sent + stats.comparison_bytes_received);
  map.count("exchange_row_bytes", stats.row_bytes_sent + stats.row_bytes_received);
  map.count("rows_sent", stats.rows_sent);
  map.count("rows_received", stats.rows_received);
}

void write_peer(Reply reply, const NodeStatus& status, const PeerStatus& peer) {
  MapReply map(reply.protocol());
  map.text("node", to_string(peer.node));
  map.text("actor", to_string(peer.actor));
  map.text("name", peer.name);
  map.text("address", peer.address);
  map.text("version", peer.version);
  map.flag("reachable", peer.reachable);
  map.count("since_ms", peer.since.millis);
  map.integer("round_trip_us", round_trip_us(peer.round_trip));
  map.integer("clock_ahead_ms", peer.clock_ahead.value_or(0));
  map.flag("keeps_time", peer.keeps_time);
  map.flag("tree_complete", peer.tree_complete);
  map.flag("equal", peer.equal);
  map.flag("clock_equal", peer.clock_equal);
  map.flag("settling", peer.settling);
  map.count("last_equal_ms", peer.last_equal.millis);
  map.digest("root", peer.root);
  map.count("keys", peer.keys);
  add_lags(map, status, peer);
  add_stream(map, peer.stream);
  add_exchange(map, peer);
  map.write_to(reply);
}

// Of a node that is known; those that were configured and never met have no id yet.
struct Name {
  NodeId node;
  std::string_view name;
};

std::vector<Name> names_of_nodes(const NodeStatus& status) {
  std::vector<Name> names{{status.node, status.name}};
  for (const PeerStatus& peer : status.peers) {
    if (peer.node != NodeId{}) names.push_back({peer.node, peer.name});
  }
  return names;
}

void write_lag(Reply reply, const Name& writer, const Name& reader, const Lag* lag) {
  MapReply map(reply.protocol());
  map.text("writer", to_string(writer.node));
  map.text("writer_name", writer.name);
  map.text("reader", to_string(reader.node));
  map.text("reader_name", reader.name);
  add_writes(map, "writes", lag ? std::optional(lag->writes) : std::nullopt);
  map.integer("time_ms", lag ? lag_millis(lag->writes, lag->time) : unknown);
  map.write_to(reply);
}

void write_hint(Reply reply, const PeerStatus& peer) {
  const Backlog* backlog = peer.backlog ? &*peer.backlog : nullptr;
  MapReply map(reply.protocol());
  map.text("peer", to_string(peer.node));
  map.text("name", peer.name);
  map.text("address", peer.address);
  map.flag("reachable", peer.reachable);
  add_writes(map, "writes", backlog ? std::optional(backlog->writes) : std::nullopt);
  add_writes(map, "own_writes", backlog ? std::optional(backlog->own_writes) : std::nullopt);
  map.count("since_ms", backlog ? millis_or_zero(backlog->since) : 0);
  map.integer("lag_ms", backlog ? lag_millis(backlog->own_writes, backlog->lag) : unknown);
  map.flag("trimmed", backlog && backlog->trimmed);
  map.integer("drains_in_ms", backlog ? lag_millis(backlog->writes, backlog->drains_in) : unknown);
  map.write_to(reply);
}

// Whether this node's root is that of all peers that can be reached.
bool equal_to_reachable(const NodeStatus& status) {
  for (const PeerStatus& peer : status.peers) {
    if (peer.reachable && !peer.equal) return false;
  }
  return true;
}

// What is known of a member's data, beside that it is one.
struct DataOfMember {
  bool reachable = false;
  bool equal = false;
  Uint128 root{};
};

DataOfMember data_of(const MemberStatus& member, const NodeStatus& status) {
  if (member.self) return {true, equal_to_reachable(status), status.root};
  const auto peer = std::find_if(status.peers.begin(), status.peers.end(),
                                 [&](const PeerStatus& p) { return p.node == member.node; });
  if (peer == status.peers.end()) return {};
  return {peer->reachable, peer->equal, peer->root};
}

void write_member(Reply reply, const MemberStatus& member, const DataOfMember& data) {
  MapReply map(reply.protocol());
  map.text("node", to_string(member.node));
  map.text("name", member.profile.name);
  map.text("address", to_string(member.profile.endpoint));
  map.text("version", member.profile.version);
  map.text("state", name(member.state));
  map.count("since_ms", member.since.millis);
  map.integer("round_trip_us", member.self ? 0 : round_trip_us(member.round_trip));
  map.digest("root", data.root);
  map.flag("equal", data.equal);
  map.flag("self", member.self);
  map.flag("reachable", data.reachable);
  map.count("protocol_min", member.profile.protocol_min);
  map.count("protocol_max", member.profile.protocol_max);
  map.count("generation", member.generation.value);
  map.count("incarnation", member.incarnation.value);
  write_tags(map.field("tags"), member.profile.tags);
  map.write_to(reply);
}

void add_totals(MapReply& map, const ExchangeStats& totals) {
  map.count("comparison_bytes_sent", totals.comparison_bytes_sent);
  map.count("comparison_bytes_received", totals.comparison_bytes_received);
  map.count("row_bytes_sent", totals.row_bytes_sent);
  map.count("row_bytes_received", totals.row_bytes_received);
  map.count("rows_sent", totals.rows_sent);
  map.count("rows_received", totals.rows_received);
  map.count("rows_changed", totals.rows_changed);
}

}  // namespace

void write_status(Reply reply, const Node& node, const NodeStatus& status, const StatusExtras& extras) {
  MapReply map(reply.protocol());
  map.text("node", to_string(status.node));
  map.text("actor", to_string(status.actor));
  map.text("name", status.name);
  map.text("address", status.address);
  map.text("cluster", status.cluster);
  map.text("version", node.options().version);
  map.integer("uptime_ms", extras.uptime.count());
  map.flag("in_sync", status.in_sync);
  map.flag("tree_complete", status.tree_complete);
  map.text("tree_fraction", fmt::format("{:.4f}", status.tree_fraction));
  map.digest("root", status.root);
  map.count("rows", status.rows);
  map.count("keys", status.keys);
  map.flag("has_space", status.has_space);
  map.count("damaged_rows", status.damaged_rows);
  map.count("bytes_on_disk", status.bytes_on_disk);
  map.count("pending_bytes", status.pending_bytes);
  map.count("clients", extras.clients);
  map.count("exchanges", status.exchanges);
  add_totals(map, status.totals);
  map.count("log_bytes", status.log.bytes);
  map.count("log_bytes_max", status.log.bytes_max);
  map.count("log_oldest_ms", millis_or_zero(status.log.oldest));
  map.count("stale_reads", status.stale_reads.count);
  map.integer("stale_read_last_ms", status.stale_reads.last_age.count());
  map.integer("stale_read_most_ms", status.stale_reads.most_age.count());
  map.count("above_floor", status.above_floor);
  map.count("purged_rows", status.purged_rows);
  map.count("out_of_order", status.out_of_order);
  map.count("lag_ms", static_cast<std::uint64_t>(status.lag.count()));
  map.flag("stale", status.stale);
  map.count("rows_mended", status.rows_mended);
  Reply peers = map.field("peers");
  peers.array(status.peers.size());
  for (const PeerStatus& peer : status.peers) write_peer(peers, status, peer);
  Reply exchanges = map.field("last_exchanges");
  exchanges.array(status.last_exchanges.size());
  for (const ExchangeReport& report : status.last_exchanges) write_report(exchanges, report);
  map.write_to(reply);
}

void write_tags(Reply reply, const std::map<std::string, std::string>& tags) {
  reply.map(tags.size());
  for (const auto& [name, value] : tags) {
    reply.bulk(name);
    reply.bulk(value);
  }
}

void write_members(Reply reply, const std::vector<MemberStatus>& members, const NodeStatus& status) {
  reply.array(members.size());
  for (const MemberStatus& member : members) write_member(reply, member, data_of(member, status));
}

void write_lags(Reply reply, const NodeStatus& status) {
  const std::vector<Name> nodes = names_of_nodes(status);
  std::map<std::pair<NodeId, NodeId>, const Lag*> known;
  for (const Lag& lag : status.lags) known[{lag.writer, lag.reader}] = &lag;
  reply.array(nodes.size() * (nodes.size() - 1));
  for (const Name& writer : nodes) {
    for (const Name& reader : nodes) {
      if (writer.node == reader.node) continue;
      const auto lag = known.find({writer.node, reader.node});
      write_lag(reply, writer, reader, lag == known.end() ? nullptr : lag->second);
    }
  }
}

void write_hints(Reply reply, const NodeStatus& status) {
  MapReply map(reply.protocol());
  map.count("bytes", status.log.bytes);
  map.count("bytes_max", status.log.bytes_max);
  map.count("oldest_ms", millis_or_zero(status.log.oldest));
  Reply peers = map.field("peers");
  peers.array(status.peers.size());
  for (const PeerStatus& peer : status.peers) write_hint(peers, peer);
  map.write_to(reply);
}

}  // namespace knit
