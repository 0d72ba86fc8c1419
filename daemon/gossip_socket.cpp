#include "daemon/gossip_socket.h"

#include <array>
#include <cstring>

#include "base/check.h"
#include "daemon/log.h"

namespace knit {

namespace {

constexpr std::size_t datagram_bytes_most = 64 << 10;
constexpr int buffer_bytes = 4 << 20;  // Of the socket: what arrives while the loop is busy or stopped.
constexpr Millis told_again_after{60'000};

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};

Endpoint endpoint_of(const sockaddr_storage& from) {
  const auto address = from_sockaddr(from);
  const auto endpoint = address ? parse_endpoint(to_string(*address)) : std::nullopt;
  return endpoint.value_or(Endpoint{});
}

std::string_view bytes_of(const Endpoint& endpoint) {
  return {reinterpret_cast<const char*>(endpoint.ip.data()), endpoint.ip.size()};
}

}  // namespace

GossipSocket::GossipSocket(uv_loop_t* loop, SocketAddress listen, DatagramOptions options,
                           const KeyRing* ring, Node& node, Hooks hooks)
    : loop_(loop),
      listen_(std::move(listen)),
      seal_(std::move(options), ring),
      node_(node),
      hooks_(std::move(hooks)) {}

Result<void> GossipSocket::listen() {
  auto* handle = new uv_udp_t;
  check(uv_udp_init(loop_, handle) == 0, "a UDP handle can be made");
  handle->data = this;
  handle_.reset(handle);
  const sockaddr_storage address = to_sockaddr(listen_);
  const unsigned flags = is_ipv6(listen_) ? UV_UDP_IPV6ONLY : 0;
  int status = uv_udp_bind(handle, reinterpret_cast<const sockaddr*>(&address), flags);
  int size = buffer_bytes;
  if (status == 0) uv_recv_buffer_size(reinterpret_cast<uv_handle_t*>(handle), &size);
  const auto give_buffer = [](uv_handle_t*, std::size_t, uv_buf_t* buffer) {
    static std::array<char, datagram_bytes_most> bytes;
    *buffer = uv_buf_init(bytes.data(), bytes.size());
  };
  const auto on_received = [](uv_udp_t* socket, ssize_t count, const uv_buf_t* buffer, const sockaddr* from,
                              unsigned) {
    auto* self = static_cast<GossipSocket*>(socket->data);
    if (self == nullptr || count <= 0 || from == nullptr) return;
    sockaddr_storage storage{};
    std::memcpy(&storage, from, from->sa_family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
    self->on_datagram({buffer->base, static_cast<std::size_t>(count)}, storage);
  };
  if (status == 0) status = uv_udp_recv_start(handle, give_buffer, on_received);
  if (status == 0) return {};
  handle_.reset();
  return fail(ErrorCode::refused, "cannot listen for gossip on UDP " + to_string(listen_) + ": " +
                                      uv_strerror(status) + "; see peer.listen and peer.port");
}

void GossipSocket::on_datagram(std::string_view bytes, const sockaddr_storage& from) {
  ++counts_.packets_received;
  counts_.bytes_received += bytes.size();
  const Endpoint endpoint = endpoint_of(from);
  Outbox out;
  const auto one = Overloaded{
      [&](const DatagramOpened& opened) {
        node_.on_datagram({opened.sender, endpoint, false}, opened.plaintext, hooks_.now(), out);
      },
      [&](const DatagramChallenge& challenge) { send_bytes(challenge.datagram, endpoint); },
      [&](const DatagramResponse& response) { send_bytes(response.datagram, endpoint); },
      [&](const DatagramProven&) {},  // It says again what we did not take.
      [&](const DatagramDropped& dropped) { on_dropped(dropped, endpoint); },
  };
  std::visit(one, seal_.open(bytes, bytes_of(endpoint), hooks_.now().steady));
  hooks_.deliver(out);
}

// Noise is for the counters; what an operator can mend is worth a line, now and then.
void GossipSocket::on_dropped(const DatagramDropped& dropped, const Endpoint& from) {
  std::string why;
  switch (dropped.reason) {
    case DropReason::other_mode:
      why = "one side encrypts and the other does not: see gossip.keyring_file, on both hosts";
      break;
    case DropReason::unknown_key: why = "under a key that is not in this node's ring"; break;
    case DropReason::foreign_cluster: why = "of another cluster"; break;
    case DropReason::unknown_version:
      why = "in protocol version " + std::to_string(dropped.version) + ", this node speaks " +
            std::to_string(protocol_version);
      break;
    default: return;
  }
  const Millis now = hooks_.now().steady;
  const auto told = told_at_.find(dropped.reason);
  if (told != told_at_.end() && now < told->second + told_again_after) return;
  told_at_[dropped.reason] = now;
  log_warning("dropped a datagram from " + to_string(from) + ": " + why);
}

GossipCounts GossipSocket::counts() const {
  GossipCounts counts = counts_;
  counts.sealing = seal_.counts();
  return counts;
}

void GossipSocket::send(const SendDatagram& send) {
  if (!handle_) return;
  const auto receiver = send.node.value == 0 ? std::nullopt : std::optional(send.node);
  const auto sealed = seal_.seal(receiver, send.bytes);
  if (!sealed) return log_error("cannot send gossip: " + sealed.error().message);
  send_bytes(*sealed, send.to);
}

void GossipSocket::send_bytes(std::string_view bytes, const Endpoint& to) {
  const auto address = parse_address(to_string(to));
  if (!address || is_ipv6(*address) != is_ipv6(listen_)) {
    ++counts_.packets_unsent;
    return;
  }
  const sockaddr_storage storage = to_sockaddr(*address);
  // libuv does not write to it.
  const uv_buf_t buffer = uv_buf_init(const_cast<char*>(bytes.data()), static_cast<unsigned>(bytes.size()));
  if (uv_udp_try_send(handle_.get(), &buffer, 1, reinterpret_cast<const sockaddr*>(&storage)) < 0) {
    ++counts_.packets_unsent;
    return;
  }
  ++counts_.packets_sent;
  counts_.bytes_sent += bytes.size();
}

}  // namespace knit
