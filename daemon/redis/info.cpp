#include "daemon/redis/info.h"

#include <fmt/format.h>
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

std::string server_section(ServerState& server) {
  const auto uptime = (server.now.steady - server.started.steady).count() / 1000;
  return Lines()
      .add("redis_version", redis_version)
      .add("redis_mode", "standalone")
      .add("knit_version", server.options.version)
      .add("arch_bits", 8 * sizeof(void*))
      .add("multiplexing_api", "libuv")
      .add("process_id", getpid())
      .add("run_id", to_string(server.node.store().identity().node))
      .add("tcp_port", server.options.addresses.empty() ? 0 : server.options.port)
      .add("server_time_usec", server.now.wall.millis * 1000)
      .add("uptime_in_seconds", uptime)
      .add("uptime_in_days", uptime / 86400)
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
      .add("maxclients", server.options.clients_max)
      .add("client_recent_max_input_buffer", largest_input)
      .add("client_recent_max_output_buffer", largest_output)
      .add("blocked_clients", blocked)
      .text();
}

std::string memory_section(ServerState& server) {
  std::size_t resident = 0;
  uv_resident_set_memory(&resident);
  return Lines()
      .add("used_memory", resident)
      .add("used_memory_human", human_bytes(static_cast<double>(resident)))
      .add("used_memory_rss", resident)
      .add("used_memory_rss_human", human_bytes(static_cast<double>(resident)))
      .add("maxmemory", 0)
      .add("maxmemory_policy", "noeviction")
      .add("knit_tree_bytes", server.node.store().tree().memory_bytes())
      .text();
}

std::string persistence_section(ServerState& server) {
  const Store& store = server.node.store();
  return Lines()
      .add("loading", 0)
      .add("rdb_changes_since_last_save", store.applied().value - store.synced().value)
      .add("rdb_bgsave_in_progress", store.committing() ? 1 : 0)
      .add("aof_enabled", 0)
      .add("knit_pending_bytes", store.pending_bytes())
      .add("knit_bytes_on_disk", store.bytes_on_disk())
      .add("knit_has_space", store.has_space() ? 1 : 0)
      .text();
}

std::string stats_section(ServerState& server) {
  const ServerStatistics& statistics = server.statistics;
  return Lines()
      .add("total_connections_received", statistics.connections)
      .add("total_commands_processed", statistics.commands)
      .add("total_net_input_bytes", statistics.input_bytes)
      .add("total_net_output_bytes", statistics.output_bytes)
      .add("rejected_connections", statistics.connections_rejected)
      .add("client_output_buffer_limit_disconnections", statistics.connections_overflowed)
      .add("total_error_replies", statistics.error_replies)
      .add("keyspace_hits", statistics.hits)
      .add("keyspace_misses", statistics.misses)
      .text();
}

// Every node takes writes: to a Redis tool each looks like a master without replicas.
std::string replication_section(ServerState& server) {
  return Lines()
      .add("role", "master")
      .add("connected_slaves", 0)
      .add("master_replid", to_string(server.node.store().identity().node))
      .text();
}

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

struct Section {
  std::string_view title;
  std::string_view name;
  std::string (*text)(ServerState&);
};

constexpr Section all_sections[] = {
    {"Server", "server", server_section},       {"Clients", "clients", clients_section},
    {"Memory", "memory", memory_section},       {"Persistence", "persistence", persistence_section},
    {"Stats", "stats", stats_section},          {"Replication", "replication", replication_section},
    {"Keyspace", "keyspace", keyspace_section}, {"Knit", "knit", knit_section},
};

}  // namespace

std::string info_text(ServerState& server, const std::vector<std::string>& sections) {
  const auto wanted = [&](std::string_view name) {
    return std::find(sections.begin(), sections.end(), name) != sections.end();
  };
  const bool all = sections.empty() || wanted("default") || wanted("all") || wanted("everything");
  std::string text;
  for (const Section& section : all_sections) {
    if (!all && !wanted(section.name)) continue;
    if (!text.empty()) text += "\r\n";
    text += fmt::format("# {}\r\n", section.title);
    text += section.text(server);
  }
  return text;
}

}  // namespace knit
