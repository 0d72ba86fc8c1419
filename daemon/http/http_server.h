// A small HTTP/1.1 server: GET and HEAD, without TLS, for a scraper and a person with a browser. Loop thread
// only.
//
// Limits: connections_max at once (one more takes the place of the one that is idle for longest; if none is,
// it is told 503); a request's head, target and time (http_request_parser.h, http_connection.h); an answer a
// connection and turn of the loop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "base/result.h"
#include "daemon/event_loop.h"
#include "daemon/http/http_connection.h"
#include "daemon/http/http_session.h"
#include "daemon/redis/listener.h"

namespace knit {

struct HttpOptions {
  std::string address = "127.0.0.1";  // Numeric, IPv4 or IPv6.
  std::uint16_t port = 9399;          // 0: any that is free.
  std::size_t connections_max = 32;
};

class HttpServer final : public HttpConnectionOwner {
 public:
  HttpServer(EventLoop& loop, HttpOptions options, HttpHandler handler);

  // refused, with the address and what is wrong, if it cannot be had.
  Result<void> listen();
  std::uint16_t port() const { return listener_->port(); }  // Requires: listen() succeeded.
  std::size_t connections() const { return connections_.size(); }

 private:
  std::span<char> read_buffer() override { return buffer_; }
  void on_closed(HttpConnection& connection) override;
  void on_connection(Connection accepted);
  bool make_room();
  void end_overdue();
  void remove(HttpConnection& connection);

  EventLoop& loop_;
  HttpOptions options_;
  HttpHandler handler_;
  std::string buffer_;
  Timer overdue_timer_;
  std::uint64_t last_id_ = 0;
  std::map<std::uint64_t, std::unique_ptr<HttpConnection>> connections_;
  std::unique_ptr<Listener> listener_;
};

}  // namespace knit
