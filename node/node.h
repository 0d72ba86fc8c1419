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
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/function_ref.h"
#include "base/result.h"
#include "base/types.h"
#include "gossip/swim.h"
#include "merkle/exchange.h"
#include "node/budget.h"
#include "node/heard_line.h"
#include "node/in_stream.h"
#include "node/out_stream.h"
#include "node/scrub.h"
#include "node/status.h"
#include "node/token.h"
#include "node/wire.h"
#include "node/write_times.h"
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
enum class Channel : std::uint8_t { control = 0, stream = 1, exchange = 2 };
constexpr std::size_t channels = 3;

// How a node finds the others and is found; see gossip/swim.h.
struct MembershipOptions {
  SwimOptions swim;
  Generation generation;  // A time: greater than at every earlier start at this address, of whatever node.
  Profile profile;        // Its name, address and version are those of NodeOptions.
  std::string known;      // What Node::take_members() answered last, at an earlier start; or empty.
};

struct NodeOptions {
  std::string name;     // For people; the host's name by default.
  std::string address;  // Where peers reach this node, as it is told to them.
  std::string version;
  std::vector<std::string> peers;     // Seeds, ip:port: one where nobody was met yet is known to be missing.
  bool seeds_by_name = false;         // There are more, that were not looked up yet.
  Millis status_interval{1000};       // How often peers are told our digests.
  Millis exchange_interval{600'000};  // A scheduled exchange with each peer, whatever the digests say.
  Millis exchange_deadline{10'000};   // Without progress a session ends.
  Millis hello_timeout{2000};         // A link without an accepted hello is closed after so long.
  // Not committed yet: beyond, next to nothing is taken from peers. 0: no limit.
  std::size_t pending_bytes_max = 0;
  std::size_t exchange_sessions_max = 4;
  StreamOptions stream;
  std::size_t stream_peers_max = 8;  // Writes are pushed to so many peers; the others get them by exchanges.
  Millis clock_max_ahead{500};       // From a peer whose clock is farther ahead of ours no streams are taken.
  bool causal = false;               // What peers stream is shown only after what its author had seen,
  Millis causal_wait{2000};          // for which it waits so long.
  Millis read_timeout{1000};         // For the rows of peers that a client waits for.
  Millis read_lag_max{0};            // Farther behind its peers, this node is_stale(); zero: it never is.
  Millis relay_after{2000};  // A peer that has not come on for so long gets another node's writes from us.
  Millis scrub_interval{0};  // What one pass of the scrub takes; zero: none.
  std::size_t rows_per_step = 256;  // Of background work: what passes some rows, a tenth of a millisecond.
  // What sessions may ship and merge, both directions together; 0: no limit.
  std::uint64_t exchange_bytes_per_second = 0;
  std::uint64_t exchange_rows_per_second = 0;
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
struct JobDone {
  JobId job;
  std::string error;  // Not empty: it did not come to an end, and why.
  std::optional<ExchangeReport> exchange;
  std::vector<Difference> differences;
  std::uint64_t differences_found{};
  std::optional<Store::Verification> verification;
  std::optional<ScrubStatus> scrub;  // With a verification.
};
// There is news of whoever is at this address, ip:port: a link is worth trying at once.
struct Redial {
  std::string address;
};
// A peer told of its key ring.
struct KeysTold {
  std::string ring;
};
using Output = std::variant<Send, CloseLink, Notice, JobDone, SendDatagram, Redial, KeysTold>;
using Outbox = std::vector<Output>;

class Node {
 public:
  Node(NodeOptions options, Store& store, std::uint64_t seed);

  // Links. `dialed_address`: where this side called to; empty if the peer called. A pair of nodes keeps
  // one link: of two, the one that the node with the lower id dialed.
  void on_link_up(LinkId link, std::string dialed_address, Now now, Outbox& out);
  void on_link_down(LinkId link, Now now, Outbox& out);
  // A part of a long message came in or went out: whoever waits for the rest is not waiting in vain.
  void on_progress(LinkId link, Now now);
  // Hostile bytes end the link and change nothing.
  void on_message(LinkId link, Channel channel, std::string_view message, Now now, Outbox& out);

  // Where a link is wanted, ip:port: of seeds and members, those who have none and are not this node.
  std::set<std::string> wanted_links() const;
  bool wants_link(const std::string& address) const;

  // Membership. Until it is started this node knows only those who link to it.
  void start_membership(const MembershipOptions& options, Now now);
  void on_datagram(const Swim::Source& from, std::string_view bytes, Now now, Outbox& out);
  void on_membership_tick(Now now, Outbox& out);
  Millis next_membership_tick() const;  // Any call here may change it.
  // An address to be tried until somebody is met there. bad_input: it is not ip:port. refused: it is this
  // node's own, or 64 are tried already.
  Result<void> join(std::string_view address);
  const std::set<std::string>& to_join() const { return to_join_; }  // Where nobody was met yet.
  // Tells all that this node goes; it may stop when news_is_out().
  void leave(Now now, Outbox& out);
  bool news_is_out() const { return !swim_ || !swim_->has_news(); }
  // `peer` as for start_repair(). not_found; refused: it is alive, or this node.
  Result<void> forget(std::string_view peer, Now now, Outbox& out);
  Result<void> set_tags(std::map<std::string, std::string> tags, Now now, Outbox& out);
  // Every peer is told of this ring, now and when it is met. Only where links are encrypted.
  void tell_keys(std::string ring, Outbox& out);
  // All members as they are to be known at the next start, if something has changed since this was asked
  // last.
  std::optional<std::string> take_members();
  std::vector<MemberStatus> members() const;  // This node first, then ascending by name.
  const Swim* swim() const { return swim_ ? &*swim_ : nullptr; }

  // Takes a part of what peers have streamed, and sends what the log has for them, as far as their credit
  // goes. To be called at the end of each turn.
  void push(Now now, Outbox& out);
  // There is more to do, in the next turn, or when StreamOptions::batch_interval has passed.
  bool push_is_due() const { return streams_behind_; }
  bool push_waits() const { return push_waits_; }

  // Time passed. To be called about ten times a second.
  void on_tick(Now now, Outbox& out);
  // A step of background work: of a session, the tree, a sweep, a verification. See
  // NodeOptions::rows_per_step. To be called between events while has_work(), as often as the owner sees fit:
  // what may wait long is kept alive by on_tick().
  void work(Now now, Outbox& out);
  bool has_work() const;
  // How long all of that work must wait for its budget; zero: it need not. Requires: has_work().
  Millis work_wait(Now now) const;

  // After the store undid unsynced changes: sessions that saw them end, links close.
  void on_undone(Now now, Outbox& out);

  // Jobs end with one JobDone. `peer` is a name, an address, or the start of a node id (4 digits at
  // least); refused if it is not known or not reachable or a session with it cannot be had.
  Result<JobId> start_repair(std::string_view peer, Now now, Outbox& out);
  Result<JobId> start_diff(std::string_view peer, Now now, Outbox& out);
  Result<JobId> start_verify();
  void cancel(JobId job);  // Its client went away. Nothing is told.

  // Reads of several replicas: node_reads.cpp. A job: the rows of these keys are asked of `replicas` peers,
  // and merged here; peers whose rows are behind get what came of it. refused: fewer can be reached, or there
  // are too many keys.
  enum class ReadFrom : std::uint8_t {
    nearest,
    freshest,  // Those that have most of what this node lacks.
  };
  static constexpr std::size_t read_keys_max = 1024;
  Result<JobId> start_read(const std::vector<std::string_view>& keys, std::size_t replicas, ReadFrom from,
                           Now now, Outbox& out);
  std::size_t replicas() const;  // Of every row, with this node and those that are down.
  // How far this node is behind: for how long it has lacked something that a peer had, or reached no member.
  Millis lag() const { return lag_; }
  bool is_stale() const { return options_.read_lag_max > Millis{0} && lag_ > options_.read_lag_max; }

  // What clients rely on: node_sessions.cpp. `needed` has no ranges above a gap.
  // What a client may have seen here and not every member is known to have.
  Token token();
  // Of who belongs to the cluster, as this node knows it; 0 without membership.
  std::uint32_t members_digest();
  // What must be here before a client that comes with a token may read.
  struct Needed {
    Clock clock;
    std::uint64_t meeting{};  // Peers must have answered this one; 0: none.
  };
  Needed needed(Token token);
  // Whether that is so; and how many writes of the clock are not here.
  bool shows(const Needed& needed) const;
  std::uint64_t lacks(const Clock& needed) const;
  // How many peers have acknowledged that they have all of it durably.
  std::size_t replicas_with(const Clock& needed) const;
  // By the actor that this node has now. Sequence 0: it has written nothing yet.
  Dot last_write() const;
  // Begins an exchange with somebody who has more of it.
  void fetch(const Clock& needed, Now now, Outbox& out);

  // A debug aid: drops everything to and from a peer until told otherwise ("" means all peers). Links that
  // lost something so are closed in the end.
  Result<void> isolate(std::string_view peer, bool isolated, Now now, Outbox& out);

  NodeStatus status(Now now);
  ScrubStatus scrub_status() const { return {scrub_.on(), scrub_.progress(), scrub_.last()}; }
  const NodeOptions& options() const { return options_; }
  Store& store() { return store_; }

 private:
  struct Link {
    std::string dialed_address;
    std::optional<NodeId> peer;  // Known once its hello was accepted.
    Millis up_at{};
  };
  struct Session {
    std::uint64_t id{};
    std::unique_ptr<Exchange> exchange;
    bool initiated = false;
    std::optional<JobId> job;
    Millis started{};
    Millis last_progress{};
    Millis last_sent{};
    std::uint64_t floor_number = 0;  // The peer's, when it began.
  };
  // What the status of a peer showed, beside our own state.
  struct Sight {
    Uint128 my_root{};
    Uint128 peer_root{};
    Clock my_clock;
    Clock peer_clock;
    bool operator==(const Sight&) const = default;
  };
  // What a peer was told last on its link.
  struct Told {
    Clock clock;
    WallTime expired;
    Line floor;
    Line purged;
    bool passes{};  // See Store::passes().
    std::uint64_t meeting{};
    std::uint64_t meeting_heard{};
    Uint128 root{};
    bool tree_complete{};
    std::uint64_t keys{};
    std::uint64_t floor_number{};
    std::uint64_t fenced_at{};
    bool writing{};  // A message of an exchange, which the count of those that were sent includes.
    std::string lags;
    bool operator==(const Told&) const = default;
  };
  // What a peer had at some time.
  struct Ahead {
    Clock clock;
    Millis since{};
  };
  // Since when a peer has had no more of an actor's writes than this, although we have.
  struct Stall {
    Clock has;  // Of that actor alone.
    Millis since{};
  };
  // How far a peer says that others are behind its writes.
  using Lags = std::map<NodeId, Millis>;
  struct Shown {
    Uint128 root{};
    bool tree_complete{};
    std::uint64_t keys{};
    Clock clock;  // Of the same instant.
    WallTime expired;
  };
  // That what expires by then has expired, which members say one by one, and what each had when it did: it
  // may have put off something before.
  struct Agreement {
    WallTime expired;
    std::map<NodeId, Clock> clocks;
  };
  struct Peer {
    Hello hello;
    std::optional<LinkId> link;
    std::optional<Shown> shown;          // By its last status on this link.
    std::uint64_t meeting_heard = 0;     // The last one that it called, on this link,
    std::uint64_t meeting_answered = 0;  // and the last one of ours that it answered.
    std::optional<Told> told;            // On this link,
    Millis told_at{};                    // lately.
    Millis pulse_at{};                   // See pulse().
    OutStream stream{StreamOptions{}};
    StreamStats stream_stats;
    bool stream_paused = false;  // Until its next status or pulse.
    InStream incoming;
    // For the floor: node_floor.cpp. The first three outlive the link.
    HeardLine line;
    std::optional<Line> floor;
    Line purged;
    bool passes = false;
    RowMessages sent;  // On this link.
    RowMessages taken;
    std::uint64_t floor_number = 0;  // Rises with its floor; on this link.
    Clock guard;        // What it has of its floor, while this node rejoins through it; see guard().
    Millis guard_to{};  // See give_up_guards().
    std::uint64_t i_fenced_at = 0;  // By which floor of the peer this node has dropped what was purged there,
    std::uint64_t it_fenced_at = 0;           // and by which of ours the peer has.
    std::optional<std::int64_t> clock_ahead;  // Milliseconds, of ours, by its last status on this link.
    std::optional<Ahead> ahead;               // Of this node, which still lacks some of that.
    std::map<ActorId, Stall> stalls;
    Lags lags;
    double pace = 0;                     // Rows it acknowledged in a second, lately.
    std::uint64_t acknowledged = 0;      // Rows, since the last pulse.
    std::uint64_t unequal_statuses = 0;  // And pulses, in a row, without an exchange.
    Sight sight;                         // With the last status.
    std::optional<Sight> doubted;        // When its packets last told of another state.
    std::optional<Sight> proven;         // When a session found that neither lacks anything.
    std::optional<Sight> tried;          // When the last session began,
    Millis pause{};                      // and how long the next one waits if it changed nothing,
    Millis paused_to{};                  // since it ended.
    bool equal = false;
    bool judged = false;  // With equal clocks, and as much purged.
    Millis judged_at{};   // Or when clocks were found to differ.
    WallTime last_equal;
    WallTime since;  // Of being reachable or not.
    Millis next_status{};
    Millis next_scheduled{};
    bool scheduled_due = false;
    bool isolated = false;
    std::optional<Session> session;
  };
  struct Job {
    NodeId peer;
    bool only_compare = false;
    Millis deadline{};  // To get a session.
    bool running = false;
  };
  struct VerifyJob {
    JobId id;
    Store::Verification verification;
  };

  // Links and hellos: node_links.cpp.
  Hello my_hello() const;
  void handle(LinkId link, const Hello& hello, Now now, Outbox& out);
  void handle(LinkId link, const JoinRequest& request, Now now, Outbox& out);
  void handle(LinkId link, const Welcome& welcome, Now now, Outbox& out);
  bool speaks_our_version(const std::string& who, std::uint64_t low, std::uint64_t high, Outbox& out) const;
  void forget_predecessor(const Hello& hello, Now now, Outbox& out);
  bool accept_hello(LinkId link, const Hello& hello, Outbox& out);
  bool keep_link(LinkId link, Peer& peer, NodeId peer_id, Now now, Outbox& out);
  void drop_link(LinkId link, std::string reason, Now now, Outbox& out);
  void forget_link(LinkId link, std::string_view reason, Now now, Outbox& out);
  void leave(Peer& peer);
  void send(LinkId link, Channel channel, const Message& message, Outbox& out);
  bool reachable(const Peer& peer) const { return peer.link && peer.shown; }
  Peer* peer_of(LinkId link);
  Result<NodeId> find_peer(std::string_view name) const;

  // Step 0: node_status.cpp.
  Told my_state(const Peer& peer, Now now);
  std::uint64_t meeting_answer(const Peer& peer) const;
  std::string my_lags(Now now) const;
  void handle(LinkId link, const Status& status, Now now, Outbox& out);
  void pulse(Peer& peer, Now now, Outbox& out);
  void note_time(Peer& peer, WallTime told, Now now, Outbox& out);
  bool take_clock(Peer& peer, const Status& status);
  void compare(Peer& peer, Now now, Outbox& out);
  void check_my_actor(const Peer& peer, Now now, Outbox& out);
  void send_status(Peer& peer, Now now, Outbox& out);
  void hasten_status(Peer& peer) const;
  void begin_anew(Peer& peer);
  void announce_tree(Now now, Outbox& out);
  void set_isolated(Peer& peer, bool isolated, Now now, Outbox& out);
  PeerStatus peer_status(NodeId id, const Peer& peer, Now now) const;
  void add_unmet_members(NodeStatus& status) const;
  bool was_met(const std::string& address) const;
  bool all_peers_show(Uint128 root) const;

  // The floor: node_floor.cpp.
  void visit_members(FunctionRef<void(const Peer*)> visit) const;
  void hear_clock(Peer& peer, const Status& status);
  static bool is_at_work(const Peer& peer);
  static RowMessages rows_begun(const Peer& peer);
  static RowMessages rows_through(const Peer& peer);
  void guard(Peer& peer, Now now, Outbox& out);
  void end_guard(Peer& peer);
  void lift_guard(Peer& peer);
  void share_floor(const Peer& peer);
  static bool is_fencing(const Peer& peer);
  Millis draw_patience();
  void give_up_guards(Now now);
  void hold_purge();
  void hasten_lines(Peer& peer) const;
  bool knows_members() const;
  bool nobody_has_more(ActorId actor) const;
  void give_up_gaps(Now now, Outbox& out);
  std::optional<Line> common_to_members(const Line& mine, FunctionRef<const Line*(const Peer&)> of) const;
  bool may_adopt(const Clock& floor) const;
  void raise_floor(Now now);
  bool am_below(const Peer& peer) const;
  bool is_below(const Peer& peer) const;
  bool i_fenced(const Peer& peer) const;
  bool it_fenced(const Peer& peer) const;
  bool may_stream(const Peer& peer) const;
  bool keeps_time(const Peer& peer) const;
  bool may_repair(const Peer& peer) const;
  std::optional<ExchangeMode> mode_with(const Peer& peer, bool only_compare) const;
  Clock fence_of(const Peer& peer) const;
  ExchangeOptions session_options(const Peer& peer, Now now) const;

  // What has expired: node_expiry.cpp.
  void let_expire(Now now);
  bool agree_on_expiry();
  void forget_wrong_time(Now now, Outbox& out);

  // Membership: node_members.cpp.
  void handle(LinkId link, const Gossip& gossip, Now now, Outbox& out);
  void handle(LinkId link, const Keys& keys, Now now, Outbox& out);
  void settle(SwimOutbox& said, Now now, Outbox& out);
  void send_over_link(const SendOverLink& send, Outbox& out);
  void on_member_changed(const MemberChanged& change, Now now, Outbox& out);
  void on_state_differs(NodeId id);
  void forget_replaced(Now now, Outbox& out);
  void remove_peer(NodeId id, const std::string& why, Now now, Outbox& out);
  void tell_state();
  bool is_cut_off(NodeId id) const;
  bool is_member(const Peer& peer) const;
  Result<NodeId> find_member(std::string_view name) const;

  // Streams: node_streams.cpp.
  void handle(LinkId link, const StreamBatch& batch, Now now, Outbox& out);
  void handle(LinkId link, const StreamAck& ack, Now now, Outbox& out);
  void take_streams(Now now, Outbox& out);
  bool may_take(const Peer& peer) const;
  bool may_merge(const Peer& peer) const;
  void admit(Now now, Outbox& out);  // Causal order: node_causal.cpp.
  void admit_ordered();
  bool admit_late(Now now, Outbox& out);
  void take_batch(Peer& peer, std::size_t& items, Now now, Outbox& out);
  void push_to(Peer& peer, Now now, Outbox& out);
  void send_batch(const Peer& peer, const OutStream::Batch& batch, Outbox& out);
  bool pushes_to(const Peer& peer) const;
  bool has_too_much_pending() const;
  bool may_take_some() const;
  void pace_purge(bool streams_wait, Now now);
  bool help(Peer& peer, Now now);
  bool help_with(Peer& peer, ActorId actor, Now now);
  bool is_alive(ActorId actor) const;
  bool is_first_holder(ActorId actor, std::uint64_t sequence) const;
  std::optional<Backlog> backlog(const Peer& peer, Now now) const;
  std::optional<Millis> lag_of(const Peer& peer, Now now) const;
  std::vector<Lag> lags(Now now) const;

  bool all_clocks_known() const;
  bool is_alone() const;
  void meet(const Peer& peer);
  Clock seen() const;
  Clock seen_by_clients() const;
  bool has_met(std::uint64_t meeting) const;
  void on_forgotten(Outbox& out);
  std::uint64_t call_meeting();
  bool has_met_somebody() const { return !met_nobody_ && (!swim_ || had_company_); }
  bool has_caught_up() const { return store_.clock().covers(met_); }

  // Reads of several replicas: node_reads.cpp.
  struct Read {
    struct Row {
      std::string row_key;
      std::optional<RowVersion> version;  // Empty: it is wanted there, whatever we have.
    };
    struct Asked {
      std::size_t waiting{};  // For so many rows.
      bool failed = false;
      std::vector<Row> rows;
    };
    std::set<std::string> row_keys;
    std::size_t replicas{};      // Peers that must show all of them.
    std::vector<NodeId> others;  // To be asked if need be, the best last.
    std::map<NodeId, Asked> asked;
    Millis started{};
  };
  void handle(LinkId link, const RowRequest& request, Now now, Outbox& out);
  void handle(LinkId link, const RowReply& reply, Now now, Outbox& out);
  void handle(LinkId link, const RowRepair& repair, Now now, Outbox& out);
  Result<void> take_clear(std::string_view bytes, Now now);
  Result<void> take_reply(const Read& read, Read::Asked& asked, const RowReply& reply, Now now);
  std::vector<NodeId> who_may_be_read(ReadFrom from) const;
  bool ask_next(JobId job, Read& read, Outbox& out);
  static std::size_t answered(const Read& read);
  static bool may_succeed(const Read& read);
  bool mend(Peer& peer, const Read::Row& row, Outbox& out);
  void finish_read(std::map<JobId, Read>::iterator read, std::string error, Outbox& out);
  void hasten_reads(Now now, Outbox& out);
  bool answers(const Peer& peer) const;
  void measure_lag(Now now);

  // Exchanges and jobs: node_exchanges.cpp.
  void handle(LinkId link, const ExchangeOpen& open, Now now, Outbox& out);
  void handle(LinkId link, const ExchangeTurn& turn, Now now, Outbox& out);
  void handle(LinkId link, const ExchangeEnd& end, Now now, Outbox& out);
  bool begin_session(Peer& peer, bool only_compare, std::optional<JobId> job, Now now, Outbox& out);
  void on_fenced(Peer& peer, Now now, Outbox& out);
  void feed_session(Peer& peer, std::string_view payload, Now now, Outbox& out);
  void step_session(Peer& peer, Now now, Outbox& out);
  void fail_session(Peer& peer, const Error& error, Now now, Outbox& out);
  void keep_session(Peer& peer, Now now, Outbox& out);
  Peer* next_busy_peer();
  bool has_busy_session() const;
  Millis budget_wait(Now now) const { return std::max(bytes_.wait(now.steady), rows_.wait(now.steady)); }
  bool has_work_on_store() const;
  void work_on_store(Now now, Outbox& out);
  void end_session(Peer& peer, std::string error, Now now, Outbox& out);
  void finish_job(Session& session, const ExchangeReport& report, Outbox& out);
  bool may_begin_session(const Peer& peer) const;
  bool is_paused(const Peer& peer, Now now) const;
  void note_try(Peer& peer) const;
  void schedule(Peer& peer, Now now, Outbox& out);
  void resume_work(Now now);
  void start_waiting_jobs(Now now, Outbox& out);
  void scrub(Now now, Outbox& out);
  Result<JobId> start_exchange_job(std::string_view peer, bool only_compare, Now now, Outbox& out);
  std::uint64_t random() { return random_(); }

  NodeOptions options_;
  Store& store_;
  std::mt19937_64 random_;
  std::uint64_t boot_;
  std::map<LinkId, Link> links_;
  std::map<NodeId, Peer> peers_;
  std::map<std::string, NodeId> found_at_;  // Address that was dialed -> the node that answered there.
  ProfilePool profiles_;
  std::optional<Swim> swim_;
  std::set<std::string> to_join_;  // Addresses; at most join_addresses_max.
  bool members_changed_ = false;
  std::string keys_;  // Empty: nobody is told.
  // A digest of clock and root that may be told once the store has synced this.
  std::optional<std::pair<std::uint64_t, JournalPosition>> state_;
  JournalPosition state_at_;
  bool all_isolated_ = false;
  std::uint64_t next_job_ = 1;
  std::map<JobId, Job> jobs_;
  std::optional<VerifyJob> verify_;
  std::map<JobId, Read> reads_;
  std::uint64_t rows_mended_ = 0;
  std::uint64_t out_of_order_ = 0;  // Rounds that were taken before what they needed.
  Clock forgiven_;                  // That is not waited for any more.
  Millis lag_{};
  std::optional<Millis> company_at_;  // When a member could last be reached.
  NodeId last_stepped_;               // Sessions take turns.
  bool session_goes_next_ = false;
  Budget bytes_;  // Of sessions,
  Budget rows_;   // shipped and merged.
  Scrub scrub_;
  bool work_failed_ = false;  // A failing disk must not spin the loop:
  Millis work_pause_{};       // it is tried again after this, which grows.
  std::optional<Millis> work_resumes_;
  JournalPosition pushed_at_;  // What had been applied then.
  bool push_again_ = true;     // Something else has changed since: a clock, credit, a peer.
  bool push_waits_ = false;
  OutStream::Copy stream_copy_;
  NodeId served_last_;           // The peer of whose stream something was taken last.
  bool streams_behind_ = false;  // More is to be pushed in the next turn.
  bool may_trickle_ = false;     // A little is taken although too much is pending.
  Millis purged_all_{};          // When there was nothing to purge, last.
  Clock guard_;                  // The guards of all peers.
  WallTime expired_;             // This node puts off nothing more that expires by then.
  Millis next_expiry_{};
  std::optional<Agreement> agreement_;
  Clock gaps_;  // Filled: of earlier actors of this node, which nobody can,
  Millis gaps_since_{};
  Clock met_;                   // What peers had when they were met first or answered a meeting,
  bool met_nobody_ = true;      // if one was.
  std::uint64_t recalled_ = 0;  // The meeting that it called when members had forgotten it; or 0.
  bool had_company_ = false;    // Somebody else was a member, not only one that had just left.
  std::uint64_t meeting_ = 0;   // Peers are asked what they have: the last one that was called.
  std::uint32_t members_ = 0;   // See members_digest(), of the list
  std::uint64_t members_of_{};  // with this digest.
  WriteTimes write_times_;
  ActorId timed_actor_;
  Histogram stream_delays_{stream_delay_bounds};
  bool tree_was_complete_ = false;
  Millis next_log_trim_{};
  std::vector<ExchangeReport> reports_;
  std::uint64_t exchanges_ = 0;
  ExchangeStats totals_;
};

}  // namespace knit
