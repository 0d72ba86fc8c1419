#include "daemon/peer_link.h"

#include <netinet/tcp.h>

#include <memory>

namespace knit {

namespace {

constexpr std::size_t write_bytes = 256 << 10;  // Handed to libuv at once: a few fragments.
constexpr std::size_t read_bytes = 64 << 10;
constexpr unsigned keepalive_seconds = 60;

// Lives until libuv is done with it, whatever became of the link.
struct WriteRequest {
  uv_write_t request{};
  std::string bytes;
};

PeerLink* link_of(uv_stream_t* stream) { return static_cast<PeerLink*>(stream->data); }

tl::unexpected<Error> uv_error(const char* call, int status) {
  return fail(ErrorCode::io, std::string(call) + ": " + uv_strerror(status));
}

// One buffer serves all links: libuv asks for it right before each read.
void give_buffer(uv_handle_t*, std::size_t, uv_buf_t* buffer) {
  static std::array<char, read_bytes> bytes;
  *buffer = uv_buf_init(bytes.data(), bytes.size());
}

}  // namespace

PeerLink::PeerLink(PeerTransport& transport, LinkId id, bool dialed, SocketAddress address, Millis now)
    : transport_(transport),
      id_(id),
      dialed_(dialed),
      address_(std::move(address)),
      sealed_({dialed, {protocol_version, protocol_version}}, transport.options_.keys()),
      reader_({control_message_bytes_max, exchange_message_bytes_max, exchange_message_bytes_max}),
      opened_(now),
      write_progress_(now) {}

Result<void> PeerLink::make_handle() {
  auto* handle = new uv_tcp_t;
  if (const int status = uv_tcp_init(transport_.loop_, handle); status != 0) {
    delete handle;
    return uv_error("socket", status);
  }
  handle->data = this;
  handle_.reset(handle);
  return {};
}

Result<void> PeerLink::connect(const SocketAddress& source) {
  if (auto made = make_handle(); !made) return made;
  // Peers see us where we listen, so that rules about addresses mean one node.
  if (is_ipv6(source) == is_ipv6(address_)) {
    const sockaddr_storage from = to_sockaddr({source.ip, 0});
    const int status = uv_tcp_bind(handle_.get(), reinterpret_cast<const sockaddr*>(&from), 0);
    if (status != 0) return uv_error("bind", status);
  }
  const sockaddr_storage to = to_sockaddr(address_);
  auto* request = new uv_connect_t;
  const int status = uv_tcp_connect(request, handle_.get(), reinterpret_cast<const sockaddr*>(&to),
                                    [](uv_connect_t* done, int result) {
                                      const std::unique_ptr<uv_connect_t> owned(done);
                                      if (PeerLink* link = link_of(done->handle))
                                        link->transport_.on_connected(*link, result);
                                    });
  if (status == 0) return {};
  delete request;
  return uv_error("connect", status);
}

Result<void> PeerLink::accept(uv_stream_t* listener) {
  if (auto made = make_handle(); !made) return made;
  const int status = uv_accept(listener, reinterpret_cast<uv_stream_t*>(handle_.get()));
  if (status != 0) return uv_error("accept", status);
  sockaddr_storage from{};
  int size = sizeof from;
  if (uv_tcp_getpeername(handle_.get(), reinterpret_cast<sockaddr*>(&from), &size) == 0) {
    address_ = from_sockaddr(from).value_or(SocketAddress{});
  }
  return {};
}

// What is not acknowledged for so long: a host that vanished does not say so.
void PeerLink::give_up_after(Millis timeout) {
  uv_os_fd_t socket = -1;
  const auto millis = static_cast<unsigned>(timeout.count());
  if (uv_fileno(reinterpret_cast<uv_handle_t*>(handle_.get()), &socket) != 0) return;
  ::setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &millis, sizeof millis);
}

Result<void> PeerLink::begin(Millis now) {
  sockaddr_storage local{};
  int size = sizeof local;
  uv_tcp_getsockname(handle_.get(), reinterpret_cast<sockaddr*>(&local), &size);
  // TCP connects a socket to itself when the port it happened to get is the one it dials.
  if (from_sockaddr(local) == address_) return fail(ErrorCode::io, "the socket connected to itself");
  opened_ = now;
  uv_tcp_nodelay(handle_.get(), 1);
  uv_tcp_keepalive(handle_.get(), 1, keepalive_seconds);
  give_up_after(transport_.options_.timeout);
  const auto on_read = [](uv_stream_t* stream, ssize_t count, const uv_buf_t* buffer) {
    PeerLink* link = link_of(stream);
    if (link == nullptr || count == 0) return;
    if (count < 0) return link->transport_.end(*link, uv_strerror(static_cast<int>(count)));
    link->on_bytes({buffer->base, static_cast<std::size_t>(count)});
  };
  const int status = uv_read_start(reinterpret_cast<uv_stream_t*>(handle_.get()), give_buffer, on_read);
  if (status != 0) return uv_error("read", status);
  write_handshake();
  return {};
}

