// Key files: a ring or an error, and never more keys than fit.
#include "gossip/key_text.h"
#include "tests/fuzz/fuzz.h"

using namespace knit;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto ring = parse_key_text(fuzz::text_of(data, size), "gossip.keys");
  if (!ring) {
    check(ring.error().message.starts_with("gossip.keys"), "an error names the file");
    return 0;
  }
  check(!ring->keys().empty() && ring->keys().size() <= KeyRing::keys_max, "some keys, and not too many");
  const auto again = parse_key_text(key_text(ring->primary()), "gossip.keys");
  check(again && again->primary() == ring->primary(), "what we wrote comes back");
  return 0;
}
