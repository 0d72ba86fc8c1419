#include "daemon/redis/info.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <uv.h>

#include <algorithm>

#include "daemon/redis/server_state.h"
#include "daemon/redis/session.h"

namespace knit {

namespace {

class Lines {
 public:
  template <class T>
  Lines& add(std::string_view name, const T& value) {
    text_ += fmt::format("{}:{}\r\n", name, value);
    return *this;
  }
  std::string text() const { return text_; }

 private:
  std::string text_;
};

std::string human_bytes(double bytes) {
  constexpr const char* units[] = {"B", "K", "M", "G", "T"};
  std::size_t unit = 0;
  while (bytes >= 1024 && unit + 1 < std::size(units)) {
    bytes /= 1024;
    unit++;
  }
  return unit == 0 ? fmt::format("{:.0f}B", bytes) : fmt::format("{:.2f}{}", bytes, units[unit]);
}

std::string operating_system() {
  utsname name{};
  if (uname(&name) != 0) return "unknown";
  return fmt::format("{} {} {}", name.sysname, name.release, name.machine);
}

std::string server_section(ServerState& server) {
  const auto uptime = (server.now.steady - server.started.steady).count() / 1000;
  return Lines()
      .add("redis_version", redis_version)
      .add("redis_mode", "standalone")
      .add("knit_version", server.options.version)
      .add("os", operating_system())
      .add("arch_bits", 8 * sizeof(void*))
      .add("multiplexing_api", "libuv")
      .add("process_id", getpid())
      .add("run_id", to_string(server.node.store().identity().node))
      .add("tcp_port", server.options.addresses.empty() ? 0 : server.options.port)
      .add("server_time_usec", server.now.wall.millis * 1000)
      .add("uptime_in_seconds", uptime)
      .add("uptime_in_days", uptime / 86400)
      .add("config_file", "")
      .text();
}

std::string clients_section(ServerState& server) {
  std::size_t blocked = 0;
  std::size_t largest_output = 0;
  std::size_t largest_input = 0;
  for (const auto& [id, session] : server.sessions) {
    blocked += session->waiting() ? 1 : 0;
    largest_output = std::max(largest_output, session->queued_bytes());
    largest_input = std::max(largest_input, session->unread_bytes());
  }
  return Lines()
      .add("connected_clients", server.sessions.size())
      .add("cluster_connections", 0)
      .add("maxclients", server.options.clients_max)
      .add("client_recent_max_input_buffer", largest_input)
      .add("client_recent_max_output_buffer", largest_output)
      .add("blocked_clients", blocked)
      .add("tracking_clients", 0)
      .add("clients_in_timeout_table", 0)
      .text();
}

// `dataset` is what Redis would call so: of what is in memory, all but the tree, which is made of the rows.
std::string memory_section(ServerState& server) {
  const std::size_t peak = server.peak_memory();
  std::size_t resident = 0;
  uv_resident_set_memory(&resident);
  const std::size_t tree = server.node.store().tree().memory_bytes();
  const std::uint64_t system = uv_get_total_memory();
  return Lines()
      .add("used_memory", resident)
      .add("used_memory_human", human_bytes(static_cast<double>(resident)))
      .add("used_memory_rss", resident)
      .add("used_memory_rss_human", human_bytes(static_cast<double>(resident)))
      .add("used_memory_peak", peak)
      .add("used_memory_peak_human", human_bytes(static_cast<double>(peak)))
      .add("used_memory_overhead", tree)
      .add("used_memory_dataset", resident - std::min(resident, tree))
      .add("used_memory_lua", 0)
      .add("total_system_memory", system)
      .add("total_system_memory_human", human_bytes(static_cast<double>(system)))
      .add("maxmemory", 0)
      .add("maxmemory_human", "0B")
      .add("maxmemory_policy", "noeviction")
      .add("mem_fragmentation_ratio", "1.00")
      .add("mem_allocator", "libc")
      .add("lazyfree_pending_objects", 0)
      .add("knit_tree_bytes", tree)
      .text();
}

std::string persistence_section(ServerState& server) {
  const Store& store = server.node.store();
  server.sample_rates();  // Notes a sync of this very turn.
  const char* status = store.has_space() ? "ok" : "err";
  return Lines()
      .add("loading", 0)
      .add("async_loading", 0)
      .add("rdb_changes_since_last_save", store.applied().value - store.synced().value)
      .add("rdb_bgsave_in_progress", store.committing() ? 1 : 0)
      .add("rdb_last_save_time", server.last_sync.millis / 1000)
      .add("rdb_last_bgsave_status", status)
      .add("rdb_last_bgsave_time_sec", 0)
      .add("rdb_current_bgsave_time_sec", -1)
      .add("aof_enabled", 0)
      .add("aof_rewrite_in_progress", 0)
      .add("aof_rewrite_scheduled", 0)
      .add("aof_last_bgrewrite_status", "ok")
      .add("aof_last_write_status", status)
      .add("knit_pending_bytes", store.pending_bytes())
      .add("knit_commits", store.commits().count)
      .add("knit_committed_rows", store.commits().rows)
      .add("knit_journal_bytes", store.journal_bytes())
      .add("knit_journal_syncs", store.journal_syncs())
      .add("knit_bytes_on_disk", store.bytes_on_disk())
      .add("knit_has_space", store.has_space() ? 1 : 0)
      .text();
}

std::string kilobytes_per_second(const RateMeter& meter, std::uint64_t bytes, Millis now) {
  return fmt::format("{:.2f}", meter.per_second(bytes, now) / 1024);
}

std::string stats_section(ServerState& server) {
  const ServerStatistics& statistics = server.statistics;
  const Millis now = server.now.steady;
  const double commands = server.command_rate.per_second(statistics.commands, now);
  return Lines()
      .add("total_connections_received", statistics.connections)
      .add("total_commands_processed", statistics.commands)
      .add("instantaneous_ops_per_sec", static_cast<std::uint64_t>(commands))
      .add("total_net_input_bytes", statistics.input_bytes)
      .add("total_net_output_bytes", statistics.output_bytes)
      .add("instantaneous_input_kbps", kilobytes_per_second(server.input_rate, statistics.input_bytes, now))
      .add("instantaneous_output_kbps",
           kilobytes_per_second(server.output_rate, statistics.output_bytes, now))
      .add("rejected_connections", statistics.connections_rejected)
      .add("sync_full", 0)
      .add("sync_partial_ok", 0)
      .add("sync_partial_err", 0)
      .add("expired_keys", 0)  // They read as absent and are not deleted one by one.
      .add("evicted_keys", 0)
      .add("keyspace_hits", statistics.hits)
      .add("keyspace_misses", statistics.misses)
      .add("pubsub_channels", 0)
      .add("pubsub_patterns", 0)
      .add("latest_fork_usec", 0)
      .add("total_forks", 0)
      .add("total_error_replies", statistics.error_replies)
      .add("client_output_buffer_limit_disconnections", statistics.connections_overflowed)
      .text();
}

// Peers choose their names: one must not end the line or the field.
std::string field_text(std::string_view name) {
  std::string text(name.substr(0, 64));
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c <= ' ' || c > '~' || c == ',' || c == '='; }, '_');
  return text;
}

