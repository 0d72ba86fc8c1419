// Payloads of stream batches: what decodes says the same when it is written anew, compressed or not.
#include "node/stream_payload.h"
#include "tests/fuzz/fuzz.h"

using namespace knit;

namespace {

std::string rewritten(const StreamPayload& payload, bool compressed) {
  StreamPayloadWriter out;
  if (payload.clear) out.set_clear(*payload.clear);
  for (const auto& [actor, entry] : payload.covered.entries()) {
    if (entry.base > 0) out.cover(actor, {1, entry.base});
    for (const Clock::Range range : entry.above) out.cover(actor, range);
  }
  Dot last;
  for (const auto& item : payload.items) {
    if (item.dot.actor != last.actor || item.dot.sequence <= last.sequence || &item == payload.items.data())
      out.begin_part(item.dot.actor);
    out.add(item.dot.sequence, item.row_key, item.body);
    last = item.dot;
  }
  return out.finish(compressed);
}

// A row that comes twice is left out the second time.
bool same(const StreamPayload::Item& before, const StreamPayload::Item& after) {
  return before.dot == after.dot && before.row_key == after.row_key &&
         (before.body == after.body || after.body.empty());
}

void compare(const StreamPayload& before, const StreamPayload& after) {
  check(after.covered == before.covered && after.clear == before.clear, "the clocks come back");
  check(std::equal(before.items.begin(), before.items.end(), after.items.begin(), after.items.end(), same),
        "the items come back");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto payload = decode_stream_payload(fuzz::text_of(data, size));
  if (!payload) return 0;
  check(payload->contents.size() <= stream_compressed_contents_max, "no more is decompressed than the limit");
  check(payload->items.size() <= stream_items_max, "no more items are taken than the limit");
  for (const bool compressed : {false, true}) {
    const std::string bytes = rewritten(*payload, compressed);
    const auto again = decode_stream_payload(bytes);
    check(again.has_value(), "what was written anew can be decoded");
    compare(*payload, *again);
  }
  return 0;
}
