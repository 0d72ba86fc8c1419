// One client's conversation, without its socket: requests go in as bytes, replies wait in a queue
// until what they saw is synced.
//
// Invariants: one reply a request, in their order. While a command waits for a job of the node, no
// later one is executed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/redis/command.h"
#include "daemon/redis/reply.h"
#include "daemon/redis/reply_queue.h"
#include "daemon/redis/request_parser.h"
#include "daemon/redis/server_state.h"

namespace knit {

// The jobs that one command waits for, and how it answers when all have ended.
struct JobWait {
  struct Job {
    JobId id{};
    NodeId peer{};  // These two for those that were not named by the client.
    std::string peer_name{};
    std::optional<JobDone> done{};  // At once with an error, if the job could not be started.
  };
  std::vector<Job> jobs{};
  std::size_t limit = 0;  // Of what is listed.
  Millis started{};
  Millis duration{};  // Once it is over.
  void (*answer)(Reply& reply, const JobWait& wait) = nullptr;

  bool over() const;
};

// A command that takes its time: a step a turn, until one has made the reply and answers true.
class Steps {
 public:
  virtual ~Steps() = default;
  virtual bool step(Call& call) = 0;
};

// What a command waits for that is not a job: something that other nodes must do.
class Condition {
 public:
  virtual ~Condition() = default;
  virtual bool met(const Node& node) const = 0;
  // `in_time`: met() was true, else the time was over.
  virtual void answer(Reply& reply, const Node& node, Now now, bool in_time) const = 0;
  // It was not met for a while: whatever helps.
  virtual void nudge(Node&, Now, Outbox&) {}
};

// Why a token is not shown whose writes are all here: others that it leaves out may be missing.
constexpr std::string_view not_caught_up =
    "BEHIND this node has not caught up with its peers since it was started, or since members came or went";

constexpr std::string_view daemon_stops = "the daemon stops";

// KNIT SESSION ON: no command sees the keys before all this is here.
struct ReadGate {
  // None: open. Its clock may be empty, on a node that has not caught up.
  std::optional<Node::Needed> needed{};
  Millis timeout{};  // Of each command; then it is refused.
  std::optional<Millis> closed_since{};
};

// Rows of peers, without which a command is not executed.
struct Fetch {
  JobId job;
  std::optional<JobDone> done{};
};

class Session {
 public:
  static constexpr std::size_t commands_per_turn = 8192;     // So that one pipeline does not starve others.
  static constexpr std::size_t output_soft_bytes = 1 << 20;  // From here no further command is executed.

  struct Peer {
    std::string address;
    std::string local_address;
    bool unix_socket = false;
  };

  Session(ServerState& server, Peer peer);
  ~Session();  // Cancels its jobs.
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  enum class Pause : std::uint8_t {
    input,      // All complete requests are executed.
    turn,       // It had its share: run() it again in the next turn.
    pressure,   // Output or store are full: run() it again when may_run().
    job,        // Waits for a job: run() it again when not waiting().
    condition,  // Waits for other nodes: run() it again when may_run().
    closing,    // Write what is queued, then close.
    overflow,   // Too much is queued: close at once.
  };

  void feed(std::string_view bytes);  // Requires: the last run() answered input, job or condition.
  Pause run();
  void end_input();  // The client sends no more; what was read is still answered.

  bool may_run() const;
  bool held() const { return held_; }
  bool waiting() const { return wait_.has_value() || condition_ != nullptr; }
  std::optional<Millis> deadline() const;  // May run then, whatever else happens.
  void on_job_done(const JobDone& done);
  // Ends the wait: for a job with this RESP, for other nodes as if the time were over, unless it is an
  // error. False: it does not wait.
  bool unblock(std::string_view resp);
  void on_stop();  // The daemon stops: what is waited for does not come.
  void kill();     // Executes no more, and is closed at the end of the turn.
  // Requires: the server has no command in execution.
  void on_undone(std::string_view error_line);

  ReplyQueue& output() { return output_; }
  std::size_t queued_bytes() const { return output_.bytes() + in_flight_bytes; }
  std::size_t unread_bytes() const { return parser_.unread(); }
  std::string describe() const;  // A line of CLIENT LIST, without its end.

  // What commands change.
  int protocol = 2;
  bool authenticated = false;
  bool close_after_reply = false;
  std::string name;
  std::string client_library_name;
  std::string client_library_version;

  std::size_t in_flight_bytes = 0;  // Taken from the queue and not written yet; kept by the socket's owner.

  ReadGate gate;
  Dot last_written;  // By this client; sequence 0: nothing.

  // CLIENT REPLY. What is not answered is executed all the same.
  enum class Replies : std::uint8_t { on, off, skip_one };
  void set_replies(Replies replies);

  std::uint64_t id() const { return id_; }
  const Peer& peer() const { return peer_; }
  std::size_t memory_bytes() const { return queued_bytes() + parser_.memory_bytes(); }
  void set_authenticated(bool yes);

 private:
  friend class Call;

  // What take() moved out of the request, for the slow log.
  struct Taken {
    std::size_t index{};
    std::string shown;
  };

  Pause run_one(bool& executed);
  Pause run_request(bool& executed);
  bool must_hold() const;
  std::optional<Millis> waits_since() const;
  bool nudge_is_due() const;
  void nudge();
  bool fetching() const { return fetch_ && !fetch_->done; }
  void fetch_first(JobId job);
  std::optional<std::string> freshen(const Command& command);
  void expect_keys();  // Of the requests that follow.
  void execute();
  bool run_steps();
  void conclude(const Call& call, std::string_view front);
  void account(const Command& command, bool failed);
  void note_slow(const Command& command, Nanos taken);
  std::vector<std::string> shown_arguments(const Command& command) const;
  void reject(const Command* command, std::string_view line);
  void end_reply(JournalPosition saw);
  void forget_jobs();
  bool replies_off() const { return replies_ == Replies::off || skip_this_; }
  std::string& reply_target() { return replies_off() ? unsent_ : output_.tail(); }
  std::string take_argument(std::size_t index);
  void answer_error(std::string_view line);
  bool overflown() const { return queued_bytes() > server_.options.output_bytes_max; }
  void wait_for(JobWait wait);
  void finish_wait();
  bool finish_condition();
  void answer_condition(bool met);
  bool is_late(Millis since, Millis timeout) const;
  bool is_gated(const Command& command) const;
  std::string behind() const;

  ServerState& server_;
  Peer peer_;
  std::uint64_t id_;
  Now connected_;
  Now last_used_;
  RequestParser parser_;
  ReplyQueue output_;
  std::optional<JobWait> wait_;
  std::unique_ptr<Condition> condition_;
  Millis condition_since_{};
  Millis condition_timeout_{};  // Zero: none.
  bool nudged_ = false;         // Peers were asked for what is waited for.
  std::unique_ptr<Steps> steps_;
  Nanos steps_taken_{};
  const Command* last_command_ = nullptr;
  CommandStatistic* last_statistic_ = nullptr;  // Of last_command_.
  std::vector<Taken> taken_;
  std::string unsent_;  // Replies that are not wanted.
  Replies replies_ = Replies::on;
  bool skip_this_ = false;
  bool held_ = false;  // The parser's request waits: see must_hold().
  std::optional<Fetch> fetch_;
  std::uint64_t turn_ = 0;
  std::size_t commands_in_turn_ = 0;
  bool input_ended_ = false;
};

}  // namespace knit
