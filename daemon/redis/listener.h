// Sockets that listen, and who connects to them. Loop thread only.
#pragma once

#include <uv.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "daemon/handle.h"
#include "daemon/redis/session.h"

namespace knit {

// One that was just accepted: one of the two handles is there.
struct Connection {
  Handle<uv_tcp_t> tcp;
  Handle<uv_pipe_t> pipe;
  Session::Peer peer;
  bool local = true;  // From this host.
};

class Listener {
 public:
  using OnConnection = std::function<void(Connection)>;

  // refused, with the address and what is wrong, if it cannot be had.
  static Result<std::unique_ptr<Listener>> tcp(uv_loop_t* loop, const std::string& address,
                                               std::uint16_t port, OnConnection on_connection);
  // A socket file that nobody listens on any more is removed first.
  static Result<std::unique_ptr<Listener>> unix_socket(uv_loop_t* loop, const std::string& path,
                                                       unsigned mode, OnConnection on_connection);

  // The port that was bound: the one asked for, or any if that was 0.
  std::uint16_t port() const;

 private:
  Listener(uv_loop_t* loop, std::string name, OnConnection on_connection);
  Result<void> bind_tcp(const std::string& address, std::uint16_t port);
  Result<void> bind_unix(const std::string& path, unsigned mode);
  Result<void> listen(uv_stream_t* stream);
  void accept_tcp();
  void accept_unix();

  uv_loop_t* loop_;
  std::string name_;  // host:port, or the path.
  OnConnection on_connection_;
  Handle<uv_tcp_t> tcp_;
  Handle<uv_pipe_t> pipe_;
};

}  // namespace knit
