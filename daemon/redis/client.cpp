#include "daemon/redis/client.h"

#include <array>
#include <memory>
#include <utility>
#include <vector>

namespace knit {

namespace {

constexpr std::size_t unread_bytes_max = 64 << 10;  // While a command waits for a job.
constexpr std::size_t chunks_per_write = 64;

std::vector<uv_buf_t> buffers(const std::vector<std::string_view>& views) {
  std::vector<uv_buf_t> result;
  result.reserve(views.size());
  for (const std::string_view view : views) {
    result.push_back(uv_buf_init(const_cast<char*>(view.data()), static_cast<unsigned>(view.size())));
  }
  return result;
}

}  // namespace

// A write that the socket could not take at once. Its bytes live until libuv is done with them, also
// when the client is gone by then.
struct Client::Write {
  uv_write_t request{};
  ReplyQueue::Detached bytes;
};

Client::Client(ClientOwner& owner, ServerState& server, Session::Peer peer)
    : owner_(owner), server_(server), session_(server, std::move(peer)) {}

Client::Client(ClientOwner& owner, ServerState& server, Handle<uv_tcp_t> tcp, Session::Peer peer)
    : Client(owner, server, std::move(peer)) {
  tcp_ = std::move(tcp);
  tcp_->data = this;
  stream_ = reinterpret_cast<uv_stream_t*>(tcp_.get());
}

Client::Client(ClientOwner& owner, ServerState& server, Handle<uv_pipe_t> pipe, Session::Peer peer)
    : Client(owner, server, std::move(peer)) {
  pipe_ = std::move(pipe);
  pipe_->data = this;
  stream_ = reinterpret_cast<uv_stream_t*>(pipe_.get());
}

bool Client::wants_input() const {
  if (closed() || input_ended_ || owner_.reading_stopped()) return false;
  if (pause_ == Session::Pause::input) return true;
  // Only so can we see that the client went away, and that nobody waits any more.
  const bool waits = pause_ == Session::Pause::job || pause_ == Session::Pause::condition;
  return waits && session_.unread_bytes() < unread_bytes_max;
}

void Client::update_reading() {
  const bool wanted = wants_input();
  if (wanted == reading_ || closed()) return;
  reading_ = wanted;
  if (!wanted) {
    uv_read_stop(stream_);
    return;
  }
  const int status = uv_read_start(
      stream_,
      [](uv_handle_t* handle, std::size_t, uv_buf_t* buffer) {
        auto* client = static_cast<Client*>(handle->data);
        if (client == nullptr) return;
        const std::span<char> space = client->owner_.read_buffer();
        *buffer = uv_buf_init(space.data(), static_cast<unsigned>(space.size()));
      },
      [](uv_stream_t* stream, ssize_t size, const uv_buf_t* buffer) {
        auto* client = static_cast<Client*>(stream->data);
        if (client == nullptr) return;
        client->on_read(size, {buffer->base, size > 0 ? static_cast<std::size_t>(size) : 0});
      });
  if (status != 0) close();
}

void Client::on_read(std::ptrdiff_t size, std::string_view bytes) {
  if (size == UV_EOF) return on_input_end();
  if (size < 0) return close();
  if (size == 0) return;
  session_.feed(bytes);
  if (session_.waiting()) return update_reading();
  run();
}

void Client::on_input_end() {
  input_ended_ = true;
  session_.end_input();
  update_reading();
  if (session_.waiting()) return close();
  run();
}

void Client::run() {
  if (closed()) return;
  pause_ = session_.run();
  switch (pause_) {
    case Session::Pause::input:
    case Session::Pause::job: break;
    case Session::Pause::turn: owner_.on_runnable(*this); break;
    case Session::Pause::pressure:
    case Session::Pause::condition: owner_.on_paused(*this); break;
    case Session::Pause::closing: owner_.on_output(*this); break;
    case Session::Pause::overflow: server_.statistics.connections_overflowed++; return close();
  }
  if (!session_.output().empty()) owner_.on_output(*this);
  update_reading();
}

void Client::flush() {
  if (closed()) return;
  ReplyQueue& output = session_.output();
  output.release(server_.node.store().answerable());
  while (session_.in_flight_bytes == 0 && output.has_released()) {
    const auto views = buffers(output.released(chunks_per_write));
    const int written = uv_try_write(stream_, views.data(), static_cast<unsigned>(views.size()));
    if (written == UV_EAGAIN) {
      start_write();
    } else if (written < 0) {
      return close();
    } else {
      server_.statistics.output_bytes += static_cast<std::size_t>(written);
      output.on_written(static_cast<std::size_t>(written));
    }
  }
  if (pause_ == Session::Pause::closing && session_.queued_bytes() == 0) close();
}

void Client::start_write() {
  auto write = std::make_unique<Write>();
  write->bytes = session_.output().detach_released();
  write->request.data = write.get();
  std::vector<std::string_view> views(write->bytes.chunks.begin(), write->bytes.chunks.end());
  const auto chunks = buffers(views);
  session_.in_flight_bytes = write->bytes.bytes;
  const int status = uv_write(&write->request, stream_, chunks.data(), static_cast<unsigned>(chunks.size()),
                              [](uv_write_t* request, int result) {
                                const std::unique_ptr<Write> done(static_cast<Write*>(request->data));
                                auto* client = static_cast<Client*>(request->handle->data);
                                if (client != nullptr) client->on_write_done(done->bytes.bytes, result);
                              });
  if (status != 0) return close();
  static_cast<void>(write.release());  // Its callback takes it back.
}

void Client::on_write_done(std::size_t bytes, int status) {
  session_.in_flight_bytes = 0;
  if (status != 0) return close();
  server_.statistics.output_bytes += bytes;
  owner_.on_output(*this);
}

void Client::close() {
  if (closed()) return;
  stream_ = nullptr;
  tcp_.reset();
  pipe_.reset();
  owner_.on_closed(*this);
}

bool Client::idle() const {
  const bool executing = pause_ != Session::Pause::input && pause_ != Session::Pause::closing;
  return closed() || (!executing && session_.queued_bytes() == 0);
}

}  // namespace knit
