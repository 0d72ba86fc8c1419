// Local changes of a row that came from a peer, whatever it held: it stays canonical.
#include <limits>

#include "crdt/row_body.h"
#include "tests/fuzz/fuzz.h"

using namespace knit;

namespace {

constexpr ActorId self{0x0101010101010101};
constexpr std::uint64_t greatest_sequence = std::numeric_limits<std::uint64_t>::max();
constexpr std::size_t changes_max = 32;

std::uint64_t highest_sequence(const RegisterRow& row) {
  std::uint64_t highest = row.context().sequence(self);
  for (const Sibling& sibling : row.siblings())
    if (sibling.dot.actor == self) highest = std::max(highest, sibling.dot.sequence);
  for (const Component& component : row.counter().components())
    if (component.created.actor == self) highest = std::max(highest, component.last);
  return highest;
}

void write(RegisterRow& row, Dot dot, ByteReader& in) {
  Sibling sibling{dot, row.greatest_stamp().next(), decode_expiry(in), Content{}, std::string(in.bytes())};
  sibling.content = sibling.value.empty() ? Content::tombstone : Content::value;
  row.write(sibling);
  check(row.siblings().size() == 1 && row.winner() != nullptr, "a write supersedes all siblings");
}

void increment(RegisterRow& row, Dot dot, ByteReader& in, WallTime now) {
  const auto amount = Decimal::parse(in.bytes());
  if (!amount || amount->zero()) return;
  const RegisterRow before = row;
  const auto done = row.increment({dot, row.greatest_stamp().next(), *amount}, now);
  if (done != RegisterRow::Incremented::done)
    check(row == before, "an increment that is refused changes nothing");
}

void raise_expiry(RegisterRow& row, Expiry expiry) {
  const Sibling* winner = row.winner();
  if (winner != nullptr && winner->expiry < expiry) row.raise_expiry(expiry);
}

void reissue(RegisterRow& row, Dot fresh, ByteReader& in) {
  const ActorId actor{in.u64()};
  const std::uint64_t sequence = in.varint();
  if (actor == self) return;
  for (std::size_t left = siblings_max; left > 0 && row.reissue(actor, sequence, fresh); --left) {
    if (fresh.sequence == greatest_sequence) return;
    ++fresh.sequence;
  }
}

void merge_clear(RegisterRow& row, ByteReader& in) {
  const Clock clear = Clock::decode(in);
  row.apply_clear(clear);
  const RegisterRow once = row;
  check(!row.apply_clear(clear) && row == once, "a clear is idempotent");
}

void merge(RegisterRow& row, ByteReader& in) {
  const auto other = decode_body(in.bytes());
  if (other) row.merge_at(self, other->row);
}

void change(RegisterRow& row, ByteReader& in, WallTime now) {
  const std::uint64_t highest = highest_sequence(row);
  const std::uint8_t kind = in.u8() % 6;
  if (highest == greatest_sequence && kind < 3) return;
  const Dot fresh{self, highest + 1};
  switch (kind) {
    case 0: return write(row, fresh, in);
    case 1: return increment(row, fresh, in, now);
    case 2: return reissue(row, fresh, in);
    case 3: return raise_expiry(row, decode_expiry(in));
    case 4: return merge_clear(row, in);
    default: return merge(row, in);
  }
}

void check_sound(const RegisterRow& row, WallTime now) {
  const std::string body = encode_body({}, row);
  const auto again = decode_body(body);
  check(again && again->row == row, "a row that was changed is canonical");
  const auto shown = row.shown(now);
  if (!shown) return;
  check(!shown->text().empty() || shown->sibling != nullptr, "what is shown has a text");
  check(row.shown_until() && !row.shown_until()->passed(now), "what is shown has not expired");
}

}  // namespace

// Time | length, body | changes...
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ByteReader in(fuzz::text_of(data, size));
  const WallTime now{in.u32()};
  const auto decoded = decode_body(in.bytes());
  if (!decoded) return 0;
  RegisterRow row = decoded->row;
  for (std::size_t changes = 0; changes < changes_max && in.left() > 0; ++changes) {
    change(row, in, now);
    check_sound(row, now);
  }
  return 0;
}