// A few dozen bytes into an empty socket: if they cannot be written at once the connection is of no use.
void PeerLink::write_handshake() {
  std::string bytes = sealed_.take_output();
  if (bytes.empty()) return;
  const uv_buf_t buffer = uv_buf_init(bytes.data(), static_cast<unsigned>(bytes.size()));
  uv_try_write(reinterpret_cast<uv_stream_t*>(handle_.get()), &buffer, 1);
}

void PeerLink::on_bytes(std::string_view bytes) {
  sealed_.feed(bytes);
  while (!closed()) {
    const auto plaintext = sealed_.next();
    write_handshake();
    if (!plaintext) return transport_.end(*this, plaintext.error().message);
    if (!ready_ && sealed_.established()) {
      ready_ = true;
      transport_.link_up(*this);
    }
    if (!*plaintext) return;
    on_plaintext(**plaintext);
  }
}

void PeerLink::on_plaintext(std::string_view bytes) {
  const std::size_t unfinished = reader_.unfinished_bytes();
  reader_.feed(bytes);
  // A message may close the link; the object itself lives on until the turn ends.
  while (!closed()) {
    auto message = reader_.next();
    if (!message) return transport_.end(*this, message.error().message);
    if (!*message) break;
    transport_.on_message(*this, **message);
  }
  if (!closed() && reader_.unfinished_bytes() > unfinished) transport_.on_progress(*this);
}

void PeerLink::hold(Send send) {
  held_bytes_ += send.message.size();
  held_[static_cast<std::size_t>(send.channel)].push_back(std::move(send));
}

bool PeerLink::holds_unsynced(JournalPosition synced) const {
  for (const auto& queue : held_) {
    for (const Send& send : queue) {
      if (send.after > synced) return true;
    }
  }
  return false;
}

void PeerLink::release(JournalPosition synced) {
  for (auto& queue : held_) {
    while (!queue.empty() && queue.front().after <= synced) {
      Send& send = queue.front();
      held_bytes_ -= send.message.size();
      writer_.queue(static_cast<std::uint8_t>(send.channel), std::move(send.message));
      queue.pop_front();
    }
  }
}

void PeerLink::flush(JournalPosition synced, Millis now) {
  release(synced);
  if (closed() || !ready_ || writing_bytes_ > 0 || writer_.empty()) return;
  auto request = std::make_unique<WriteRequest>();
  frames_.clear();
  writer_.take(write_bytes, frames_);
  sealed_.seal(frames_, request->bytes);
  request->request.data = request.get();
  writing_bytes_ = left_to_write_ = request->bytes.size();
  write_progress_ = now;
  const uv_buf_t buffer = uv_buf_init(request->bytes.data(), static_cast<unsigned>(request->bytes.size()));
  const auto on_done = [](uv_write_t* done, int status) {
    const std::unique_ptr<WriteRequest> owned(static_cast<WriteRequest*>(done->data));
    if (PeerLink* link = link_of(done->handle)) link->on_written(status);
  };
  const int status =
      uv_write(&request->request, reinterpret_cast<uv_stream_t*>(handle_.get()), &buffer, 1, on_done);
  if (status != 0) return transport_.end(*this, uv_strerror(status));
  (void)request.release();  // Now the callback's.
}

void PeerLink::on_written(int status) {
  writing_bytes_ = 0;
  if (status != 0) return transport_.end(*this, uv_strerror(status));
  if (!writer_.empty()) transport_.on_progress(*this);
  flush(transport_.owner_.synced(), transport_.hooks_.now().steady);
}

std::string PeerLink::overdue(Millis now, Millis timeout) {
  if (!ready_) return age(now) > timeout ? "no connection, or no agreement on a key, in time" : "";
  if (writing_bytes_ == 0) return "";
  const std::size_t left = uv_stream_get_write_queue_size(reinterpret_cast<uv_stream_t*>(handle_.get()));
  if (left < left_to_write_) {
    left_to_write_ = left;
    write_progress_ = now;
  }
  return now - write_progress_ > timeout ? "it takes nothing that is sent to it" : "";
}

}  // namespace knit
