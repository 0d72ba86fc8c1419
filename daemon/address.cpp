#include "daemon/address.h"

#include <arpa/inet.h>

#include <array>
#include <charconv>
#include <cstring>

#include "base/check.h"

namespace knit {

namespace {

std::optional<sockaddr_storage> numeric(const std::string& ip, std::uint16_t port) {
  sockaddr_storage storage{};
  auto& four = reinterpret_cast<sockaddr_in&>(storage);
  auto& six = reinterpret_cast<sockaddr_in6&>(storage);
  if (inet_pton(AF_INET, ip.c_str(), &four.sin_addr) == 1) {
    four.sin_family = AF_INET;
    four.sin_port = htons(port);
    return storage;
  }
  if (inet_pton(AF_INET6, ip.c_str(), &six.sin6_addr) == 1) {
    six.sin6_family = AF_INET6;
    six.sin6_port = htons(port);
    return storage;
  }
  return std::nullopt;
}

}  // namespace

std::optional<SocketAddress> parse_ip(std::string_view text, std::uint16_t port) {
  if (text.find('\0') != std::string_view::npos) return std::nullopt;
  const auto storage = numeric(std::string(text), port);
  if (!storage) return std::nullopt;
  return from_sockaddr(*storage);
}

std::optional<SocketAddress> parse_address(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view ip = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || end != digits.data() + digits.size() || port == 0) return std::nullopt;
  const bool bracketed = ip.size() >= 2 && ip.front() == '[' && ip.back() == ']';
  if (bracketed) ip = ip.substr(1, ip.size() - 2);
  auto address = parse_ip(ip, port);
  if (address && is_ipv6(*address) != bracketed) return std::nullopt;
  return address;
}

std::string to_string(const SocketAddress& address) {
  const std::string port = ":" + std::to_string(address.port);
  return is_ipv6(address) ? "[" + address.ip + "]" + port : address.ip + port;
}

bool is_ipv6(const SocketAddress& address) { return address.ip.find(':') != std::string::npos; }

bool is_loopback(const SocketAddress& address) {
  return address.ip == "::1" || address.ip.starts_with("127.");
}

sockaddr_storage to_sockaddr(const SocketAddress& address) {
  const auto storage = numeric(address.ip, address.port);
  check(storage.has_value(), "a socket address is numeric");
  return *storage;
}

std::optional<SocketAddress> from_sockaddr(const sockaddr_storage& storage) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (storage.ss_family == AF_INET) {
    const auto& four = reinterpret_cast<const sockaddr_in&>(storage);
    inet_ntop(AF_INET, &four.sin_addr, text.data(), text.size());
    return SocketAddress{text.data(), ntohs(four.sin_port)};
  }
  if (storage.ss_family == AF_INET6) {
    const auto& six = reinterpret_cast<const sockaddr_in6&>(storage);
    inet_ntop(AF_INET6, &six.sin6_addr, text.data(), text.size());
    return SocketAddress{text.data(), ntohs(six.sin6_port)};
  }
  return std::nullopt;
}

}  // namespace knit
