// Messages between nodes (msgpack): what decodes has one encoding of ours.
#include "node/wire.h"
#include "tests/fuzz/fuzz.h"

using namespace knit;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes = fuzz::text_of(data, size);
  const auto message = decode_message(bytes);
  if (!message) return 0;
  const std::string ours = encode(*message);
  check(ours.size() <= bytes.size(), "ours is the shortest encoding");
  const auto again = decode_message(ours);
  check(again && again->index() == message->index(), "what we encode can be decoded");
  check(encode(*again) == ours, "it says the same");
  return 0;
}
