// What all sessions of a server share: no I/O.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/redis/command_statistics.h"
#include "daemon/redis/latency_monitor.h"
#include "daemon/redis/parameters.h"
#include "daemon/redis/rate_meter.h"
#include "daemon/redis/server.h"
#include "daemon/redis/slow_log.h"

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
  std::uint64_t reads_fetched = 0;  // By a stale node, from a fresher one;
  std::uint64_t reads_refused = 0;  // and those that it could not answer so.
};

// What CONFIG SET may change, beside some of the options.
struct ServerSettings {
  std::int64_t slow_micros = 10'000;  // Commands that take so long are in the slow log. Negative: none are.
  std::int64_t slow_log_length = 128;
  std::int64_t latency_threshold_millis = 0;  // Events that take so long are noted. 0: none are.
  bool latency_tracking = true;               // Whether durations are counted a command.
  std::string log_level = "notice";           // In Redis's words.
};

// CLIENT PAUSE: which commands wait, and until when.
struct ClientPause {
  bool all = false;  // Else those that write.
  Millis until{};    // Steady time.
};

struct ServerState {
  ServerState(RedisOptions o, Node& n, RedisServer::Hooks h);

  // Counts a command that began when the last one ended, or when its client's turn began.
  // Requires: command_began is set.
  Nanos account(CommandStatistic& statistic, bool failed);
  bool is_slow(Nanos taken) const { return taken >= slow_threshold_; }
  void note_latency(const Command& command, Nanos taken);
  void update_slow_threshold();  // To be called when its settings changed.

  bool paused() const { return pause.until > now.steady; }
  void sample_rates();        // Once a turn.
  void reset_statistics();    // CONFIG RESETSTAT.
  std::uint64_t random();     // Not for secrets.
  std::size_t peak_memory();  // Resident, as far as it was looked at.

  RedisOptions options;
  Node& node;
  Keyspace keyspace;
  RedisServer::Hooks hooks;
  Now now;  // Of the turn.
  Now started;
  std::uint64_t turn = 0;
  std::uint64_t last_session = 0;
  ServerStatistics statistics;
  CommandStatistics commands;
  SlowLog slow_log;
  LatencyMonitor latency;
  ServerSettings settings;
  Parameters parameters;
  ClientPause pause;
  RateMeter command_rate;
  RateMeter input_rate;
  RateMeter output_rate;
  Nanos command_began{};   // By the stopwatch.
  JournalPosition synced;  // As last looked at, and when it changed.
  WallTime last_sync;
  std::map<std::uint64_t, Session*> sessions;  // By id. Entered and left by the sessions themselves.
  std::map<JobId, std::uint64_t> jobs;         // Which session waits for a job.
  // What commands ask for and is done at the end of the turn.
  std::vector<std::uint64_t> to_close;   // Clients killed.
  std::vector<std::uint64_t> unblocked;  // Clients whose wait was ended by another one.
  bool stop_wanted = false;
  bool stopping = false;  // Nothing comes from other nodes any more, and no job goes on.
  bool leave_wanted = false;

  // The store has more to write than it should: commands wait for the disk. Not when that is full: then all
  // writes are refused, and reads must go on.
  bool under_pressure() const {
    return node.store().pending_bytes() > options.pending_bytes_max && node.store().has_reserve();
  }

 private:
  Nanos slow_threshold_{};
  std::uint64_t random_state_;
  std::size_t peak_memory_ = 0;
};

}  // namespace knit
