// The door for clients: Redis protocol on TCP and UNIX sockets. Loop thread only.
#pragma once

#include <uv.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "node/keyspace.h"
#include "node/node.h"

namespace knit {

struct RedisOptions {
  std::vector<std::string> addresses;  // Numeric, IPv4 or IPv6; empty: no TCP.
  std::uint16_t port = 6399;
  std::string unix_socket;  // Path; empty: none.
  unsigned unix_socket_mode = 0770;
  std::string password;        // Empty: none is asked for.
  bool protected_mode = true;  // Without a password, only loopback and UNIX clients are served.
  std::size_t clients_max = 10'000;
  std::size_t output_bytes_max = std::size_t{256} << 20;   // Waiting for one client; beyond, it is closed.
  std::size_t pending_bytes_max = std::size_t{256} << 20;  // Of the store; beyond, commands wait.
  std::vector<std::string> resolved_prefixes;              // See Keyspace.
  bool read_from_peers = true;  // What a stale node reads is got from a fresher peer; else it is refused.
  bool debug_commands = false;  // KNIT ISOLATE and the like.
  std::string version;
  // What CONFIG GET answers, beside what the server knows itself.
  std::vector<std::pair<std::string, std::string>> parameters;
};

std::chrono::nanoseconds steady_time();

struct ServerState;

class RedisServer {
 public:
  // What a command may ask of the daemon around it.
  struct Hooks {
    std::function<Now()> now;
    std::function<void(Outbox&)> deliver;  // What the node said while a command ran.
    // Time that never goes back, for durations.
    std::function<std::chrono::nanoseconds()> stopwatch = steady_time;
    std::function<void(const std::string&)> set_log_level =
        nullptr;                           // "debug", "verbose", "notice", "warning".
    class KeyAdmin* keys = nullptr;        // Null: nothing between nodes is encrypted.
    class BackupAdmin* backups = nullptr;  // Null: none are made.
    std::function<void()> stop = nullptr;  // As SIGTERM does. Called at the end of a turn. Null: refused.
    // Tells the members that this node goes, and then stops. Called and refused as stop().
    std::function<void()> leave = nullptr;
  };

  RedisServer(uv_loop_t* loop, RedisOptions options, Node& node, Hooks hooks);
  ~RedisServer();  // Closes all clients.

  // Requires: the process ignores SIGPIPE, so that a client that went away is an error of write().
  // Binds and listens. refused, with the address and what is wrong, if one cannot be had.
  Result<void> listen();
  void stop_accepting();  // For a shutdown: answers what was read, reads no more.
  bool idle() const;      // Nothing waits to be answered or written.

  // At the end of each turn of the loop: answers whose position is synced go out, one write a client.
  void flush();
  // Unsynced changes were undone: commands that wait for them are answered with an error.
  void on_undone(const std::string& error);
  void on_job_done(const JobDone& done);

  std::size_t clients() const;
  ServerState& shared();  // With the statistics.

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace knit
