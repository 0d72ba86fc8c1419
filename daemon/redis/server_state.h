// What all sessions of a server share: no I/O.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "daemon/redis/server.h"

namespace knit {

class Session;

// Since the start; what INFO shows.
struct ServerStatistics {
  std::uint64_t commands = 0;
  std::uint64_t connections = 0;
  std::uint64_t connections_rejected = 0;
  std::uint64_t connections_overflowed = 0;  // Closed because they did not read their replies.
  std::uint64_t input_bytes = 0;
  std::uint64_t output_bytes = 0;
  std::uint64_t error_replies = 0;
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;
};

struct ServerState {
  ServerState(RedisOptions o, Node& n, RedisServer::Hooks h)
      : options(std::move(o)), node(n), keyspace(n.store()), hooks(std::move(h)) {
    now = started = hooks.now();
  }

  RedisOptions options;
  Node& node;
  Keyspace keyspace;
  RedisServer::Hooks hooks;
  Now now;  // Of the turn.
  Now started;
  std::uint64_t turn = 0;
  std::uint64_t last_session = 0;
  ServerStatistics statistics;
  std::map<std::uint64_t, Session*> sessions;  // By id. Entered and left by the sessions themselves.
  std::map<JobId, std::uint64_t> jobs;         // Which session waits for a job.

  // Replies that saw no more than this may leave.
  JournalPosition releasable() const {
    return options.answer_before_sync ? node.store().applied() : node.store().synced();
  }
  // The store has more to write than it should: commands wait.
  bool under_pressure() const { return node.store().pending_bytes() > options.pending_bytes_max; }
};

}  // namespace knit
