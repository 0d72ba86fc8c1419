#include "crdt/row_key.h"

#include "base/check.h"

namespace knit {

namespace {

constexpr std::uint16_t digest_mark = 0xffff;
constexpr std::size_t digest_bytes = 32;
constexpr std::size_t element_hash_bytes = 8;

}  // namespace

std::string string_row_key(std::string_view key, const HashKeys& keys) {
  check(key.size() <= key_bytes_max, "keys are checked at the door");
  std::string row_key;
  row_key.reserve(11 + std::min(key.size(), inline_key_bytes_max));
  ByteWriter out(row_key);
  out.u64(siphash64(key, keys.position));
  if (key.size() <= inline_key_bytes_max) {
    out.u16(static_cast<std::uint16_t>(key.size()));
    out.raw(key);
  } else {
    const auto digest = name_digest(key, keys.position);
    out.u16(digest_mark);
    out.raw({digest.data(), digest.size()});
  }
  out.u8(static_cast<std::uint8_t>(RowKind::string));
  return row_key;
}

std::string clear_row_key() {
  std::string row_key;
  ByteWriter out(row_key);
  out.u64(0);
  out.u16(0);
  out.u8(static_cast<std::uint8_t>(RowKind::clear));
  return row_key;
}

Result<RowKeyParts> parse_row_key(std::string_view row_key) {
  ByteReader in(row_key);
  RowKeyParts parts;
  parts.position.key_hash = in.u64();
  const std::uint16_t length = in.u16();
  parts.inline_name = length != digest_mark;
  if (parts.inline_name && length > inline_key_bytes_max) in.fail();
  parts.name = in.raw(parts.inline_name ? length : digest_bytes);
  const std::uint8_t kind = in.u8();
  if (!in.done() || kind > static_cast<std::uint8_t>(RowKind::string)) {
    return fail(ErrorCode::bad_input, "not a row key");
  }
  parts.kind = static_cast<RowKind>(kind);
  return parts;
}

std::optional<Position> find_position(std::string_view row_key) {
  ByteReader in(row_key);
  Position position{in.u64(), 0};
  const std::uint16_t length = in.u16();
  in.raw(length == digest_mark ? digest_bytes : length);
  in.u8();
  if (!in.ok()) return std::nullopt;
  if (in.left() >= element_hash_bytes) position.element_hash = in.u64();
  return position;
}

Position position_of(std::string_view row_key) {
  const auto position = find_position(row_key);
  check(position.has_value(), "row keys are well formed");
  return *position;
}

bool names(const RowKeyParts& parts, std::string_view name, const HashKeys& keys) {
  if (siphash64(name, keys.position) != parts.position.key_hash) return false;
  if (parts.inline_name) return parts.name == name;
  if (name.size() <= inline_key_bytes_max) return false;
  const auto digest = name_digest(name, keys.position);
  return parts.name == std::string_view(digest.data(), digest.size());
}

std::string first_row_key_at(Position position) {
  std::string row_key;
  ByteWriter(row_key).u64(position.key_hash);
  return row_key;
}

}  // namespace knit
