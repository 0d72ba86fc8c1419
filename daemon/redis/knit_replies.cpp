#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "base/bytes.h"
#include "daemon/redis/knit_commands.h"

namespace knit {

namespace {

std::string_view outcome_name(Exchange::Outcome outcome) {
  switch (outcome) {
    case Exchange::Outcome::running: return "running";
    case Exchange::Outcome::equal: return "equal";
    case Exchange::Outcome::repaired: return "repaired";
    case Exchange::Outcome::compared: return "compared";
    case Exchange::Outcome::cleared: return "cleared";
    case Exchange::Outcome::incomplete: return "incomplete";
  }
  return "unknown";
}

std::string_view state_name(Content content) {
  switch (content) {
    case Content::tombstone: return "tombstone";
    case Content::value: return "value";
    case Content::dropped: return "expired";
    case Content::cleared: return "cleared";
  }
  return "unknown";
}

std::int64_t round_trip_us(const PeerStatus& peer) {
  return peer.round_trip ? std::chrono::microseconds(*peer.round_trip).count() : -1;
}

void write_peer(Reply reply, const PeerStatus& peer) {
  MapReply map(reply.protocol());
  const ExchangeStats stats = peer.exchange_stats.value_or(ExchangeStats{});
  map.text("node", to_string(peer.node));
  map.text("actor", to_string(peer.actor));
  map.text("name", peer.name);
  map.text("address", peer.address);
  map.text("version", peer.version);
  map.flag("reachable", peer.reachable);
  map.count("since_ms", peer.since.millis);
  map.integer("round_trip_us", round_trip_us(peer));
  map.flag("tree_complete", peer.tree_complete);
  map.flag("equal", peer.equal);
  map.flag("clock_equal", peer.clock_equal);
  map.count("last_equal_ms", peer.last_equal.millis);
  map.digest("root", peer.root);
  map.count("keys", peer.keys);
  map.text("exchange_progress", peer.exchange_progress ? fmt::format("{:.4f}", *peer.exchange_progress) : "");
  map.count("rows_sent", stats.rows_sent);
  map.count("rows_received", stats.rows_received);
  map.write_to(reply);
}

void write_member(Reply reply, const PeerStatus& peer) {
  MapReply map(reply.protocol());
  map.text("node", to_string(peer.node));
  map.text("name", peer.name);
  map.text("address", peer.address);
  map.text("version", peer.version);
  map.text("state", peer.reachable ? "reachable" : "unreachable");
  map.count("since_ms", peer.since.millis);
  map.integer("round_trip_us", round_trip_us(peer));
  map.digest("root", peer.root);
  map.flag("equal", peer.equal);
  map.write_to(reply);
}

void write_side(Reply reply, const std::optional<RowSummary>& side) {
  if (!side) return reply.null();
  std::string dots;
  for (const RowVersion::Live& live : side->version.live)
    dots += (dots.empty() ? "" : ",") + to_string(live.dot);
  for (const Component& component : side->version.counter.components())
    dots += (dots.empty() ? "" : ",") + to_string(component.last_dot());
  MapReply map(reply.protocol());
  map.text("state", state_name(side->content));
  map.count("stamp_ms", side->stamp.time().millis);
  map.count("stamp_counter", side->stamp.value & 0xffff);
  map.count("value_bytes", side->value_bytes);
  map.text("dots", dots);
  map.write_to(reply);
}

void write_difference(Reply reply, const Difference& difference) {
  MapReply map(reply.protocol());
  map.text("key", difference.key);
  map.text("row_key_hex", to_hex(difference.row_key));
  write_side(map.field("mine"), difference.mine);
  write_side(map.field("theirs"), difference.theirs);
  map.write_to(reply);
}

void write_sibling(Reply reply, const Sibling& sibling, bool winner) {
  MapReply map(reply.protocol());
  map.flag("winner", winner);
  map.text("state", state_name(sibling.content));
  map.count("stamp_ms", sibling.stamp.time().millis);
  map.count("stamp_counter", sibling.stamp.value & 0xffff);
  map.text("dot", to_string(sibling.dot));
  map.integer("expires_ms", sibling.expiry.never() ? -1 : static_cast<std::int64_t>(sibling.expiry.millis));
  if (sibling.content == Content::value) {
    map.text("value", sibling.value);
  } else {
    map.field("value").null();
  }
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

// Whether this node's root is that of all peers that can be reached.
bool equal_to_reachable(const NodeStatus& status) {
  for (const PeerStatus& peer : status.peers) {
    if (peer.reachable && !peer.equal) return false;
  }
  return true;
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
  Reply peers = map.field("peers");
  peers.array(status.peers.size());
  for (const PeerStatus& peer : status.peers) write_peer(peers, peer);
  Reply exchanges = map.field("last_exchanges");
  exchanges.array(status.last_exchanges.size());
  for (const ExchangeReport& report : status.last_exchanges) write_report(exchanges, report);
  map.write_to(reply);
}

void write_members(Reply reply, const Node& node, const NodeStatus& status, const StatusExtras& extras) {
  reply.array(status.peers.size() + 1);
  MapReply self(reply.protocol());
  self.text("node", to_string(status.node));
  self.text("name", status.name);
  self.text("address", status.address);
  self.text("version", node.options().version);
  self.text("state", "self");
  self.count("since_ms", extras.started.millis);
  self.integer("round_trip_us", 0);
  self.digest("root", status.root);
  self.flag("equal", equal_to_reachable(status));
  self.write_to(reply);
  for (const PeerStatus& peer : status.peers) write_member(reply, peer);
}

void write_report(Reply reply, const ExchangeReport& report) {
  const ExchangeStats& stats = report.stats;
  MapReply map(reply.protocol());
  map.text("peer", to_string(report.peer));
  map.text("peer_name", report.peer_name);
  map.text("outcome", report.error.empty() ? outcome_name(report.outcome) : "failed");
  map.text("error", report.error);
  map.flag("initiated", report.initiated);
  map.integer("duration_ms", report.duration.count());
  map.count("ended_ms", report.ended.millis);
  map.count("messages", stats.messages_sent + stats.messages_received);
  map.count("comparison_bytes", stats.comparison_bytes_sent + stats.comparison_bytes_received);
  map.count("row_bytes", stats.row_bytes_sent + stats.row_bytes_received);
  map.count("rows_sent", stats.rows_sent);
  map.count("rows_received", stats.rows_received);
  map.count("rows_changed", stats.rows_changed);
  map.write_to(reply);
}

void write_diff(Reply reply, const JobDone& done, std::size_t limit) {
  const ExchangeReport report = done.exchange.value_or(ExchangeReport{});
  const ExchangeStats& stats = report.stats;
  const std::size_t listed = std::min(limit, done.differences.size());
  MapReply map(reply.protocol());
  map.text("peer", report.peer_name);
  map.count("found", done.differences_found);
  map.count("listed", listed);
  map.text("outcome", outcome_name(report.outcome));
  map.count("comparison_bytes", stats.comparison_bytes_sent + stats.comparison_bytes_received);
  map.count("messages", stats.messages_sent + stats.messages_received);
  map.integer("duration_ms", report.duration.count());
  Reply differences = map.field("differences");
  differences.array(listed);
  for (std::size_t at = 0; at < listed; at++) write_difference(differences, done.differences[at]);
  map.write_to(reply);
}

void write_verification(Reply reply, const Store::Verification& verification, const ScrubStatus& scrub,
                        Millis duration) {
  MapReply map(reply.protocol());
  map.count("rows", verification.rows);
  map.count("damaged_rows", verification.damaged_rows);
  map.count("wrong_leaves", verification.wrong_leaves);
  map.integer("duration_ms", duration.count());
  Reply keys = map.field("damaged_keys");
  keys.array(verification.damaged_keys.size());
  for (const std::string& key : verification.damaged_keys) keys.bulk(key);
  const ScrubReport last = scrub.last.value_or(ScrubReport{});
  map.flag("scrub_on", scrub.on);
  map.text("scrub_progress", fmt::format("{:.4f}", scrub.progress));
  map.count("scrub_ended_ms", last.ended.millis);
  map.count("scrub_rows", last.rows);
  map.count("scrub_damaged_rows", last.damaged_rows);
  map.count("scrub_wrong_leaves", last.wrong_leaves);
  map.write_to(reply);
}

void write_siblings(Reply reply, std::string_view key, const std::vector<Sibling>& siblings) {
  MapReply map(reply.protocol());
  map.text("key", key);
  Reply list = map.field("siblings");
  list.array(siblings.size());
  for (std::size_t at = 0; at < siblings.size(); at++) write_sibling(list, siblings[at], at == 0);
  map.write_to(reply);
}

}  // namespace knit
