// Addresses of sockets: one text for one address.
#include "daemon/address.h"
#include "tests/fuzz/fuzz.h"

using namespace knit;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::text_of(data, size);
  if (const auto ip = parse_ip(text, 1))
    check(from_sockaddr(to_sockaddr(*ip)) == ip, "an address comes back");
  const auto address = parse_address(text);
  if (!address) return 0;
  check(parse_address(to_string(*address)) == address, "its text comes back");
  check(address->port != 0, "a port is one");
  return 0;
}
