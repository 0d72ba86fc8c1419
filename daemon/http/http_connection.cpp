#include "daemon/http/http_connection.h"

#include <memory>
#include <string>
#include <utility>

namespace knit {

// The bytes live until libuv is done with them, also when the connection is gone by then.
struct HttpConnection::Write {
  uv_write_t request{};
  std::string text;
};

// Whatever an event leads to, the connection is deleted when none of its members runs.
template <class Event>
void HttpConnection::dispatch(void* data, Event event) {
  auto* connection = static_cast<HttpConnection*>(data);
  if (connection == nullptr) return;
  event(*connection);
  if (connection->closed()) connection->owner_.on_closed(*connection);
}

HttpConnection::HttpConnection(HttpConnectionOwner& owner, std::uint64_t id, const HttpHandler& handler,
                               Handle<uv_tcp_t> tcp)
    : owner_(owner), id_(id), session_(handler), tcp_(std::move(tcp)) {
  tcp_->data = this;
}

Millis HttpConnection::now() const { return Millis(uv_now(tcp_->loop)); }

void HttpConnection::enter(State state, Millis time_max) {
  state_ = state;
  since_ = now();
  deadline_ = since_ + time_max;
}

void HttpConnection::start() {
  enter(State::reading, session_.in_request() ? http_head_max : http_idle_max);
  read();
}

void HttpConnection::close() { tcp_.reset(); }

void HttpConnection::read() {
  const int status = uv_read_start(
      stream(),
      [](uv_handle_t* handle, std::size_t, uv_buf_t* buffer) {
        auto* connection = static_cast<HttpConnection*>(handle->data);
        if (connection == nullptr) return;
        const std::span<char> space = connection->owner_.read_buffer();
        *buffer = uv_buf_init(space.data(), static_cast<unsigned>(space.size()));
      },
      [](uv_stream_t* stream, ssize_t size, const uv_buf_t* buffer) {
        dispatch(stream->data, [&](HttpConnection& connection) {
          connection.on_read(size, {buffer->base, size > 0 ? static_cast<std::size_t>(size) : 0});
        });
      });
  if (status != 0) close();
}

void HttpConnection::on_read(std::ptrdiff_t size, std::string_view bytes) {
  if (size == 0 || (size > 0 && state_ == State::lingering)) return;
  if (size < 0) return close();
  const bool began = session_.in_request();
  session_.feed(bytes);
  answer();
  if (!closed() && state_ == State::reading && !began) enter(State::reading, http_head_max);
}

// Answers the next request that was read, or waits for the rest of it.
void HttpConnection::answer() {
  if (auto text = session_.next()) return write(std::move(*text));
  if (state_ == State::writing) start();
}

void HttpConnection::write(std::string text) {
  uv_read_stop(stream());
  enter(State::writing, http_write_max);
  auto write = std::make_unique<Write>();
  write->text = std::move(text);
  write->request.data = write.get();
  const uv_buf_t buffer = uv_buf_init(write->text.data(), static_cast<unsigned>(write->text.size()));
  const int status = uv_write(&write->request, stream(), &buffer, 1, [](uv_write_t* request, int result) {
    const std::unique_ptr<Write> done(static_cast<Write*>(request->data));
    dispatch(request->handle->data, [&](HttpConnection& connection) { connection.on_written(result); });
  });
  if (status != 0) return close();
  static_cast<void>(write.release());  // Its callback takes it back.
}

void HttpConnection::on_written(int status) {
  if (status != 0) return close();
  if (session_.over()) return linger();
  answer();
}

// Were the socket closed while bytes of the client lie unread, the system would take back the answer.
void HttpConnection::linger() {
  enter(State::lingering, http_linger_max);
  auto request = std::make_unique<uv_shutdown_t>();
  const int status = uv_shutdown(request.get(), stream(), [](uv_shutdown_t* done, int) {
    const std::unique_ptr<uv_shutdown_t> taken(done);
  });
  if (status != 0) return close();
  static_cast<void>(request.release());  // Its callback takes it back.
  read();
}

}  // namespace knit