// In the way of Redis's slave0:...; -1 where it is unknown what the peer lacks, or since when.
std::string peer_text(const PeerStatus& peer) {
  const Backlog* backlog = peer.backlog ? &*peer.backlog : nullptr;
  const bool lacks_nothing = backlog != nullptr && backlog->own_writes == 0;
  const std::optional<Millis> lag = lacks_nothing ? Millis{} : backlog ? backlog->lag : std::nullopt;
  return fmt::format("name={},address={},state={},equal={},lag_writes={},lag_ms={}", field_text(peer.name),
                     field_text(peer.address), peer.reachable ? "online" : "offline", peer.equal ? 1 : 0,
                     backlog ? std::to_string(backlog->writes) : "-1", lag ? lag->count() : -1);
}

// Every node takes writes: to a Redis tool each looks like a master without replicas, since such tools would
// dial a replica that is named. The backlog is the log of writes that can still be streamed.
std::string replication_section(ServerState& server) {
  const NodeStatus status = server.node.status(server.now);
  Lines lines;
  lines.add("role", "master")
      .add("connected_slaves", 0)
      .add("master_failover_state", "no-failover")
      .add("master_replid", to_string(status.node))
      .add("master_repl_offset", server.node.store().applied().value)
      .add("repl_backlog_active", status.log.bytes_max == 0 ? 0 : 1)
      .add("repl_backlog_size", status.log.bytes_max)
      .add("repl_backlog_histlen", status.log.bytes)
      .add("knit_peers", status.peers.size());
  for (std::size_t at = 0; at < status.peers.size(); at++)
    lines.add(fmt::format("knit_peer{}", at), peer_text(status.peers[at]));
  lines.add("knit_stale_reads", status.stale_reads.count)
      .add("knit_stale_read_last_ms", status.stale_reads.last_age.count())
      .add("knit_stale_read_most_ms", status.stale_reads.most_age.count());
  return lines.text();
}

std::string seconds_text(const timeval& time) { return fmt::format("{}.{:06}", time.tv_sec, time.tv_usec); }

