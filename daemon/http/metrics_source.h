// What is known of a daemon at a moment, as values: metrics are made of it. Loop thread only.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "daemon/gossip_counts.h"
#include "node/node.h"

namespace knit {

struct ServerState;

struct StoreFigures {
  std::uint64_t commits{};
  std::uint64_t committed_rows{};
  std::uint64_t journal_syncs{};
  std::uint64_t journal_bytes{};
  std::uint64_t tree_bytes{};
  std::uint64_t unsynced_changes{};
};

struct CommandFigures {
  std::string name;
  std::uint64_t calls{};
  std::uint64_t failed{};
  std::uint64_t rejected{};
  double seconds{};
};

struct ClientFigures {
  std::uint64_t connected{};
  std::uint64_t connections{};
  std::uint64_t rejected{};
  std::uint64_t overflowed{};
  std::uint64_t input_bytes{};
  std::uint64_t output_bytes{};
  std::uint64_t commands{};
  std::uint64_t hits{};
  std::uint64_t misses{};
  std::uint64_t reads_fetched{};
  std::uint64_t reads_refused{};
  std::vector<CommandFigures> by_command;       // Those that were called.
  std::map<std::string, std::uint64_t> errors;  // By code.
};

struct ProcessFigures {
  WallTime started;
  double uptime_seconds{};
  double cpu_seconds{};
  std::uint64_t resident_bytes{};
};

struct GossipFigures {
  std::map<MemberState, std::uint64_t> members;  // With this node. Without those that are forgotten.
  SwimCounters swim;
  GossipCounts socket;
  std::uint64_t queue_length{};
  int health_score{};
};

struct MetricsSource {
  std::string version;
  NodeStatus node;
  ScrubStatus scrub;
  StoreFigures store;
  GossipFigures gossip;
  ClientFigures clients;
  ProcessFigures process;
};

// Looks at everything once. No scan: the cost follows the number of peers, of commands in use, and of the
// gaps in clocks: some tens of microseconds.
MetricsSource observe(ServerState& server, const GossipCounts& socket, Now now);

}  // namespace knit
