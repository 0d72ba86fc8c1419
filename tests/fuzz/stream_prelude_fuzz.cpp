// What each side of a connection says first.
#include "gossip/stream_prelude.h"
#include "tests/fuzz/fuzz.h"

using namespace knit;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes = fuzz::text_of(data, size);
  const auto decoded = decode_prelude(bytes);
  if (!decoded) return 0;
  if (!*decoded) {
    check(size < Prelude::bytes_max, "a prelude has an end");
    return 0;
  }
  const Prelude& prelude = **decoded;
  check(prelude.keys.size() <= Prelude::keys_max && prelude.versions.lowest <= prelude.versions.highest,
        "within its limits");
  check(encode(prelude) == bytes.substr(0, prelude.encoded_bytes()), "what decodes has one form");
  const Prelude own{
      {3, 4}, true, {KeyFingerprint{7}, KeyFingerprint{9}}, std::string(Prelude::random_bytes, 'r')};
  const auto one = agree(own, prelude, true);
  const auto other = agree(prelude, own, false);
  check(one.has_value() == other.has_value() && (!one || *one == *other), "both sides agree on the same");
  return 0;
}
