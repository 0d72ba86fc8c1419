#include "gossip/endpoint.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

namespace knit {

namespace {

constexpr std::array<std::uint8_t, 12> ipv4_prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr std::uint8_t ipv4_tag = 4;
constexpr std::uint8_t ipv6_tag = 6;

std::string_view text_of(const std::uint8_t* bytes, std::size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

std::optional<std::uint16_t> parse_port(std::string_view digits) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || end != digits.data() + digits.size() || port == 0) return std::nullopt;
  return port;
}

}  // namespace

bool Endpoint::is_ipv4() const { return std::equal(ipv4_prefix.begin(), ipv4_prefix.end(), ip.begin()); }

void Endpoint::encode(ByteWriter& out) const {
  const std::size_t skipped = is_ipv4() ? ipv4_prefix.size() : 0;
  out.u8(skipped > 0 ? ipv4_tag : ipv6_tag);
  out.raw(text_of(ip.data() + skipped, ip.size() - skipped));
  out.u16(port);
}

Endpoint Endpoint::decode(ByteReader& in) {
  Endpoint out;
  const std::uint8_t tag = in.u8();
  if (tag != ipv4_tag && tag != ipv6_tag) in.fail();
  const std::size_t skipped = tag == ipv4_tag ? ipv4_prefix.size() : 0;
  const std::string_view bytes = in.raw(out.ip.size() - skipped);
  out.port = in.u16();
  if (!in.ok()) return {};
  if (skipped > 0) std::copy(ipv4_prefix.begin(), ipv4_prefix.end(), out.ip.begin());
  std::copy(bytes.begin(), bytes.end(), out.ip.begin() + static_cast<std::ptrdiff_t>(skipped));
  if (out.port == 0 || out.is_ipv4() != (skipped > 0)) in.fail();  // One form for one address.
  return out;
}

std::string to_string(const Endpoint& endpoint) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const std::string port = ":" + std::to_string(endpoint.port);
  if (endpoint.is_ipv4()) {
    inet_ntop(AF_INET, endpoint.ip.data() + ipv4_prefix.size(), text.data(), text.size());
    return text.data() + port;
  }
  inet_ntop(AF_INET6, endpoint.ip.data(), text.data(), text.size());
  return std::string("[") + text.data() + "]" + port;
}

std::optional<Endpoint> parse_endpoint(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || text.find('\0') != std::string_view::npos) return std::nullopt;
  const auto port = parse_port(text.substr(colon + 1));
  if (!port) return std::nullopt;
  Endpoint out;
  out.port = *port;
  std::string ip(text.substr(0, colon));
  if (ip.size() >= 2 && ip.front() == '[' && ip.back() == ']') {
    ip = ip.substr(1, ip.size() - 2);
    if (inet_pton(AF_INET6, ip.c_str(), out.ip.data()) != 1) return std::nullopt;
    return out;
  }
  std::copy(ipv4_prefix.begin(), ipv4_prefix.end(), out.ip.begin());
  if (inet_pton(AF_INET, ip.c_str(), out.ip.data() + ipv4_prefix.size()) != 1) return std::nullopt;
  return out;
}

}  // namespace knit
