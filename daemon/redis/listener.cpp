#include "daemon/redis/listener.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

namespace knit {

namespace {

constexpr int backlog = 511;
constexpr unsigned keep_alive_seconds = 300;

bool parse_address(const std::string& address, std::uint16_t port, sockaddr_storage& out) {
  return uv_ip4_addr(address.c_str(), port, reinterpret_cast<sockaddr_in*>(&out)) == 0 ||
         uv_ip6_addr(address.c_str(), port, reinterpret_cast<sockaddr_in6*>(&out)) == 0;
}

std::string display(const std::string& address, std::uint16_t port) {
  const bool ipv6 = address.find(':') != std::string::npos;
  return ipv6 ? fmt::format("[{}]:{}", address, port) : fmt::format("{}:{}", address, port);
}

std::string display(const sockaddr_storage& socket_address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  uv_ip_name(reinterpret_cast<const sockaddr*>(&socket_address), text.data(), text.size());
  const bool ipv6 = socket_address.ss_family == AF_INET6;
  const auto port = ipv6 ? reinterpret_cast<const sockaddr_in6&>(socket_address).sin6_port
                         : reinterpret_cast<const sockaddr_in&>(socket_address).sin_port;
  return display(text.data(), ntohs(port));
}

bool is_loopback(const sockaddr_storage& socket_address) {
  if (socket_address.ss_family == AF_INET) {
    return ntohl(reinterpret_cast<const sockaddr_in&>(socket_address).sin_addr.s_addr) >> 24 == 127;
  }
  const in6_addr& ip = reinterpret_cast<const sockaddr_in6&>(socket_address).sin6_addr;
  return IN6_IS_ADDR_LOOPBACK(&ip) || (IN6_IS_ADDR_V4MAPPED(&ip) && ip.s6_addr[12] == 127);
}

tl::unexpected<Error> cannot_listen(const std::string& name, const std::string& why) {
  return fail(ErrorCode::refused, fmt::format("cannot listen on {}: {}", name, why));
}

std::string bind_hint(int error) {
  const std::string text = uv_strerror(error);
  if (error == UV_EADDRINUSE) return text + "; stop the program that uses it, or choose another port";
  if (error == UV_EADDRNOTAVAIL) return text + "; no interface of this host has it";
  if (error == UV_EACCES) return text + "; choose a port from 1024 on, or a directory that may be written";
  return text;
}

enum class SocketFile : std::uint8_t { absent, stale, in_use, other_file };

SocketFile examine(const std::string& path, const sockaddr_un& address) {
  struct stat status{};
  if (lstat(path.c_str(), &status) != 0) return SocketFile::absent;
  if (!S_ISSOCK(status.st_mode)) return SocketFile::other_file;
  const int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (probe < 0) return SocketFile::in_use;
  const int connected = connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  const int error = errno;
  close(probe);
  // Whatever else it says, somebody may be there.
  return connected != 0 && error == ECONNREFUSED ? SocketFile::stale : SocketFile::in_use;
}

Result<void> clear_the_way(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return cannot_listen(path, fmt::format("the path is longer than {} bytes", sizeof(address.sun_path) - 1));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  switch (examine(path, address)) {
    case SocketFile::absent: return {};
    case SocketFile::in_use: return cannot_listen(path, "another process listens on it");
    case SocketFile::other_file: return cannot_listen(path, "it exists and is no socket");
    case SocketFile::stale: break;
  }
  if (unlink(path.c_str()) != 0) {
    return cannot_listen(path, fmt::format("a stale socket cannot be removed: {}", std::strerror(errno)));
  }
  return {};
}

// What the other side and ours are called.
Session::Peer addresses(const uv_tcp_t* tcp, bool& local) {
  sockaddr_storage remote{};
  sockaddr_storage own{};
  int size = sizeof(remote);
  const bool known = uv_tcp_getpeername(tcp, reinterpret_cast<sockaddr*>(&remote), &size) == 0;
  size = sizeof(own);
  const bool own_known = uv_tcp_getsockname(tcp, reinterpret_cast<sockaddr*>(&own), &size) == 0;
  local = known && is_loopback(remote);
  return {.address = known ? display(remote) : "?:0", .local_address = own_known ? display(own) : "?:0"};
}

}  // namespace

Listener::Listener(uv_loop_t* loop, std::string name, OnConnection on_connection)
    : loop_(loop), name_(std::move(name)), on_connection_(std::move(on_connection)) {}

Result<std::unique_ptr<Listener>> Listener::tcp(uv_loop_t* loop, const std::string& address,
                                                std::uint16_t port, OnConnection on_connection) {
  std::unique_ptr<Listener> listener(new Listener(loop, display(address, port), std::move(on_connection)));
  if (const auto bound = listener->bind_tcp(address, port); !bound) return tl::unexpected(bound.error());
  return listener;
}

Result<std::unique_ptr<Listener>> Listener::unix_socket(uv_loop_t* loop, const std::string& path,
                                                        unsigned mode, OnConnection on_connection) {
  std::unique_ptr<Listener> listener(new Listener(loop, path, std::move(on_connection)));
  if (const auto bound = listener->bind_unix(path, mode); !bound) return tl::unexpected(bound.error());
  return listener;
}

Result<void> Listener::bind_tcp(const std::string& address, std::uint16_t port) {
  sockaddr_storage socket_address{};
  if (!parse_address(address, port, socket_address)) {
    return cannot_listen(name_, "not a numeric IPv4 or IPv6 address");
  }
  tcp_.reset(new uv_tcp_t{});
  uv_tcp_init(loop_, tcp_.get());
  // So that 0.0.0.0 and :: can be listened on at once.
  const unsigned flags = socket_address.ss_family == AF_INET6 ? UV_TCP_IPV6ONLY : 0;
  const int error = uv_tcp_bind(tcp_.get(), reinterpret_cast<sockaddr*>(&socket_address), flags);
  if (error != 0) return cannot_listen(name_, bind_hint(error));
  return listen(reinterpret_cast<uv_stream_t*>(tcp_.get()));
}

Result<void> Listener::bind_unix(const std::string& path, unsigned mode) {
  if (auto cleared = clear_the_way(path); !cleared) return cleared;
  pipe_.reset(new uv_pipe_t{});
  uv_pipe_init(loop_, pipe_.get(), 0);
  if (const int error = uv_pipe_bind(pipe_.get(), path.c_str()); error != 0) {
    return cannot_listen(name_, bind_hint(error));
  }
  // Nobody can connect before listen(), so the mode comes in time.
  if (chmod(path.c_str(), mode) != 0) return cannot_listen(name_, std::strerror(errno));
  return listen(reinterpret_cast<uv_stream_t*>(pipe_.get()));
}

Result<void> Listener::listen(uv_stream_t* stream) {
  stream->data = this;
  const int error = uv_listen(stream, backlog, [](uv_stream_t* from, int status) {
    auto* listener = static_cast<Listener*>(from->data);
    if (listener == nullptr || status != 0) return;
    if (listener->tcp_) {
      listener->accept_tcp();
    } else {
      listener->accept_unix();
    }
  });
  if (error != 0) return cannot_listen(name_, bind_hint(error));
  return {};
}

void Listener::accept_tcp() {
  Connection connection;
  connection.tcp.reset(new uv_tcp_t{});
  uv_tcp_init(loop_, connection.tcp.get());
  const auto stream = [](uv_tcp_t* tcp) { return reinterpret_cast<uv_stream_t*>(tcp); };
  if (uv_accept(stream(tcp_.get()), stream(connection.tcp.get())) != 0) return;
  uv_tcp_nodelay(connection.tcp.get(), 1);
  uv_tcp_keepalive(connection.tcp.get(), 1, keep_alive_seconds);
  connection.peer = addresses(connection.tcp.get(), connection.local);
  on_connection_(std::move(connection));
}

void Listener::accept_unix() {
  Connection connection;
  connection.pipe.reset(new uv_pipe_t{});
  uv_pipe_init(loop_, connection.pipe.get(), 0);
  const auto stream = [](uv_pipe_t* pipe) { return reinterpret_cast<uv_stream_t*>(pipe); };
  if (uv_accept(stream(pipe_.get()), stream(connection.pipe.get())) != 0) return;
  connection.peer = {.address = name_ + ":0", .local_address = name_ + ":0", .unix_socket = true};
  on_connection_(std::move(connection));
}

std::uint16_t Listener::port() const {
  if (!tcp_) return 0;
  sockaddr_storage own{};
  int size = sizeof(own);
  if (uv_tcp_getsockname(tcp_.get(), reinterpret_cast<sockaddr*>(&own), &size) != 0) return 0;
  return ntohs(own.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(own).sin6_port
                                         : reinterpret_cast<const sockaddr_in&>(own).sin_port);
}

}  // namespace knit
