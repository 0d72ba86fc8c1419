// One replica's whole behaviour towards its peers, without I/O: links, messages, ticks and completions
// go in; an outbox comes out. The daemon drives it with sockets, the simulator with a virtual network.
//
// One thread. Nothing here reads a clock, blocks, logs or draws a random number that its seed did
// not give.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "merkle/exchange.h"
#include "store/store.h"

namespace knit {

// A connection to a peer, named by whoever owns the sockets.
struct LinkId {
  std::uint64_t value{};
  auto operator<=>(const LinkId&) const = default;
};

// Work that a client waits for: a repair, a comparison, a verification.
struct JobId {
  std::uint64_t value{};
  auto operator<=>(const JobId&) const = default;
};

// Small messages must not wait behind large ones, so the transport interleaves the channels of a link.
enum class Channel : std::uint8_t { control = 0, exchange = 1 };
constexpr std::size_t channels = 2;
constexpr std::size_t control_message_bytes_max = 256 << 10;
constexpr std::size_t exchange_message_bytes_max = value_bytes_max + (8 << 20);

struct NodeOptions {
  std::string name;     // For people; the host's name by default.
  std::string address;  // Where peers reach this node, as it is told to them.
  std::string version;
  Millis status_interval{1000};          // How often peers are told our digests.
  Millis exchange_interval{600'000};     // A scheduled exchange with each peer, whatever the digests say.
  Millis exchange_deadline{10'000};      // Without progress a session ends.
  Millis peer_timeout{5000};             // A peer that was not heard for so long is unreachable.
  std::size_t exchange_sessions_max = 4;
};

// --- What comes out.

// Send `message` over `link`, once the store has synced `after`. Messages of a channel keep their order.
struct Send {
  LinkId link;
  Channel channel{};
  std::string message;
  JournalPosition after;
};
struct CloseLink {
  LinkId link;
  std::string reason;  // For the log.
};
// Something that an operator wants to read in the log.
struct Notice {
  enum class Level : std::uint8_t { debug, info, warning, error };
  Level level{};
  std::string text;
};
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
struct JobDone {
  JobId job;
  std::string error;  // Not empty: it did not come to an end, and why.
  std::optional<ExchangeReport> exchange;
  std::vector<Difference> differences;
  std::uint64_t differences_found{};
  std::optional<Store::Verification> verification;
};
using Output = std::variant<Send, CloseLink, Notice, JobDone>;
using Outbox = std::vector<Output>;

// --- What can be asked.

struct PeerStatus {
  NodeId node;
  ActorId actor;
  std::string name;
  std::string address;
  std::string version;
  bool reachable = false;
  WallTime since;            // Of being reachable or not.
  std::optional<Millis> round_trip;
  bool tree_complete = false;
  bool equal = false;        // Its last root digest was ours at that moment.
  bool clock_equal = false;
  WallTime last_equal;       // Zero: never yet.
  Uint128 root{};
  std::uint64_t keys{};
  std::optional<double> exchange_progress;  // 0 to 1, while one runs.
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
  std::uint64_t rows{};      // With a digest: keys and tombstones.
  std::uint64_t keys{};
  bool has_space = true;
  std::uint64_t damaged_rows{};
  std::uint64_t bytes_on_disk{};
  std::uint64_t pending_bytes{};
  bool in_sync = false;      // All known peers are reachable and equal.
  std::vector<PeerStatus> peers;             // Ascending by name.
  std::vector<ExchangeReport> last_exchanges;  // The newest last; at most 32. Those that found nothing are left out.
  std::uint64_t exchanges{};                 // Since the start.
  ExchangeStats totals;                      // Over all of them.
};

class Node {
 public:
  Node(NodeOptions options, Store& store, std::uint64_t seed);
  ~Node();

  // Links. `dialed`: this side opened it. A pair of nodes keeps one link.
  void on_link_up(LinkId link, bool dialed, Now now, Outbox& out);
  void on_link_down(LinkId link, Now now, Outbox& out);
  // Hostile bytes end the link and change nothing.
  void on_message(LinkId link, Channel channel, std::string_view message, Now now, Outbox& out);

  // Time passed. To be called about ten times a second.
  void on_tick(Now now, Outbox& out);
  // A piece of background work of a millisecond or two. To be called while has_work(), between events.
  void work(Now now, Outbox& out);
  bool has_work() const;

  // After the store undid unsynced changes: sessions that saw them end, links close.
  void on_undone(Now now, Outbox& out);

  // Jobs end with one JobDone. `peer` is a name, an address, or the start of a node id (4 digits at
  // least); refused if it is not known or not reachable or a session with it cannot be had.
  Result<JobId> start_repair(std::string_view peer, Now now, Outbox& out);
  Result<JobId> start_diff(std::string_view peer, Now now, Outbox& out);
  Result<JobId> start_verify();
  void cancel(JobId job);  // Its client went away. Nothing is told.

  // A debug aid: drops everything to and from a peer until told otherwise ("" means all peers).
  Result<void> isolate(std::string_view peer, bool isolated);

  NodeStatus status(Now now) const;
  const NodeOptions& options() const { return options_; }
  Store& store() { return store_; }

 private:
  struct State;
  NodeOptions options_;
  Store& store_;
  std::unique_ptr<State> state_;
};

}  // namespace knit
