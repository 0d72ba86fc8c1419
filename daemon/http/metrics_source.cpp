#include "daemon/http/metrics_source.h"

#include <sys/resource.h>
#include <uv.h>

#include <chrono>

#include "daemon/redis/server_state.h"

namespace knit {

namespace {

double cpu_seconds() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto sum = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return sum(used.ru_utime) + sum(used.ru_stime);
}

StoreFigures store_figures(const Store& store) {
  return {.commits = store.commits().count,
          .committed_rows = store.commits().rows,
          .journal_syncs = store.journal_syncs(),
          .journal_bytes = store.journal_bytes(),
          .tree_bytes = store.tree().memory_bytes(),
          .unsynced_changes = store.applied().value - store.synced().value};
}

GossipFigures gossip_figures(const Swim* swim, const GossipCounts& socket) {
  GossipFigures figures;
  figures.socket = socket;
  for (const MemberState state :
       {MemberState::alive, MemberState::suspect, MemberState::dead, MemberState::left}) {
    figures.members[state] = swim == nullptr ? 0 : swim->members().count(state);
  }
  if (swim == nullptr) return figures;
  figures.swim = swim->counters();
  figures.queue_length = swim->queue_length();
  figures.health_score = swim->health_score();
  return figures;
}

ClientFigures client_figures(const ServerState& server) {
  const ServerStatistics& statistics = server.statistics;
  ClientFigures figures{.connected = server.sessions.size(),
                        .connections = statistics.connections,
                        .rejected = statistics.connections_rejected,
                        .overflowed = statistics.connections_overflowed,
                        .input_bytes = statistics.input_bytes,
                        .output_bytes = statistics.output_bytes,
                        .commands = statistics.commands,
                        .hits = statistics.hits,
                        .misses = statistics.misses,
                        .reads_fetched = statistics.reads_fetched,
                        .reads_refused = statistics.reads_refused,
                        .by_command = {},
                        .errors = {}};
  for (const auto& [command, statistic] : server.commands.used()) {
    figures.by_command.push_back({.name = std::string(command->name),
                                  .calls = statistic->calls,
                                  .failed = statistic->failed,
                                  .rejected = statistic->rejected,
                                  .seconds = std::chrono::duration<double>(statistic->total).count()});
  }
  for (const auto& [code, count] : server.commands.errors()) figures.errors.emplace(code, count);
  return figures;
}

ProcessFigures process_figures(const ServerState& server, Now now) {
  std::size_t resident = 0;
  uv_resident_set_memory(&resident);
  return {.started = server.started.wall,
          .uptime_seconds = std::chrono::duration<double>(now.steady - server.started.steady).count(),
          .cpu_seconds = cpu_seconds(),
          .resident_bytes = resident};
}

}  // namespace

MetricsSource observe(ServerState& server, const GossipCounts& socket, Now now) {
  return {.version = server.options.version,
          .node = server.node.status(now),
          .scrub = server.node.scrub_status(),
          .store = store_figures(server.node.store()),
          .gossip = gossip_figures(server.node.swim(), socket),
          .clients = client_figures(server),
          .process = process_figures(server, now)};
}

}  // namespace knit
