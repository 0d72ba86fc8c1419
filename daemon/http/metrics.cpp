#include "daemon/http/metrics.h"

#include <prometheus/text_serializer.h>

#include <algorithm>
#include <optional>
#include <set>
#include <sstream>
#include <utility>
#include <vector>

#include "daemon/http/metric_list.h"

namespace knit {

namespace {

constexpr std::size_t label_bytes_max = 128;

double number(std::uint64_t count) { return static_cast<double>(count); }

// --- Naming.

std::string printable(std::string_view text) {
  std::string out(text.substr(0, label_bytes_max));
  for (char& c : out) {
    if (c < ' ' || c > '~') c = '_';
  }
  return out;
}

std::string name_of(const PeerStatus& peer) {
  return printable(peer.name.empty() ? peer.address : peer.name);
}

struct NamedPeer {
  std::string name;
  const PeerStatus* status{};
};

std::vector<NamedPeer> named_peers(const NodeStatus& node) {
  std::map<std::string, unsigned> nodes_of_name{{printable(node.name), 1}};
  for (const PeerStatus& peer : node.peers) nodes_of_name[name_of(peer)]++;
  std::vector<NamedPeer> out;
  std::set<std::string> taken{printable(node.name)};
  for (const PeerStatus& peer : node.peers) {
    if (out.size() == metrics_peers_max) break;
    std::string name = name_of(peer);
    if (nodes_of_name[name] > 1) name += " " + (peer.name.empty() ? "unmet" : to_string(peer.node));
    if (taken.insert(name).second) out.push_back({std::move(name), &peer});
  }
  return out;
}

Labels peer_label(const NamedPeer& peer) { return {{"peer", peer.name}}; }

// --- Telling.

void process_metrics(const MetricsSource& source, MetricList& out) {
  const NodeStatus& node = source.node;
  const ProcessFigures& process = source.process;
  out.info("knit_build_info", "Always 1; the label tells the version of knitd.",
           {{"version", printable(source.version)}});
  out.info(
      "knit_node_info", "Always 1; the labels tell who this node is.",
      {{"cluster", printable(node.cluster)}, {"node", printable(node.name)}, {"id", to_string(node.node)}});
  out.gauge("knit_start_time_seconds", "When the daemon started, since 1970.", seconds(process.started));
  out.gauge("knit_uptime_seconds", "How long the daemon has been running.", process.uptime_seconds);
  out.counter("knit_cpu_seconds_total", "Processor time of the daemon, user and system.",
              process.cpu_seconds);
  out.gauge("knit_resident_memory_bytes",
            "Memory of the daemon, with the pages of the database it has mapped.",
            number(process.resident_bytes));
}

void data_metrics(const MetricsSource& source, MetricList& out) {
  const NodeStatus& node = source.node;
  const StoreFigures& store = source.store;
  out.gauge("knit_keys", "Keys that exist. Approximate until the tree is complete.", number(node.keys));
  out.gauge("knit_rows", "Rows in the tree: keys and tombstones.", number(node.rows));
  out.gauge("knit_damaged_rows", "Rows that failed their checksum and were not healed yet.",
            number(node.damaged_rows));
  out.gauge("knit_tree_complete", "1 if the tree covers all rows, 0 while it is built.",
            number(node.tree_complete));
  out.gauge("knit_tree_built_ratio", "How much of the tree is built.", node.tree_fraction);
  out.gauge("knit_tree_memory_bytes", "Memory of the tree.", number(store.tree_bytes));
  out.gauge("knit_disk_used_bytes", "Size of the database file.", number(node.bytes_on_disk));
  out.gauge("knit_disk_has_space", "1 if writes of clients are accepted, 0 if there is no room for them.",
            number(node.has_space));
  out.gauge("knit_pending_bytes", "Memory of writes that are not in the database file yet.",
            number(node.pending_bytes));
  out.counter("knit_commits_total", "Commits to the database file.", number(store.commits));
  out.counter("knit_committed_rows_total", "Rows that commits have written to the database file.",
              number(store.committed_rows));
  out.counter("knit_journal_syncs_total", "Syncs of the journal.", number(store.journal_syncs));
  out.gauge("knit_journal_size_bytes", "Size of the journal's files.", number(store.journal_bytes));
  out.gauge("knit_journal_unsynced_changes", "Changes that the journal has not synced yet.",
            number(store.unsynced_changes));
}

void scrub_metrics(const ScrubStatus& scrub, MetricList& out) {
  const auto last = [&](auto value) -> std::optional<double> {
    return scrub.last ? std::optional(value(*scrub.last)) : std::nullopt;
  };
  out.gauge("knit_scrub_enabled", "1 if the scrub is switched on.", number(scrub.on));
  out.gauge("knit_scrub_progress_ratio", "How far the pass of the scrub is that runs.", scrub.progress);
  out.gauge("knit_scrub_last_end_timestamp_seconds", "When the last pass of the scrub ended.",
            last([](const ScrubReport& r) { return seconds(r.ended); }));
  out.gauge("knit_scrub_last_rows", "Rows that the last pass looked at.",
            last([](const ScrubReport& r) { return number(r.rows); }));
  out.gauge("knit_scrub_last_damaged_rows", "Damaged rows that the last pass found.",
            last([](const ScrubReport& r) { return number(r.damaged_rows); }));
  out.gauge("knit_scrub_last_wrong_leaves",
            "Leaves of the tree that the last pass found to disagree with the rows.",
            last([](const ScrubReport& r) { return number(r.wrong_leaves); }));
}

void client_metrics(const ClientFigures& clients, MetricList& out) {
  out.gauge("knit_clients", "Clients that are connected.", number(clients.connected));
  out.counter("knit_client_connections_total", "Connections of clients that were accepted.",
              number(clients.connections));
  out.counter("knit_client_connections_rejected_total",
              "Connections that were turned away, at the limit or by the protected mode.",
              number(clients.rejected));
  out.counter("knit_client_connections_overflowed_total",
              "Connections that were closed because the client did not read its answers.",
              number(clients.overflowed));
  out.counter("knit_client_received_bytes_total", "Bytes that came from clients.",
              number(clients.input_bytes));
  out.counter("knit_client_sent_bytes_total", "Bytes that went to clients.", number(clients.output_bytes));
  out.counter("knit_commands_processed_total", "Commands that were executed.", number(clients.commands));
  out.counter("knit_keyspace_hits_total", "Reads of a key that was there.", number(clients.hits));
  out.counter("knit_keyspace_misses_total", "Reads of a key that was not there.", number(clients.misses));
  out.counter("knit_stale_node_fetches_total",
              "Commands whose rows were got from a peer first, because this node was behind.",
              number(clients.reads_fetched));
  out.counter("knit_stale_node_refusals_total", "Commands refused because this node was behind.",
              number(clients.reads_refused));
  out.counters(
      "knit_error_replies_total", "Answers to clients that were errors, by their code.", clients.errors,
      [](const auto& error) { return Labels{{"code", printable(error.first)}}; },
      [](const auto& error) { return number(error.second); });
}

void command_metrics(const std::vector<CommandFigures>& commands, MetricList& out) {
  const auto label = [](const CommandFigures& c) { return Labels{{"command", c.name}}; };
  out.counters("knit_commands_total", "Calls of each command that was used.", commands, label,
               [](const CommandFigures& c) { return number(c.calls); });
  out.counters("knit_command_duration_seconds_total", "Time spent in the calls of each command.", commands,
               label, [](const CommandFigures& c) { return c.seconds; });
  out.counters("knit_commands_failed_total", "Calls of each command that were answered with an error.",
               commands, label, [](const CommandFigures& c) { return number(c.failed); });
  out.counters("knit_commands_rejected_total", "Calls of each command that were refused before they ran.",
               commands, label, [](const CommandFigures& c) { return number(c.rejected); });
}

void cluster_metrics(const NodeStatus& node, MetricList& out) {
  const auto count = [&](auto is) {
    return number(static_cast<std::uint64_t>(std::count_if(node.peers.begin(), node.peers.end(), is)));
  };
  out.gauge("knit_in_sync", "1 if all peers, known or configured, are reachable and equal.",
            number(node.in_sync));
  out.gauge("knit_peers", "Other nodes, known or configured.", number(node.peers.size()));
  out.gauge("knit_peers_reachable", "Other nodes that are reachable.",
            count([](const PeerStatus& p) { return p.reachable; }));
  out.gauge("knit_peers_equal",
            "Other nodes that are reachable and had the same data as this one when last heard.",
            count([](const PeerStatus& p) { return p.reachable && p.equal; }));
}

void member_metrics(const GossipFigures& gossip, MetricList& out) {
  const SwimCounters& swim = gossip.swim;
  out.gauges(
      "knit_members", "Members, this node among them, by what they are taken for.", gossip.members,
      [](const auto& members) { return Labels{{"state", std::string(name(members.first))}}; },
      [](const auto& members) { return number(members.second); });
  out.counter("knit_gossip_probes_total", "Members asked whether they are there.", number(swim.probes));
  out.counter("knit_gossip_probes_failed_total", "Members asked that did not answer, nor to others.",
              number(swim.probes_failed));
  out.counter("knit_gossip_suspicions_total",
              "Members that this node began to suspect, by itself or as told.", number(swim.suspicions));
  out.counter("knit_gossip_deaths_declared_total", "Members that this node declared dead.",
              number(swim.deaths));
  out.counter("knit_gossip_refutations_total", "Times that this node denied what was said of it.",
              number(swim.refutations));
  out.counter("knit_gossip_false_alarms_total",
              "Members taken for dead that had not ended: a pause, or a cut that healed.",
              number(swim.false_alarms));
  out.counter("knit_gossip_comparisons_total", "Comparisons of lists of members that this node began.",
              number(swim.comparisons));
  out.counter("knit_gossip_stalls_total", "Times that this process was stopped for longer than it may be.",
              number(swim.stalls));
  out.counter("knit_gossip_bad_packets_total", "Packets of members that made no sense.",
              number(swim.bad_packets));
  out.gauge("knit_gossip_queue_length", "News of members that wait to be told.", number(gossip.queue_length));
  out.gauge("knit_gossip_health_score",
            "0 if all is well; higher while this node has reason to doubt itself, and is slower to suspect.",
            gossip.health_score);
}

using Count = std::pair<std::string, std::uint64_t>;  // With its label.

void labelled_counters(MetricList& out, const char* name, const char* help, const std::string& label,
                       const std::vector<Count>& counts) {
  out.counters(
      name, help, counts, [&](const Count& count) { return Labels{{label, count.first}}; },
      [](const Count& count) { return number(count.second); });
}

void datagram_metrics(const GossipCounts& socket, MetricList& out) {
  const DatagramCounts& sealing = socket.sealing;
  labelled_counters(out, "knit_gossip_packets_total", "Datagrams of gossip.", "direction",
                    {{"sent", socket.packets_sent}, {"received", socket.packets_received}});
  labelled_counters(out, "knit_gossip_bytes_total", "Bytes of the datagrams of gossip.", "direction",
                    {{"sent", socket.bytes_sent}, {"received", socket.bytes_received}});
  out.counter("knit_gossip_unsent_total", "Datagrams that could not be sent, and were dropped.",
              number(socket.packets_unsent));
  std::vector<Count> dropped;
  for (std::size_t reason = 0; reason < drop_reasons; reason++) {
    dropped.emplace_back(name(static_cast<DropReason>(reason)), sealing.dropped[reason]);
  }
  labelled_counters(out, "knit_gossip_dropped_total", "Datagrams that came and were not taken.", "reason",
                    dropped);
  labelled_counters(
      out, "knit_gossip_challenges_total",
      "Challenges to prove that a datagram is no recording: what each start of a node begins with.",
      "direction", {{"sent", sealing.challenged}, {"received", sealing.responded}});
}

template <class ValueOf>
void peer_gauge(MetricList& out, const char* name, const char* help, const std::vector<NamedPeer>& peers,
                ValueOf value) {
  out.gauges(name, help, peers, peer_label, [&](const NamedPeer& peer) { return value(*peer.status); });
}

template <class ValueOf>
void peer_counter(MetricList& out, const char* name, const char* help, const std::vector<NamedPeer>& peers,
                  ValueOf value) {
  out.counters(name, help, peers, peer_label, [&](const NamedPeer& peer) { return value(*peer.status); });
}

std::optional<double> time_or_never(WallTime time) {
  return time == WallTime{} ? std::nullopt : std::optional(seconds(time));
}

void peer_metrics(const std::vector<NamedPeer>& peers, MetricList& out) {
  using P = const PeerStatus&;
  peer_gauge(out, "knit_peer_reachable", "1 if the peer is reachable.", peers,
             [](P p) { return number(p.reachable); });
  peer_gauge(out, "knit_peer_reachable_changed_timestamp_seconds",
             "When the peer became reachable, or ceased to be.", peers,
             [](P p) { return time_or_never(p.since); });
  peer_gauge(out, "knit_peer_round_trip_seconds", "Time to the peer and back, as last measured.", peers,
             [](P p) { return seconds(p.round_trip); });
  peer_gauge(
      out, "knit_peer_clock_ahead_seconds",
      "How far the peer's clock is ahead of ours, by its last status; what is late makes it less.", peers,
      [](P p) { return p.clock_ahead ? std::optional(seconds(Millis(*p.clock_ahead))) : std::nullopt; });
  peer_gauge(out, "knit_peer_equal", "1 if the peer's data were equal to ours when it was last heard.", peers,
             [](P p) { return number(p.equal); });
  peer_gauge(out, "knit_peer_clock_equal", "1 if the peer has the same writes as this node.", peers,
             [](P p) { return number(p.clock_equal); });
  peer_gauge(out, "knit_peer_last_equal_timestamp_seconds", "When the peer's data were last equal to ours.",
             peers, [](P p) { return time_or_never(p.last_equal); });
  peer_gauge(out, "knit_peer_tree_complete", "1 if the peer's tree covers all its rows.", peers,
             [](P p) { return number(p.tree_complete); });
  peer_gauge(out, "knit_peer_keys", "Keys that the peer says it has.", peers,
             [](P p) { return p.name.empty() ? std::nullopt : std::optional(number(p.keys)); });
}

void backlog_metrics(const std::vector<NamedPeer>& peers, MetricList& out) {
  const auto gauge = [&](const char* name, const char* help, auto value) {
    peer_gauge(out, name, help, peers, [&](const PeerStatus& peer) -> std::optional<double> {
      return peer.backlog ? std::optional<double>(value(*peer.backlog)) : std::nullopt;
    });
  };
  gauge("knit_peer_backlog_writes", "Writes of all nodes that this node has and the peer lacks: its hints.",
        [](const Backlog& b) { return number(b.writes); });
  gauge("knit_peer_backlog_own_writes", "Writes of this node that the peer lacks.",
        [](const Backlog& b) { return number(b.own_writes); });
  gauge("knit_peer_backlog_trimmed",
        "1 if the log no longer has all of this node's own writes that the peer lacks: an exchange brings "
        "them.",
        [](const Backlog& b) { return number(b.trimmed); });
  peer_gauge(out, "knit_peer_backlog_age_seconds", "Age of the oldest own write that the peer lacks.", peers,
             [](const PeerStatus& p) { return p.backlog ? seconds(p.backlog->lag) : std::nullopt; });
  peer_gauge(out, "knit_peer_backlog_drain_seconds",
             "Time until the peer has all, at the pace of the last seconds.", peers,
             [](const PeerStatus& p) { return p.backlog ? seconds(p.backlog->drains_in) : std::nullopt; });
}

void stream_metrics(const std::vector<NamedPeer>& peers, MetricList& out) {
  const auto counter = [&](const char* name, const char* help, std::uint64_t StreamStats::* count) {
    peer_counter(out, name, help, peers, [&](const PeerStatus& peer) { return number(peer.stream.*count); });
  };
  counter("knit_stream_batches_sent_total", "Stream batches sent to the peer.", &StreamStats::batches_sent);
  counter("knit_stream_rows_sent_total", "Rows streamed to the peer.", &StreamStats::rows_sent);
  counter("knit_stream_sent_bytes_total", "Bytes of the batches sent to the peer.", &StreamStats::bytes_sent);
  counter("knit_stream_batches_received_total", "Stream batches that came from the peer.",
          &StreamStats::batches_received);
  counter("knit_stream_rows_received_total", "Rows streamed by the peer.", &StreamStats::rows_received);
  counter("knit_stream_rows_changed_total", "Rows streamed by the peer that changed something here.",
          &StreamStats::rows_changed);
  counter("knit_stream_received_bytes_total", "Bytes of the batches that came from the peer.",
          &StreamStats::bytes_received);
}

// Only what concerns this node: the other pairs are told by theirs.
void lag_metrics(const NodeStatus& node, const std::vector<NamedPeer>& peers, MetricList& out) {
  std::map<NodeId, std::string> names{{node.node, printable(node.name)}};
  for (const NamedPeer& peer : peers) {
    if (!peer.status->name.empty()) names.emplace(peer.status->node, peer.name);
  }
  std::vector<Lag> lags;
  for (const Lag& lag : node.lags) {
    const bool mine = lag.writer == node.node || lag.reader == node.node;
    if (mine && names.contains(lag.writer) && names.contains(lag.reader)) lags.push_back(lag);
  }
  const auto labels = [&](const Lag& lag) {
    return Labels{{"writer", names.at(lag.writer)}, {"reader", names.at(lag.reader)}};
  };
  out.gauges("knit_lag_writes", "How many of the writer's writes the reader lacks.", lags, labels,
             [](const Lag& lag) { return number(lag.writes); });
  out.gauges("knit_lag_seconds", "Age of the oldest of the writer's writes that the reader lacks.", lags,
             labels, [](const Lag& lag) { return seconds(lag.time); });
}

void replication_metrics(const NodeStatus& node, MetricList& out) {
  out.gauge("knit_log_size_bytes", "Size of the log, which holds the writes that can still be streamed.",
            number(node.log.bytes));
  out.gauge("knit_log_limit_bytes", "Size at which the log is trimmed.", number(node.log.bytes_max));
  out.gauge("knit_log_oldest_timestamp_seconds", "When the oldest write in the log was made.",
            seconds(node.log.oldest));
  out.counter("knit_stale_reads_total", "Reads here that missed a write made before them on another node.",
              number(node.stale_reads.count));
  const bool any = node.stale_reads.count > 0;
  out.gauge("knit_stale_read_last_age_seconds", "How much later than the write the last stale read was.",
            any ? std::optional(seconds(node.stale_reads.last_age)) : std::nullopt);
  out.gauge("knit_stale_read_most_age_seconds", "How much later than the write the worst stale read was.",
            any ? std::optional(seconds(node.stale_reads.most_age)) : std::nullopt);
  out.counter("knit_conflicts_of_writes_total", "Concurrent writes of one key that met here.",
              number(node.conflicts_of_writes));
  out.counter("knit_conflicts_of_deletes_total", "Deletes and concurrent writes of one key that met here.",
              number(node.conflicts_of_deletes));
  out.gauge("knit_above_floor_writes",
            "Writes that not every member is known to have: deletes among them keep their rows.",
            number(node.above_floor));
  out.counter("knit_purged_rows_total", "Rows that were purged: deleted, or expired.",
              number(node.purged_rows));
  out.counter(
      "knit_out_of_order_total",
      "Parts of streams that were shown before what their author had seen, although causal order is on.",
      number(node.out_of_order));
  out.gauge("knit_node_lag_seconds", "How far this node is behind the writes of its peers.",
            seconds(node.lag));
  out.counter("knit_mended_rows_total", "Rows sent to peers that reads of several replicas found behind.",
              number(node.rows_mended));
  constexpr double millis_per_second = 1000;
  out.histogram("knit_replication_delay_seconds",
                "Time from a write here until a peer has it on its disk; counted for each peer.",
                node.stream_delays, millis_per_second);
}

void exchange_metrics(const NodeStatus& node, const std::vector<NamedPeer>& peers, MetricList& out) {
  const ExchangeStats& totals = node.totals;
  const auto running = std::count_if(node.peers.begin(), node.peers.end(),
                                     [](const PeerStatus& p) { return p.exchange_progress.has_value(); });
  out.counter("knit_exchanges_total", "Exchanges that ended.", number(node.exchanges));
  out.gauge("knit_exchanges_running", "Exchanges that run.", static_cast<double>(running));
  out.counter("knit_exchange_messages_sent_total", "Messages of exchanges sent.",
              number(totals.messages_sent));
  out.counter("knit_exchange_messages_received_total", "Messages of exchanges received.",
              number(totals.messages_received));
  out.counter("knit_exchange_comparison_sent_bytes_total", "Bytes sent to compare, without rows.",
              number(totals.comparison_bytes_sent));
  out.counter("knit_exchange_comparison_received_bytes_total", "Bytes received to compare, without rows.",
              number(totals.comparison_bytes_received));
  out.counter("knit_exchange_row_sent_bytes_total", "Bytes of rows that exchanges sent.",
              number(totals.row_bytes_sent));
  out.counter("knit_exchange_row_received_bytes_total", "Bytes of rows that exchanges received.",
              number(totals.row_bytes_received));
  out.counter("knit_exchange_rows_sent_total", "Rows that exchanges sent.", number(totals.rows_sent));
  out.counter("knit_exchange_rows_received_total", "Rows that exchanges received.",
              number(totals.rows_received));
  out.counter("knit_exchange_rows_changed_total", "Rows received by exchanges that changed something here.",
              number(totals.rows_changed));
  peer_gauge(out, "knit_peer_exchange_progress_ratio", "How far the exchange with the peer is that runs.",
             peers, [](const PeerStatus& p) { return p.exchange_progress; });
  peer_gauge(out, "knit_peer_exchange_duration_seconds",
             "How long the exchange with the peer has been running.", peers,
             [](const PeerStatus& p) { return seconds(p.exchange_duration); });
}

}  // namespace

std::vector<prometheus::MetricFamily> metric_families(const MetricsSource& source) {
  const std::vector<NamedPeer> peers = named_peers(source.node);
  MetricList out;
  process_metrics(source, out);
  data_metrics(source, out);
  scrub_metrics(source.scrub, out);
  client_metrics(source.clients, out);
  command_metrics(source.clients.by_command, out);
  cluster_metrics(source.node, out);
  member_metrics(source.gossip, out);
  datagram_metrics(source.gossip.socket, out);
  peer_metrics(peers, out);
  backlog_metrics(peers, out);
  stream_metrics(peers, out);
  lag_metrics(source.node, peers, out);
  replication_metrics(source.node, out);
  exchange_metrics(source.node, peers, out);
  return out.take();
}

std::string metrics_text(std::vector<prometheus::MetricFamily> families) {
  std::erase_if(families, [](const prometheus::MetricFamily& family) { return family.metric.empty(); });
  std::ostringstream text;
  prometheus::TextSerializer().Serialize(text, families);
  return std::move(text).str();
}

}  // namespace knit
