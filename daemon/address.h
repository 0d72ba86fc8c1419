// Numeric addresses of sockets: "127.0.0.1:7399", "[::1]:7399".
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace knit {

struct SocketAddress {
  std::string ip;  // As inet_ntop writes it: one text for one address.
  std::uint16_t port{};
  bool operator==(const SocketAddress&) const = default;
};

// Empty if `text` is not a numeric IPv4 or IPv6 address (without brackets, without a scope).
std::optional<SocketAddress> parse_ip(std::string_view text, std::uint16_t port);
// "ip:port", with brackets around an IPv6 address; the port is 1 to 65535.
std::optional<SocketAddress> parse_address(std::string_view text);

std::string to_string(const SocketAddress& address);
bool is_ipv6(const SocketAddress& address);
bool is_loopback(const SocketAddress& address);  // 127.0.0.0/8, or ::1.

sockaddr_storage to_sockaddr(const SocketAddress& address);  // Requires: it came from a parser here.
std::optional<SocketAddress> from_sockaddr(const sockaddr_storage& storage);

}  // namespace knit