std::string cpu_section(ServerState&) {
  rusage own{};
  rusage children{};
  getrusage(RUSAGE_SELF, &own);
  getrusage(RUSAGE_CHILDREN, &children);
  return Lines()
      .add("used_cpu_sys", seconds_text(own.ru_stime))
      .add("used_cpu_user", seconds_text(own.ru_utime))
      .add("used_cpu_sys_children", seconds_text(children.ru_stime))
      .add("used_cpu_user_children", seconds_text(children.ru_utime))
      .text();
}

std::string modules_section(ServerState&) { return {}; }

double micros(Nanos time) { return static_cast<double>(time.count()) / 1000; }

std::string commandstats_section(ServerState& server) {
  Lines lines;
  for (const auto& [command, statistic] : server.commands.used()) {
    const double total = micros(statistic->total);
    const double each = statistic->calls == 0 ? 0 : total / static_cast<double>(statistic->calls);
    lines.add(fmt::format("cmdstat_{}", command->name),
              fmt::format("calls={},usec={:.0f},usec_per_call={:.2f},rejected_calls={},failed_calls={}",
                          statistic->calls, total, each, statistic->rejected, statistic->failed));
  }
  return lines.text();
}

std::string errorstats_section(ServerState& server) {
  Lines lines;
  for (const auto& [code, count] : server.commands.errors()) {
    lines.add(fmt::format("errorstat_{}", code), fmt::format("count={}", count));
  }
  return lines.text();
}

std::string latencystats_section(ServerState& server) {
  Lines lines;
  for (const auto& [command, statistic] : server.commands.used()) {
    const DurationHistogram& durations = statistic->durations;
    if (durations.total() == 0) continue;
    lines.add(fmt::format("latency_percentiles_usec_{}", command->name),
              fmt::format("p50={:.3f},p99={:.3f},p99.9={:.3f}", micros(durations.percentile(50)),
                          micros(durations.percentile(99)), micros(durations.percentile(99.9))));
  }
  return lines.text();
}

std::string cluster_section(ServerState&) { return Lines().add("cluster_enabled", 0).text(); }

std::string keyspace_section(ServerState& server) {
  const std::uint64_t keys = server.keyspace.size(server.now.wall);
  if (keys == 0) return {};
  return Lines().add("db0", fmt::format("keys={},expires=0,avg_ttl=0", keys)).text();
}

std::string knit_section(ServerState& server) {
  const NodeStatus status = server.node.status(server.now);
  const auto reachable = std::count_if(status.peers.begin(), status.peers.end(),
                                       [](const PeerStatus& peer) { return peer.reachable; });
  std::string root;
  ByteWriter(root).u128(status.root);
  return Lines()
      .add("node", to_string(status.node))
      .add("name", status.name)
      .add("cluster", status.cluster)
      .add("peers", status.peers.size())
      .add("peers_reachable", reachable)
      .add("in_sync", status.in_sync ? 1 : 0)
      .add("tree_complete", status.tree_complete ? 1 : 0)
      .add("root", to_hex(root))
      .add("rows", status.rows)
      .add("damaged_rows", status.damaged_rows)
      .add("exchanges", status.exchanges)
      .text();
}

enum class Inclusion : std::uint8_t { by_default, with_all };  // By INFO, or only by INFO ALL and EVERYTHING.

struct Section {
  std::string_view title;
  std::string_view name;
  std::string (*text)(ServerState&);
  Inclusion shown = Inclusion::by_default;
};

constexpr Section all_sections[] = {
    {"Server", "server", server_section},
    {"Clients", "clients", clients_section},
    {"Memory", "memory", memory_section},
    {"Persistence", "persistence", persistence_section},
    {"Stats", "stats", stats_section},
    {"Replication", "replication", replication_section},
    {"CPU", "cpu", cpu_section},
    {"Modules", "modules", modules_section},
    {"Commandstats", "commandstats", commandstats_section, Inclusion::with_all},
    {"Errorstats", "errorstats", errorstats_section},
    {"Latencystats", "latencystats", latencystats_section, Inclusion::with_all},
    {"Cluster", "cluster", cluster_section},
    {"Keyspace", "keyspace", keyspace_section},
    {"Knit", "knit", knit_section},
};

}  // namespace

std::string info_text(ServerState& server, const std::vector<std::string>& sections) {
  const auto wanted = [&](std::string_view name) {
    return std::find(sections.begin(), sections.end(), name) != sections.end();
  };
  const bool everything = wanted("all") || wanted("everything");
  const bool usual = sections.empty() || wanted("default") || everything;
  std::string text;
  for (const Section& section : all_sections) {
    const bool chosen = section.shown == Inclusion::by_default ? usual : everything;
    if (!chosen && !wanted(section.name)) continue;
    if (!text.empty()) text += "\r\n";
    text += fmt::format("# {}\r\n", section.title);
    text += section.text(server);
  }
  return text;
}

}  // namespace knit
