#include "daemon/http/http_server.h"

#include <iterator>
#include <utility>

namespace knit {

namespace {

constexpr std::size_t read_bytes = 8 << 10;
constexpr Millis overdue_interval{250};

// Not waited for.
void turn_away(uv_tcp_t* tcp) {
  std::string text = to_text(error_answer(HttpStatus::unavailable), true, false);
  const uv_buf_t buffer = uv_buf_init(text.data(), static_cast<unsigned>(text.size()));
  uv_try_write(reinterpret_cast<uv_stream_t*>(tcp), &buffer, 1);
}

}  // namespace

HttpServer::HttpServer(EventLoop& loop, HttpOptions options, HttpHandler handler)
    : loop_(loop),
      options_(std::move(options)),
      handler_(std::move(handler)),
      buffer_(read_bytes, '\0'),
      overdue_timer_(loop, [this] { end_overdue(); }) {}

Result<void> HttpServer::listen() {
  auto listener = Listener::tcp(loop_.get(), options_.address, options_.port,
                                [this](Connection accepted) { on_connection(std::move(accepted)); });
  if (!listener) return tl::unexpected(listener.error());
  listener_ = std::move(*listener);
  return {};
}

void HttpServer::on_connection(Connection accepted) {
  if (connections_.size() >= options_.connections_max && !make_room()) return turn_away(accepted.tcp.get());
  if (connections_.empty()) overdue_timer_.repeat(overdue_interval);
  const std::uint64_t id = ++last_id_;
  auto connection = std::make_unique<HttpConnection>(*this, id, handler_, std::move(accepted.tcp));
  HttpConnection& added = *connection;
  connections_.emplace(id, std::move(connection));
  added.start();
  if (added.closed()) on_closed(added);
}

bool HttpServer::make_room() {
  HttpConnection* longest = nullptr;
  for (const auto& [id, connection] : connections_) {
    if (!connection->idle()) continue;
    if (longest == nullptr || connection->since() < longest->since()) longest = connection.get();
  }
  if (longest == nullptr) return false;
  remove(*longest);
  return true;
}

void HttpServer::end_overdue() {
  const Millis now(uv_now(loop_.get()));
  for (auto next = connections_.begin(); next != connections_.end();) {
    HttpConnection& connection = *(next++)->second;
    if (connection.overdue(now)) remove(connection);
  }
}

void HttpServer::remove(HttpConnection& connection) {
  connection.close();
  on_closed(connection);
}

void HttpServer::on_closed(HttpConnection& connection) {
  connections_.erase(connection.id());
  if (connections_.empty()) overdue_timer_.stop();
}

}  // namespace knit
