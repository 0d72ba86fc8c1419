#include "merkle/exchange_messages.h"

#include <algorithm>
#include <utility>

namespace knit::wire {

namespace {

enum Flag : std::uint16_t {
  flag_done = 1,
  flag_hold = 2,
  flag_clocks_differ = 4,
  flag_clock = 8,
  flag_children = 16,
  flag_lists = 32,
  flag_versions = 64,
  flag_wants = 128,
  flag_rows = 256,
  flags_known = 511,
};

enum OpenFlag : std::uint8_t { open_compare = 1, open_children = 2, open_fence = 4, open_flags_known = 7 };

std::uint8_t flag_of(ExchangeMode mode) {
  switch (mode) {
    case ExchangeMode::repair: return 0;
    case ExchangeMode::compare: return open_compare;
    case ExchangeMode::fence: return open_fence;
  }
  return 0;
}

void write_short(ByteWriter& out, Short value) { out.truncated(value, short_bytes); }
Short read_short(ByteReader& in) { return static_cast<Short>(in.truncated(short_bytes)); }

// The nibbles of a prefix, two a byte.
void write_prefix(ByteWriter& out, const Prefix& prefix) {
  out.u8(prefix.nibbles);
  const unsigned bytes = (prefix.nibbles + 1U) / 2;
  if (bytes > 0) out.truncated(prefix.bits.number() >> (128 - 8 * bytes), bytes);
}

Prefix read_prefix(ByteReader& in) {
  Prefix prefix;
  prefix.nibbles = in.u8();
  if (prefix.nibbles > Prefix::nibbles_max) in.fail();
  if (!in.ok() || prefix.nibbles == 0) return {};
  const unsigned bytes = (prefix.nibbles + 1U) / 2;
  const Uint128 bits = in.truncated(bytes) << (128 - 8 * bytes);
  prefix.bits = Position::of(bits);
  if (prefix.range().first.number() != bits ||
      (prefix.nibbles % 2 == 1 && ((bits >> (128 - 8 * bytes)) & 15) != 0)) {
    in.fail();
  }
  return prefix;
}

// The parts of a turn, in their order.
struct PartShape {
  unsigned flag;
  std::size_t item_bytes_min;
  std::size_t most;
};
enum PartIndex : unsigned { children_part, lists_part, versions_part, wants_part, rows_part, parts_end };
constexpr std::size_t copied_bytes = 16 << 10;  // Of rows, at once.
constexpr std::array<PartShape, parts_end> shapes{
    PartShape{flag_children, 1 + 16 * short_bytes, ranges_max}, PartShape{flag_lists, 2, ranges_max},
    PartShape{flag_versions, 3, ranges_max}, PartShape{flag_wants, 2, wants_max},
    PartShape{flag_rows, 2, rows_max}};

// Adds the next range to its part, and holds it to the order.
template <class Part>
Part& read_range(ByteReader& in, std::vector<Part>& parts) {
  Part part;
  part.prefix = read_prefix(in);
  if (!parts.empty() && part.prefix.range().first <= parts.back().prefix.range().last) in.fail();
  return parts.emplace_back(std::move(part));
}

void write_shorts(ByteWriter& out, const std::vector<Short>& values) {
  out.varint(values.size());
  for (const Short value : values) write_short(out, value);
}

std::vector<Short> read_shorts(ByteReader& in, std::size_t most) {
  std::vector<Short> values(in.count(short_bytes, most));
  for (Short& value : values) value = read_short(in);
  return values;
}

void write_dot(ByteWriter& out, Dot dot, ActorTable& actors) {
  actors.write(out, dot.actor);
  out.varint(dot.sequence);
}

Dot read_dot(ByteReader& in, ActorTable& actors) {
  const ActorId actor = actors.read(in);
  const Dot dot{actor, in.varint()};
  if (dot.sequence == 0) in.fail();
  return dot;
}

// Number of live dots and whether any of them expires | dots | expiries | context | counter.
void write_version(ByteWriter& out, const RowVersion& version, ActorTable& actors) {
  const bool expires =
      std::any_of(version.live.begin(), version.live.end(), [](const auto& l) { return !l.expiry.never(); });
  out.varint(version.live.size() * 2 + (expires ? 1 : 0));
  for (const RowVersion::Live& live : version.live) {
    write_dot(out, live.dot, actors);
    if (expires) out.varint(live.expiry.millis + 1);  // "Never" wraps to 0.
  }
  out.varint(version.context.entries().size());
  for (const Dot dot : version.context.entries()) write_dot(out, dot, actors);
  version.counter.encode(out);
}

void read_context(ByteReader& in, VersionVector& context, ActorTable& actors) {
  const std::size_t count = in.count(2, VersionVector::actors_max);
  for (std::size_t i = 0; i < count && in.ok(); ++i) {
    const Dot dot = read_dot(in, actors);
    if (!context.empty() && context.entries().back().actor >= dot.actor) in.fail();
    context.add(dot);
  }
}

RowVersion read_version(ByteReader& in, ActorTable& actors) {
  RowVersion version;
  const std::uint64_t head = in.varint();
  if (head / 2 > siblings_max) in.fail();
  for (std::uint64_t i = 0; i < head / 2 && in.ok(); ++i) {
    RowVersion::Live live{read_dot(in, actors), {}};
    if (head % 2 == 1) live.expiry = {in.varint() - 1};
    if (!version.live.empty() && version.live.back().dot >= live.dot) in.fail();
    version.live.push_back(live);
  }
  read_context(in, version.context, actors);
  version.counter = Counter::decode(in);
  return version;
}

void write_details(ByteWriter& out, const RowDetails& details) {
  out.bytes(details.row_key);
  out.u64(details.stamp.value);
  out.u8(static_cast<std::uint8_t>(details.content));
  out.varint(details.value_bytes);
}

RowDetails read_details(ByteReader& in) {
  RowDetails details;
  details.row_key = in.bytes();
  details.stamp = {in.u64()};
  const std::uint8_t content = in.u8();
  details.content = static_cast<Content>(content);
  details.value_bytes = in.varint();
  if (content > static_cast<std::uint8_t>(Content::cleared) || !parse_row_key(details.row_key)) in.fail();
  return details;
}

void write_versions(ByteWriter& out, const Versions& versions, ActorTable& actors) {
  out.varint(versions.missing.size());
  for (const std::uint8_t index : versions.missing) out.u8(index);
  out.varint(versions.rows.size());
  for (const TaggedVersion& row : versions.rows) {
    write_short(out, row.tag);
    write_version(out, row.version, actors);
    if (row.details) write_details(out, *row.details);
  }
}

void read_versions(ByteReader& in, Versions& versions, bool with_details, ActorTable& actors) {
  versions.missing.resize(in.count(1, list_rows_max));
  for (std::uint8_t& index : versions.missing) index = in.u8();
  const auto& missing = versions.missing;
  if (std::adjacent_find(missing.begin(), missing.end(), std::greater_equal<>()) != missing.end()) in.fail();
  const std::size_t count = in.count(short_bytes + 3, version_rows_max);
  for (std::size_t i = 0; i < count && in.ok(); ++i) {
    TaggedVersion row;
    row.tag = read_short(in);
    row.version = read_version(in, actors);
    if (with_details) row.details = read_details(in);
    versions.rows.push_back(std::move(row));
  }
}

std::uint16_t flags_of(const Turn& turn) {
  unsigned flags = 0;
  const auto set = [&](bool on, unsigned flag) { flags |= on ? flag : 0; };
  set(turn.done, flag_done);
  set(turn.hold, flag_hold);
  set(turn.clocks_differ, flag_clocks_differ);
  set(turn.clock.has_value(), flag_clock);
  set(!turn.children.empty(), flag_children);
  set(!turn.lists.empty(), flag_lists);
  set(!turn.versions.empty(), flag_versions);
  set(!turn.wants.empty(), flag_wants);
  set(turn.packed.count > 0, flag_rows);
  return static_cast<std::uint16_t>(flags);
}

}  // namespace

void ActorTable::write(ByteWriter& out, ActorId actor) {
  const auto known = indices_.find(actor);
  if (known != indices_.end()) {
    out.varint(known->second);
    return;
  }
  out.varint(actors_.size());
  out.u64(actor.value);
  if (actors_.size() == actors_max) return;
  indices_[actor] = actors_.size();
  actors_.push_back(actor);
}

ActorId ActorTable::read(ByteReader& in) {
  const std::uint64_t index = in.varint();
  if (index < actors_.size()) return actors_[index];
  const ActorId actor{in.u64()};
  if (index > actors_.size()) in.fail();
  if (in.ok() && actors_.size() < actors_max) actors_.push_back(actor);
  return actor;
}

void encode(ByteWriter& out, const Open& open) {
  out.u8(static_cast<std::uint8_t>(Kind::open));
  out.u8(version);
  out.u8(static_cast<std::uint8_t>(flag_of(open.mode) | (open.children ? open_children : 0)));
  out.u128(open.root);
  out.u64(open.clock_digest);
  out.u64(open.clear_digest);
  out.u64(open.salt);
  if (!open.children) return;
  for (const Short digest : *open.children) write_short(out, digest);
}

Result<Open> decode_open(ByteReader& in) {
  if (in.u8() != version) return fail(ErrorCode::bad_input, "the peer compares in a version we do not speak");
  Open open;
  const std::uint8_t flags = in.u8();
  const unsigned mode = flags & (open_compare | open_fence);
  if (mode == (open_compare | open_fence)) in.fail();
  open.mode = mode == 0              ? ExchangeMode::repair
              : mode == open_compare ? ExchangeMode::compare
                                     : ExchangeMode::fence;
  open.root = in.u128();
  open.clock_digest = in.u64();
  open.clear_digest = in.u64();
  open.salt = in.u64();
  if (flags & open_children) {
    open.children.emplace();
    for (Short& digest : *open.children) digest = read_short(in);
  }
  if (!in.done() || (flags & ~open_flags_known) != 0)
    return fail(ErrorCode::bad_input, "a malformed exchange");
  return open;
}

TurnWriter::TurnWriter(Turn& turn, ActorTable& actors) : turn_(turn), actors_(actors) {
  // Growing would copy it at one go. Memory that is not touched costs nothing.
  message_.reserve(64 + turn.packed.bytes.size() + turn.children.size() * 16 * 8 +
                   (turn.lists.size() + turn.versions.size()) * 256 + turn.wants.size() * 32);
  out_.u8(static_cast<std::uint8_t>(Kind::turn));
  out_.u16(flags_of(turn));
  if (!turn.done) out_.u16(turn.remaining);
  if (turn.clock) turn.clock->encode(out_);
}

bool TurnWriter::write(Effort& effort) {
  while (part_ < parts_end && !effort.spent()) write_some(effort);
  return part_ == parts_end;
}

template <class Part, class WriteItem>
void TurnWriter::write_part(std::vector<Part>& parts, Effort& effort, WriteItem write_item) {
  if (written_ == 0 && !parts.empty()) out_.varint(parts.size());
  for (; written_ < parts.size() && !effort.spent(); ++written_) {
    write_prefix(out_, parts[written_].prefix);
    effort.spend(effort::item + write_item(parts[written_]));
  }
  if (written_ < parts.size()) return;
  written_ = 0;
  ++part_;
}

void TurnWriter::write_some(Effort& effort) {
  switch (part_) {
    case children_part:
      return write_part(turn_.children, effort, [&](const Children& part) {
        for (const Short digest : part.digests) write_short(out_, digest);
        return std::size_t{0};
      });
    case lists_part:
      return write_part(turn_.lists, effort, [&](const List& part) {
        write_shorts(out_, part.rows);
        return part.rows.size() / 8;
      });
    case versions_part:
      return write_part(turn_.versions, effort, [&](Versions& part) {
        const Versions written = std::move(part);
        write_versions(out_, written, actors_);
        return written.rows.size();
      });
    case wants_part:
      return write_part(turn_.wants, effort, [&](Wants& part) {
        const Wants written = std::move(part);
        write_shorts(out_, written.tags);
        return written.tags.size() / 8;
      });
    default: return write_rows(effort);
  }
}

void TurnWriter::write_rows(Effort& effort) {
  const std::string& rows = turn_.packed.bytes;
  if (written_ == 0) {
    comparison_bytes_ = message_.size();
    if (turn_.packed.count > 0) out_.varint(turn_.packed.count);
  }
  for (; written_ < rows.size() && !effort.spent(); written_ += copied_bytes) {
    effort.spend(copied_bytes / effort::bytes);
    message_.append(rows, written_, copied_bytes);
  }
  if (written_ >= rows.size()) ++part_;
}

void encode_row(ByteWriter& out, std::string_view row_key, std::string_view body) {
  out.bytes(row_key);
  out.bytes(body);
}

TurnReader::TurnReader(ByteReader in, bool with_details, ActorTable& actors)
    : in_(in), with_details_(with_details), actors_(actors) {}

Result<bool> TurnReader::read(Turn& turn, Effort& effort) {
  if (!std::exchange(head_read_, true)) read_head(turn);
  while (part_ < parts_end && in_.ok() && !effort.spent()) read_some(turn, effort);
  if (part_ < parts_end && in_.ok()) return false;
  if (!in_.done()) return fail(ErrorCode::bad_input, "a malformed turn of an exchange");
  return true;
}

void TurnReader::read_head(Turn& turn) {
  flags_ = in_.u16();
  if (flags_ > flags_known) in_.fail();
  turn.done = (flags_ & flag_done) != 0;
  turn.hold = (flags_ & flag_hold) != 0;
  turn.clocks_differ = (flags_ & flag_clocks_differ) != 0;
  if (!turn.done) turn.remaining = in_.u16();
  if (flags_ & flag_clock) turn.clock = Clock::decode(in_);
}

// How many items the next part has.
std::size_t TurnReader::begin_part() {
  const PartShape& shape = shapes[part_];
  if ((flags_ & shape.flag) == 0) return 0;
  const std::size_t count = in_.count(shape.item_bytes_min, shape.most);
  if (count == 0) in_.fail();
  return count;
}

template <class Part, class ReadItem>
void TurnReader::read_part(std::vector<Part>& parts, Effort& effort, ReadItem read_item) {
  if (!left_) {
    left_ = begin_part();
    parts.reserve(*left_);  // The bytes for so many are there.
  }
  for (; *left_ > 0 && in_.ok() && !effort.spent(); --*left_) effort.spend(effort::item + read_item(parts));
  if (*left_ > 0) return;
  left_.reset();
  ++part_;
}

void TurnReader::read_some(Turn& turn, Effort& effort) {
  switch (part_) {
    case children_part:
      return read_part(turn.children, effort, [&](auto& parts) {
        for (Short& digest : read_range(in_, parts).digests) digest = read_short(in_);
        return std::size_t{0};
      });
    case lists_part:
      return read_part(turn.lists, effort, [&](auto& parts) {
        List& list = read_range(in_, parts);
        list.rows = read_shorts(in_, list_rows_max);
        return list.rows.size() / 8;
      });
    case versions_part:
      return read_part(turn.versions, effort, [&](auto& parts) {
        Versions& versions = read_range(in_, parts);
        read_versions(in_, versions, with_details_, actors_);
        return versions.rows.size();
      });
    case wants_part:
      return read_part(turn.wants, effort, [&](auto& parts) {
        Wants& wants = read_range(in_, parts);
        wants.tags = read_shorts(in_, version_rows_max);
        return wants.tags.size() / 8;
      });
    default:
      if (!left_) turn.row_bytes = in_.left();
      return read_part(turn.rows, effort, [&](auto& parts) {
        const std::string_view row_key = in_.bytes();
        parts.push_back({row_key, in_.bytes()});
        return std::size_t{0};
      });
  }
}

void encode_clear(ByteWriter& out, const Clock& clear) {
  out.u8(static_cast<std::uint8_t>(Kind::clear));
  clear.encode(out);
}

void encode_abort(ByteWriter& out) { out.u8(static_cast<std::uint8_t>(Kind::abort)); }

Result<Clock> decode_clear(ByteReader& in) {
  Clock clear = Clock::decode(in);
  if (!in.done()) return fail(ErrorCode::bad_input, "a malformed clear in an exchange");
  return clear;
}

}  // namespace knit::wire
