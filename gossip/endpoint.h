// Where a node can be reached: an IP address and a port, as numbers.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace knit {

struct Endpoint {
  std::array<std::uint8_t, 16> ip{};  // IPv6; an IPv4 address is mapped (::ffff:a.b.c.d).
  std::uint16_t port{};
  auto operator<=>(const Endpoint&) const = default;

  bool is_ipv4() const;
  // 1 byte (4 or 6) | address | port 2.
  void encode(ByteWriter& out) const;
  static Endpoint decode(ByteReader& in);  // The reader is bad afterwards if there is none.
};

// "ip:port", with brackets around an IPv6 address; numeric, and the port is 1 to 65535.
std::string to_string(const Endpoint& endpoint);
std::optional<Endpoint> parse_endpoint(std::string_view text);

}  // namespace knit
