#include "gossip/endpoint.h"

#include <catch2/catch.hpp>

#include "member_records.h"

using namespace knit;

namespace {

std::string bytes_of(const Endpoint& endpoint) {
  std::string bytes;
  ByteWriter out(bytes);
  endpoint.encode(out);
  return bytes;
}

std::optional<Endpoint> decoded(std::string_view bytes) {
  ByteReader in(bytes);
  const Endpoint out = Endpoint::decode(in);
  return in.done() ? std::optional(out) : std::nullopt;
}

}  // namespace

TEST_CASE("endpoints come back from text") {
  for (const std::string text : {"10.0.0.1:7400", "0.0.0.0:1", "255.255.255.255:65535", "[::1]:7400",
                                 "[fe80::1]:7400", "[2001:db8::ff00:42:8329]:65535"}) {
    INFO(text);
    const auto endpoint = parse_endpoint(text);
    REQUIRE(endpoint);
    CHECK(to_string(*endpoint) == text);
    CHECK(endpoint->is_ipv4() == (text.front() != '['));
  }
}

TEST_CASE("a mapped IPv4 address is that IPv4 address") {
  CHECK(parse_endpoint("[::ffff:10.0.0.1]:7400") == parse_endpoint("10.0.0.1:7400"));
}

TEST_CASE("what is no address and port is refused") {
  for (const std::string text : {"",
                                 ":",
                                 ":7400",
                                 "10.0.0.1",
                                 "10.0.0.1:",
                                 "10.0.0.1:0",
                                 "10.0.0.1:65536",
                                 "10.0.0.1:-1",
                                 "10.0.0.1:+1",
                                 "10.0.0.1:7400 ",
                                 " 10.0.0.1:7400",
                                 "10.0.0:7400",
                                 "10.0.0.256:7400",
                                 "host:7400",
                                 "::1:7400",
                                 "[::1]",
                                 "[::1]7400",
                                 "[]:7400",
                                 "[10.0.0.1]:7400",
                                 "[:7400",
                                 "[::1%eth0]:7400",
                                 "10.0.0.1:74x"}) {
    INFO(text);
    CHECK_FALSE(parse_endpoint(text));
  }
  CHECK_FALSE(parse_endpoint(std::string_view("10.0.0.1\0:7400", 14)));
}

TEST_CASE("endpoints come back from bytes, an IPv4 address in 7 of them") {
  for (const std::string text : {"10.0.0.1:1", "[::]:65535", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:1"}) {
    const Endpoint endpoint = *parse_endpoint(text);
    CHECK(decoded(bytes_of(endpoint)) == endpoint);
    CHECK(bytes_of(endpoint).size() == (endpoint.is_ipv4() ? 7 : 19));
  }
}

TEST_CASE("an endpoint has one form in bytes") {
  const std::string ipv4 = bytes_of(*parse_endpoint("10.0.0.1:7400"));
  const std::string ipv6 = bytes_of(*parse_endpoint("[::1]:7400"));
  std::string mapped("\x06\0\0\0\0\0\0\0\0\0\0\xff\xff", 13);
  mapped += ipv4.substr(1);
  CHECK_FALSE(decoded(mapped));
  CHECK_FALSE(decoded(ipv4.substr(0, 5) + std::string(2, '\0')));  // Port 0.
  for (const std::string& whole : {ipv4, ipv6}) {
    for (std::size_t size = 0; size < whole.size(); ++size) CHECK_FALSE(decoded(whole.substr(0, size)));
    CHECK_FALSE(decoded(whole + "x"));
    for (int tag = 0; tag < 256; ++tag) {
      if (tag != 4 && tag != 6) CHECK_FALSE(decoded(static_cast<char>(tag) + whole.substr(1)));
    }
  }
}
