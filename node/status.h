// What can be asked of a node: its own state, its peers', and how far they are behind each other.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/histogram.h"
#include "base/types.h"
#include "gossip/member.h"
#include "merkle/exchange.h"
#include "node/scrub.h"
#include "store/store.h"

namespace knit {

struct ExchangeReport {
  NodeId peer;
  std::string peer_name;
  Exchange::Outcome outcome{};
  std::string error;  // Not empty: it ended early, and why.
  bool initiated = false;
  ExchangeStats stats;
  Millis duration{};
  WallTime ended;
};
struct ScrubStatus {
  bool on = false;
  double progress{};
  std::optional<ScrubReport> last;
};
// What was pushed to one peer and came from it as streams, since the start.
struct StreamStats {
  std::uint64_t batches_sent{};
  std::uint64_t rows_sent{};
  std::uint64_t bytes_sent{};
  std::uint64_t batches_received{};
  std::uint64_t rows_received{};
  std::uint64_t rows_changed{};  // Received rows that changed something here.
  std::uint64_t bytes_received{};
};

// What one peer lacks of the writes that this node has: what it has not acknowledged as durable.
struct Backlog {
  std::uint64_t writes{};         // Of all actors.
  std::uint64_t own_writes{};     // Of this node's own actor.
  std::optional<Millis> lag;      // Age of the oldest of the own ones; empty: unknown, from before the start.
  std::optional<WallTime> since;  // When that one was written.
  bool trimmed = false;           // The log does not reach back to all of it: an exchange brings it.
  std::optional<Millis> drains_in;  // At the pace of the last seconds; empty: nothing moves.
};

// How far one node is behind the writes of another one, as this node knows it.
struct Lag {
  NodeId writer;
  NodeId reader;
  std::uint64_t writes{};
  std::optional<Millis> time;  // Empty: unknown.
};

// The writes that can still be streamed.
struct LogStatus {
  std::uint64_t bytes{};
  std::uint64_t bytes_max{};
  std::optional<WallTime> oldest;  // Empty: nothing is in it.
};

constexpr std::array<double, 13> stream_delay_bounds{1,   2,   5,    10,   20,   50,   100,
                                                     200, 500, 1000, 2000, 5000, 10000};

struct MemberStatus {
  NodeId node;
  Profile profile;
  MemberState state{};
  WallTime since;  // Of its state.
  Generation generation;
  Incarnation incarnation;
  std::optional<Millis> round_trip;
  bool self = false;
};

struct PeerStatus {
  NodeId node;
  ActorId actor;
  std::string name;
  std::string address;
  std::string version;
  bool reachable = false;
  WallTime since;  // Of being reachable or not.
  std::optional<Millis> round_trip;
  std::optional<std::int64_t>
      clock_ahead;         // Milliseconds, of ours. Empty: not heard since the link was made.
  bool keeps_time = true;  // False: too far ahead, its streams are not taken.
  bool tree_complete = false;
  bool equal = false;  // Its last root digest was ours at that moment.
  // Clocks have become equal, and roots were not compared since, or cannot be while one of the two purges.
  // For a while only: then `equal` counts.
  bool settling = false;
  bool clock_equal = false;
  WallTime last_equal;  // Zero: never yet.
  Uint128 root{};
  std::uint64_t keys{};
  StreamStats stream;
  std::optional<Backlog> backlog;           // Empty: its clock was not heard since the start.
  std::optional<double> exchange_progress;  // 0 to 1, while one runs.
  std::optional<Millis> exchange_duration;  // Of the one that runs, so far.
  std::optional<ExchangeStats> exchange_stats;
};
struct NodeStatus {
  NodeId node;
  ActorId actor;
  std::string name;
  std::string address;
  std::string cluster;
  bool tree_complete = false;
  double tree_fraction{};
  Uint128 root{};
  std::uint64_t rows{};  // With a digest: keys and tombstones.
  std::uint64_t keys{};
  bool has_space = true;
  std::uint64_t damaged_rows{};
  std::uint64_t bytes_on_disk{};
  std::uint64_t pending_bytes{};
  bool in_sync = false;           // All peers, known or configured, are reachable and equal.
  std::vector<PeerStatus> peers;  // Ascending by name.
  std::vector<ExchangeReport>
      last_exchanges;         // The newest last; at most 32. Those that found nothing are left out.
  std::uint64_t exchanges{};  // Since the start.
  ExchangeStats totals;       // Over all of them.
  std::vector<Lag> lags;      // Of each pair of nodes whose clocks are known.
  LogStatus log;
  StaleReads stale_reads;
  std::uint64_t conflicts_of_writes{};  // That met here since the start.
  std::uint64_t conflicts_of_deletes{};
  std::uint64_t above_floor{};   // Writes here that not every member is known to have: their deletes stay.
  std::uint64_t purged_rows{};   // Since the start.
  std::uint64_t out_of_order{};  // Streamed rounds that were shown before what their author had seen.
  Millis lag{};                  // See Node::lag().
  bool stale = false;
  std::uint64_t rows_mended{};  // Since the start, at peers that reads found behind.
  // Milliseconds from a write here to a peer's acknowledgement that it is durable there; over all peers.
  Histogram stream_delays{stream_delay_bounds};
};

}  // namespace knit
