// The bytes of an exchange: reading in steps makes no difference, and what decodes has one encoding of ours.
#include <optional>

#include "merkle/exchange_messages.h"
#include "tests/fuzz/fuzz.h"

using namespace knit;

namespace {

constexpr std::size_t all_at_once = std::size_t{1} << 30;

std::optional<wire::Turn> read_turn(std::string_view bytes, bool with_details, std::size_t units) {
  wire::Turn turn;
  wire::ActorTable actors;
  wire::TurnReader reader(ByteReader(bytes), with_details, actors);
  for (;;) {
    Effort effort(units);
    const auto all = reader.read(turn, effort);
    if (!all) return std::nullopt;
    if (*all) return turn;
  }
}

// Behind the kind. Uses `turn` up.
std::string write_turn(wire::Turn& turn) {
  ByteWriter packed(turn.packed.bytes);
  for (const auto& row : turn.rows) wire::encode_row(packed, row.row_key, row.body);
  turn.packed.count = turn.rows.size();
  wire::ActorTable actors;
  wire::TurnWriter writer(turn, actors);
  Effort effort(all_at_once);
  check(writer.write(effort), "all was written");
  return writer.take().substr(1);
}

void take_turn(std::string_view bytes, bool with_details, std::size_t units) {
  auto turn = read_turn(bytes, with_details, all_at_once);
  auto in_steps = read_turn(bytes, with_details, units);
  check(turn.has_value() == in_steps.has_value(), "steps make no difference to what is malformed");
  if (!turn) return;
  check(turn->row_bytes <= bytes.size(), "rows are in the message");
  const std::string ours = write_turn(*turn);
  check(write_turn(*in_steps) == ours, "steps make no difference to what is read");
  auto again = read_turn(ours, with_details, all_at_once);
  check(again.has_value(), "what we encode can be decoded");
  check(write_turn(*again) == ours, "it says the same");
}

void take_open(std::string_view bytes) {
  ByteReader in(bytes);
  const auto open = wire::decode_open(in);
  if (!open) return;
  std::string ours;
  ByteWriter out(ours);
  wire::encode(out, *open);
  check(ours.substr(1) == bytes, "an open has one encoding");
}

void take_clear(std::string_view bytes) {
  ByteReader in(bytes);
  const auto clear = wire::decode_clear(in);
  if (!clear) return;
  std::string ours;
  ByteWriter out(ours);
  wire::encode_clear(out, *clear);
  check(ours.substr(1) == bytes, "a clear has one encoding");
}

}  // namespace

// Kind, as on the wire | the message. The high bits of the kind: with details, and the units of a step.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ByteReader in(fuzz::text_of(data, size));
  const std::uint8_t head = in.u8();
  const std::string_view bytes = fuzz::rest_of(in);
  switch (static_cast<wire::Kind>(head & 7)) {
    case wire::Kind::open: take_open(bytes); break;
    case wire::Kind::turn: take_turn(bytes, (head & 128) != 0, std::size_t{1} + (head >> 3 & 15)); break;
    case wire::Kind::clear: take_clear(bytes); break;
    default: break;
  }
  return 0;
}
