// A key ring as a peer or a file of our own has it; the first half of the input is one, the rest another.
#include "gossip/key_ring.h"
#include "tests/fuzz/fuzz.h"

using namespace knit;

namespace {

void expect_whole(const KeyRing& ring) {
  const auto keys = ring.keys();
  check(!keys.empty() && keys.size() <= KeyRing::keys_max && keys.front() == ring.primary(),
        "some keys, the primary first");
  const std::string bytes = ring.encode();
  check(bytes.size() <= KeyRing::encoded_bytes_max, "a ring has a limit");
  const auto again = KeyRing::decode(bytes);
  check(again && *again == ring && again->encode() == bytes, "what we wrote comes back");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes = fuzz::text_of(data, size);
  for (const std::string_view one : {bytes, bytes.substr(0, size / 2)}) {
    if (const auto ring = KeyRing::decode(one)) check(ring->encode() == one, "what decodes has one form");
  }
  auto left = KeyRing::decode(bytes.substr(0, size / 2));
  auto right = KeyRing::decode(bytes.substr(size / 2));
  if (!left || !right) return 0;
  expect_whole(*left);
  const KeyRing before = *left;
  left->merge(*right);
  right->merge(before);
  check(*left == *right, "merging commutes");
  check(!left->merge(*right), "merging twice changes nothing");
  expect_whole(*left);
  return 0;
}
