// One node as a process: the loop, the store on disk, the node, its peers and its clients. One thread,
// besides those of journal and committer.
//
// One turn of the loop: events come in and change the store; then, in end_turn(), the turn's changes go to
// the journal, a commit is begun if it is time, what has become durable goes out to clients and peers, and
// snapshots are let go. In front of it all stands a slice of background work, if it is time for one.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "daemon/backups.h"
#include "daemon/commit_pace.h"
#include "daemon/config.h"
#include "daemon/event_loop.h"
#include "daemon/gossip_socket.h"
#include "daemon/http/http_server.h"
#include "daemon/http/site.h"
#include "daemon/node_keys.h"
#include "daemon/peer_transport.h"
#include "daemon/redis/server.h"
#include "daemon/seeds.h"
#include "daemon/work_pace.h"
#include "node/node.h"
#include "store/lmdb/file_journal.h"
#include "store/lmdb/lmdb_store.h"
#include "store/store.h"

namespace knit {

constexpr Millis leave_deadline{2000};  // To tell the members; who was not told hears it from others.
constexpr Millis stop_deadline{10'000};

class Daemon {
 public:
  // Waits in the lobby if this node belongs to no cluster yet, then takes the data directory, and listens.
  // Empty: it was told to stop there. The error is one line for whoever starts it: a key cannot be read, the
  // directory is used or of another cluster, an address cannot be had.
  static Result<std::unique_ptr<Daemon>> start(Config config, std::string version);
  ~Daemon();

  // Until SIGTERM or SIGINT. Answers the exit status: 0, or 1 if the stop took longer than stop_deadline.
  // A disk that fails, or a database file that is found damaged, ends the process at once, with status 1: the
  // supervisor restarts it.
  int run();

 private:
  Daemon(Config config, std::string version, ClusterIdentity cluster, std::unique_ptr<NodeKeys> keys);

  Result<void> open();
  Result<void> open_store();
  Result<void> open_data();
  Result<void> commit_all();
  Result<void> open_disk();
  void make_node();
  Result<void> start_membership();
  Result<void> listen();
  Result<void> listen_http();
  std::set<std::string> wanted_links() const;
  std::string trouble() const;  // Of which /health tells.
  RedisOptions redis_options() const;
  void start_timers();

  Now now();
  void deliver(Outbox& out);
  void on_tick();
  void on_membership_tick();
  void plan_membership_tick();
  void save_members();
  const KeyRing* ring() const { return keys_ ? &keys_->ring() : nullptr; }
  void start_keys();
  void on_keys_changed();
  std::vector<std::string> absent_members();
  void on_work();
  bool may_work();
  void plan_work();
  void begin_commit();
  void on_commit();
  void on_journal();
  void undo(const Error& error);
  [[noreturn]] void end_broken(const Error& error);
  void end_turn();
  void push();
  void notice_rest();
  void give_back_memory();
  void begin_leave();
  void begin_stop();
  void end_stop(int status);

  Config config_;
  std::string version_;
  ClusterIdentity cluster_;
  std::unique_ptr<NodeKeys> keys_;  // Null: nothing between nodes is encrypted.
  // What is below is destroyed upwards: the loop last, threads before what they wake.
  EventLoop loop_;
  Waker commit_ended_;
  Waker journal_synced_;
  std::unique_ptr<FileJournal> journal_;
  std::unique_ptr<LmdbStore> disk_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Backups> backups_;
  std::unique_ptr<Node> node_;
  std::unique_ptr<NodeLinks> links_;
  std::unique_ptr<Seeds> seeds_;
  std::unique_ptr<PeerTransport> transport_;
  std::unique_ptr<GossipSocket> gossip_;
  std::unique_ptr<RedisServer> redis_;
  std::unique_ptr<Site> site_;
  std::unique_ptr<HttpServer> http_;  // Null: switched off.
  Timer tick_;
  Timer membership_timer_;
  Timer alive_;
  Timer leave_timer_;
  Timer stop_timer_;
  Timer commit_timer_;
  Timer push_timer_;
  Timer work_timer_;
  WhenIdle work_;
  BeforeWait before_wait_;
  OnSignal terminate_;
  OnSignal interrupt_;
  CommitPace commit_pace_;
  WorkPace work_pace_;
  std::optional<Error> undo_waits_;  // For the commit that runs.
  Millis next_membership_tick_{};
  std::optional<std::string> unsaved_members_;
  Millis next_space_check_{};
  std::uint64_t activity_seen_ = 0;  // Of the store, at the last check.
  unsigned quiet_checks_ = 0;        // In which it had not moved.
  bool memory_is_due_ = false;
  bool leaving_ = false;
  bool stopping_ = false;
  int status_ = 0;
};

}  // namespace knit
