// N nodes in one process on a virtual network, clock and disk. Everything follows from a seed.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "base/function_ref.h"
#include "model.h"
#include "node/keyspace.h"
#include "node/node.h"
#include "store/store.h"
#include "virtual_disk.h"

namespace knit::sim {

constexpr Millis clock_max_ahead{500};

inline std::string address_of(std::size_t host) { return "host" + std::to_string(host); }

struct WorldOptions {
  std::uint64_t seed{};
  std::size_t hosts = 3;
  std::size_t keys = 12;
  std::size_t counters = 3;
  bool rot = true;  // Of journals. Not with clears: without its clear a row cannot be judged.
  Millis exchange_interval{15'000};
  Millis exchange_deadline{3000};
  LogExtent::Bounds log{std::uint64_t{64} << 10, Millis(86'400'000)};  // Below, it is trimmed all the time.
  bool narrow_streams = false;  // Batches of few rows, and credit for few batches.
  bool loses_host = false;      // One comes back only when the others have agreed without it.
  bool causal = false;          // Order of streams.
  bool members = false;         // Hosts join, leave, are forgotten, replaced and copied. No rows are scarred.
  Millis skew_max{200};         // Of clocks, to either side.
  double count_chance = 0.2;    // That a client's write is an increment of one of these.
  std::uint64_t put_offs = 10;  // Of expiries, beside 90 other writes.
  double read_all = 0.03;       // The chance that a client reads all replicas.
  double commit_chance = 0.2;   // At each turn of a host: how little its journal holds beyond its disk.
  Millis faults_for{20'000};    // Phase one: clients write while anything may fail.
  Millis converge_within{60'000};  // Phase two: healed, nobody writes; all must become equal.
};

class World {
 public:
  explicit World(WorldOptions options);
  ~World();

  // Runs one history. Empty if nothing was violated, else what was.
  std::optional<std::string> run();

  // Over all events: the same seed gives the same hash.
  std::uint64_t trace_hash() const { return trace_; }
  std::size_t writes() const { return model_.writes(); }
  double hours() const { return std::chrono::duration<double, std::ratio<3600>>(time_).count(); }
  std::uint64_t exchanges() const { return exchanges_; }

 private:
  // What a client is to be told: something that these dots wrote.
  struct Reply {
    JournalPosition after;
    std::vector<Dot> dots;
    std::string key = {};
    std::optional<Token> token = {};  // It asked for one, too.
  };
  // A client that may go elsewhere, and what it has seen of a key.
  struct Traveller {
    std::string key;
    std::vector<Dot> seen;
    Token token;
    std::size_t from{};  // The host that gave it,
    Millis at{};         // then.
  };
  struct Guest {
    Traveller who;
    Node::Needed needed;
  };
  // A read of all replicas, and what they showed when it began.
  struct PendingRead {
    std::string key;
    std::vector<Dot> shown;
  };
  struct Host {
    VirtualDisk disk;
    VirtualJournal journal;
    bool syncing = false;
    bool undo_waits = false;  // For the commit that runs.
    bool working = false;     // A step of background work is planned.
    std::unique_ptr<Store> store;
    std::unique_ptr<Node> node;
    std::unique_ptr<Keyspace> keyspace;
    std::string members;       // As the node knew them last.
    NodeId id;                 // At the last start.
    std::size_t author{};      // Who the model takes it for: each set of data is another one.
    Millis membership_tick{};  // That is planned.
    bool settled = true;       // Has met a member that is settled, and is known to it.
    std::size_t seed{};        // The host whose address it was given.
    WallTime copied_at;        // By the clock of the host whose data these are a copy of.
    std::int64_t skew_millis{};
    std::map<JobId, PendingRead> reads;  // Of all replicas.
    std::deque<Guest> guests;            // Who wait until what they have seen elsewhere is here.
    std::deque<Send> held;               // Until their position is synced;
    std::vector<Reply> replies;          // these too.
    std::set<std::string> scarred;       // Keys whose rows were damaged.
    Clock promised;                      // What others were told to be durable here, when it crashed.
    bool rotten = false;                 // A record of the journal was.
    std::uint64_t boot{};                // Events of an earlier boot are stale.
    bool up() const { return node != nullptr; }
    bool has_data() const { return !disk.of(Table::meta).empty(); }
  };
  struct VirtualLink {
    std::array<std::size_t, 2> ends;                             // The dialer first.
    std::array<std::array<Millis, channels>, 2> last_arrival{};  // Keeps the order of a channel.
    std::array<bool, 2> dead{};  // Something from that end was lost: so is all that follows.
  };
  struct Event {
    Millis at;
    std::uint64_t order;
    std::function<void()> run;
    bool operator>(const Event& other) const { return std::tie(at, order) > std::tie(other.at, other.order); }
  };

  std::uint64_t random(std::uint64_t below) { return random_() % below; }
  bool chance(double probability) { return static_cast<double>(random(1'000'000)) < probability * 1e6; }
  Now now(const Host& host) const;
  void at(Millis delay, std::function<void()> run);
  void on_host(std::size_t host, Millis delay, std::function<void()> run);
  void note(std::uint64_t value) { trace_ = (trace_ ^ value) * 0x9e3779b97f4a7c15u + (trace_ >> 29); }
  void run_until(Millis end);
  void trace_host(std::size_t host, const std::string& what) const;
  void trace_state();  // Of all hosts.
  void trace_row(const std::string& key);
  std::optional<std::string> play();

  void boot(std::size_t host);
  Result<void> open_data(std::size_t host);
  NodeOptions node_options(std::size_t host) const;
  void crash(std::size_t host);
  void tick(std::size_t host);
  void plan_work(std::size_t host);
  void dial(std::size_t host);
  void break_link(LinkId link);
  void deliver(LinkId link, std::size_t to, Channel channel, std::string message);
  void settle(std::size_t host, Outbox& out);
  void note_rejoin(std::size_t index, const Send& send);
  void release(std::size_t host);
  void sync_done(std::size_t host, JournalPosition position);
  void commit_done(std::size_t host);
  void undo(std::size_t host);

  // Membership: world_members.cpp.
  std::string endpoint_of(std::size_t host) const;
  std::optional<std::size_t> host_at(const std::string& endpoint) const;
  bool is_cut(std::size_t from, std::size_t to) const;
  void found();
  void start_membership(std::size_t host);
  void plan_membership_tick(std::size_t host);
  void send_datagram(std::size_t from, SendDatagram send);
  bool members_agree() const;
  bool is_of_present(ActorId actor) const;
  Clock common_to_all(const Host& host) const;
  void upset();
  void exile(std::size_t host);
  void forget(std::size_t host);
  void retry_forget(std::size_t host);
  bool all_know_each_other() const;
  bool find_seed(std::size_t host);
  bool reaches(std::size_t host, std::size_t other) const;
  void settle_in(std::size_t host);
  bool is_member_of(std::size_t host, std::size_t of) const;
  void leave(std::size_t host);
  void wipe(std::size_t host);
  void copy_to(std::size_t host);
  Result<void> rename_copy(std::size_t host);

  // Clients: world_clients.cpp.
  void client(std::size_t host);
  void client_read(Host& host);
  void read_all(Host& host, Outbox& out);
  void end_read(Host& host, const JobDone& done);
  void client_write(Host& host);
  void clear(Host& host);
  void count(Host& host);
  void record(Host& host, const std::string& key, const RegisterRow& before, std::vector<Dot> superseded);
  void record_sibling(Host& host, Write write, const RegisterRow& before, const Sibling& written);
  bool note_raise(const Host& host, const Write& write, const RegisterRow& before, const RegisterRow& after);
  void arrive(std::size_t host, Outbox& out);
  void check_stamp(const Host& host, Stamp issued, Stamp superseded);
  void answer(Host& host, const std::string& key, std::vector<Dot> dots);
  const std::string& any_key();

  // Faults: world_faults.cpp.
  void fault();
  void crash_and_boot(std::size_t host);
  void boot_after(std::size_t host, Millis delay);
  bool scars() const { return !options_.loses_host && !options_.members; }
  void cut_off(std::size_t host);
  void rot(std::size_t host);
  void scar(std::size_t host);
  std::optional<std::size_t> holder_of(std::size_t host, const std::string& key, std::string_view record);
  void inspect();
  void note_promises(std::size_t host);
  void heal();
  void lose_host();
  std::optional<std::string> stream_only();
  void write_in_peace();
  void check_causes();
  std::optional<std::string> purge_all();
  std::optional<std::string> go_back();
  std::optional<std::string> lose_rows();
  std::uint64_t rows_exchanged();
  WallTime earliest(FunctionRef<bool(std::size_t host)> among) const;  // Of these hosts' clocks.
  bool converged();
  std::optional<std::string> converge(const char* when);
  std::optional<std::string> disagreement();
  void check_clock(std::size_t host);
  std::vector<Store*> others_than(std::size_t host) const;
  void check_tree(std::size_t host);
  void check_streams(std::size_t host);
  Store::Verification scrub(std::size_t host);

  WorldOptions options_;
  std::mt19937_64 random_;
  ClusterIdentity cluster_;
  std::vector<std::string> keys_;
  std::vector<std::string> counters_;  // Keys that are only ever incremented.
  std::vector<std::unique_ptr<Host>> hosts_;
  std::map<LinkId, VirtualLink> links_;
  std::set<std::pair<std::size_t, std::size_t>> cut_;  // Directions in which everything vanishes.
  std::set<std::size_t> slow_;  // Hosts whose disk is slow, and that everything takes long to reach.
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  Millis time_{1000};
  std::uint64_t order_ = 0;
  std::uint64_t next_link_ = 1;
  bool faults_ = true;
  std::optional<std::size_t> lost_;    // A host that stays down.
  std::optional<std::size_t> exiled_;  // One that nobody reaches.
  std::size_t next_author_;
  std::deque<Traveller> travellers_;
  Model model_;
  struct Caused {
    Dot dot;
    Clock seen;  // By its author before it was written.
  };
  bool streams_alone_ = false;
  std::vector<Caused> caused_;  // Of what was written in peace, when streams keep the order.
  std::uint64_t trace_ = 1;
  std::uint64_t exchanges_ = 0;
  std::optional<std::string> violation_;
};

}  // namespace knit::sim
