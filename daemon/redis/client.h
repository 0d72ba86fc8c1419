// One connection: a session and its socket. Loop thread only.
//
// Reading stops while the session cannot execute what is read, so what a client may make us hold is
// limited by what one read brings. Replies are written by flush() alone, once a turn.
#pragma once

#include <uv.h>

#include <cstdint>
#include <span>
#include <string>

#include "daemon/handle.h"
#include "daemon/redis/session.h"

namespace knit {

class Client;

// Whoever owns the clients. It deletes none while one of their members runs.
class ClientOwner {
 public:
  virtual void on_output(Client& client) = 0;    // Has something to flush().
  virtual void on_runnable(Client& client) = 0;  // run() it in the next turn.
  virtual void on_paused(Client& client) = 0;    // run() it when its session may run.
  virtual void on_closed(Client& client) = 0;    // Delete it.
  virtual std::span<char> read_buffer() = 0;     // Used by one read at a time.
  virtual bool reading_stopped() const = 0;      // For a shutdown.

 protected:
  ~ClientOwner() = default;
};

class Client {
 public:
  Client(ClientOwner& owner, ServerState& server, Handle<uv_tcp_t> tcp, Session::Peer peer);
  Client(ClientOwner& owner, ServerState& server, Handle<uv_pipe_t> pipe, Session::Peer peer);

  void start() { update_reading(); }
  void run();    // Executes what was read.
  void flush();  // Writes what is released, closes if that was all.
  void update_reading();
  void close();  // At once. What is queued is lost.

  Session& session() { return session_; }
  std::uint64_t id() const { return session_.id(); }
  bool closed() const { return stream_ == nullptr; }
  bool idle() const;  // Nothing was read that is not answered, and nothing waits to be written.

  bool listed_for_flush = false;  // Kept by the owner.

 private:
  struct Write;

  Client(ClientOwner& owner, ServerState& server, Session::Peer peer);
  bool wants_input() const;
  void on_read(std::ptrdiff_t size, std::string_view bytes);
  void on_input_end();
  void start_write();
  void on_write_done(std::size_t bytes, int status);

  ClientOwner& owner_;
  ServerState& server_;
  Session session_;
  Handle<uv_tcp_t> tcp_;
  Handle<uv_pipe_t> pipe_;
  uv_stream_t* stream_ = nullptr;  // Whichever of the two there is. Null: closed.
  Session::Pause pause_ = Session::Pause::input;
  bool reading_ = false;
  bool input_ended_ = false;
};

}  // namespace knit
