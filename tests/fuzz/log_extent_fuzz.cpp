// How far the log reaches, as the store keeps it: what decodes says the same when it is written anew, also
// after it was trimmed.
#include "store/log_extent.h"
#include "tests/fuzz/fuzz.h"

using namespace knit;

namespace {

constexpr LogExtent::Bounds bounds{10'000, Millis{10'000}};
constexpr std::size_t trims_max = 100;

void check_sound(const LogExtent& extent) {
  const std::string bytes = fuzz::encoded(extent);
  ByteReader in(bytes);
  LogExtent again(bounds);
  check(again.decode(in) && fuzz::encoded(again) == bytes, "what we wrote comes back");
  check(again.bytes() == extent.bytes() && again.oldest() == extent.oldest(), "it says the same");
}

}  // namespace

// Time | dot | extent
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ByteReader in(fuzz::text_of(data, size));
  const WallTime now{in.u64()};
  const Dot dot{{in.u64()}, in.varint()};
  LogExtent extent(bounds);
  if (!extent.decode(in)) return 0;
  check_sound(extent);
  extent.note(dot, 100, now);
  for (std::size_t trims = 0; trims < trims_max; ++trims) {
    const auto erased = extent.trim(now);
    for (const Dot up_to : erased)
      check(extent.complete_from(up_to.actor) >= up_to.sequence,
            "the log is not complete where it was trimmed");
    if (erased.empty()) break;
  }
  check_sound(extent);
  return 0;
}
