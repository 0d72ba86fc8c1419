#include "merkle/exchange_messages.h"

#include <algorithm>

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

enum OpenFlag : std::uint8_t { open_only_compare = 1, open_children = 2, open_flags_known = 3 };

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

// Calls read_item for each item of a part, as many as are declared, and holds them to their order.
template <class Part, class ReadItem>
void read_part(ByteReader& in, std::vector<Part>& parts, std::size_t item_bytes_min, std::size_t most,
               ReadItem read_item) {
  const std::size_t count = in.count(item_bytes_min, most);
  if (count == 0) in.fail();
  for (std::size_t i = 0; i < count && in.ok(); ++i) {
    Part part;
    part.prefix = read_prefix(in);
    read_item(part);
    if (!parts.empty() && part.prefix.range().first <= parts.back().prefix.range().last) in.fail();
    parts.push_back(std::move(part));
  }
}

template <class Part, class WriteItem>
void write_part(ByteWriter& out, const std::vector<Part>& parts, WriteItem write_item) {
  if (parts.empty()) return;
  out.varint(parts.size());
  for (const Part& part : parts) {
    write_prefix(out, part.prefix);
    write_item(part);
  }
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

void read_rows(ByteReader& in, std::vector<ShippedRow>& rows) {
  const std::size_t count = in.count(2, rows_max);
  if (count == 0) in.fail();
  for (std::size_t i = 0; i < count && in.ok(); ++i) {
    const std::string_view row_key = in.bytes();
    const std::string_view body = in.bytes();
    rows.push_back({row_key, body});
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
  set(!turn.rows.empty(), flag_rows);
  return static_cast<std::uint16_t>(flags);
}

void read_parts(ByteReader& in, unsigned flags, bool with_details, ActorTable& actors, Turn& turn) {
  if (flags & flag_children) {
    read_part(in, turn.children, 1 + 16 * short_bytes, ranges_max, [&](Children& part) {
      for (Short& digest : part.digests) digest = read_short(in);
    });
  }
  if (flags & flag_lists) {
    read_part(in, turn.lists, 2, ranges_max, [&](List& part) { part.rows = read_shorts(in, list_rows_max); });
  }
  if (flags & flag_versions) {
    read_part(in, turn.versions, 3, ranges_max,
              [&](Versions& part) { read_versions(in, part, with_details, actors); });
  }
  if (flags & flag_wants) {
    read_part(in, turn.wants, 2, wants_max,
              [&](Wants& part) { part.tags = read_shorts(in, version_rows_max); });
  }
  turn.row_bytes = in.left();
  if (flags & flag_rows) read_rows(in, turn.rows);
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
  out.u8(static_cast<std::uint8_t>((open.only_compare ? open_only_compare : 0) |
                                   (open.children ? open_children : 0)));
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
  open.only_compare = (flags & open_only_compare) != 0;
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

void encode(ByteWriter& out, const Turn& turn, ActorTable& actors) {
  out.u8(static_cast<std::uint8_t>(Kind::turn));
  out.u16(flags_of(turn));
  if (!turn.done) out.u16(turn.remaining);
  if (turn.clock) turn.clock->encode(out);
  write_part(out, turn.children, [&](const Children& part) {
    for (const Short digest : part.digests) write_short(out, digest);
  });
  write_part(out, turn.lists, [&](const List& part) { write_shorts(out, part.rows); });
  write_part(out, turn.versions, [&](const Versions& part) { write_versions(out, part, actors); });
  write_part(out, turn.wants, [&](const Wants& part) { write_shorts(out, part.tags); });
}

void encode_rows(ByteWriter& out, const std::vector<ShippedRow>& rows) {
  if (rows.empty()) return;
  out.varint(rows.size());
  for (const ShippedRow& row : rows) {
    out.bytes(row.row_key);
    out.bytes(row.body);
  }
}

Result<Turn> decode_turn(ByteReader& in, bool with_details, ActorTable& actors) {
  Turn turn;
  const unsigned flags = in.u16();
  turn.done = (flags & flag_done) != 0;
  turn.hold = (flags & flag_hold) != 0;
  turn.clocks_differ = (flags & flag_clocks_differ) != 0;
  if (!turn.done) turn.remaining = in.u16();
  if (flags & flag_clock) turn.clock = Clock::decode(in);
  read_parts(in, flags, with_details, actors, turn);
  if (!in.done() || flags > flags_known) return fail(ErrorCode::bad_input, "a malformed turn of an exchange");
  return turn;
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
