#include "crdt/row_key.h"

#include <cstring>

#include "base/check.h"

namespace knit {

namespace {

constexpr std::uint16_t digest_mark = 0xffff;
constexpr std::size_t digest_bytes = 32;
constexpr std::size_t element_hash_bytes = 8;

}  // namespace

StringRowKey::StringRowKey(std::string_view key, const HashKeys& keys) {
  check(key.size() <= key_bytes_max, "keys are checked at the door");
  const auto append = [this](std::string_view bytes) {
    std::memcpy(bytes_.data() + size_, bytes.data(), bytes.size());
    size_ += bytes.size();
  };
  const auto append_number = [this](std::uint64_t value, unsigned size) {
    for (unsigned i = size; i-- > 0;) bytes_[size_++] = static_cast<char>(value >> (8 * i));
  };
  append_number(siphash64(key, keys.position), 8);
  if (key.size() <= inline_key_bytes_max) {
    append_number(key.size(), 2);
    append(key);
  } else {
    const auto digest = name_digest(key, keys.position);
    append_number(digest_mark, 2);
    append({digest.data(), digest.size()});
  }
  append_number(static_cast<std::uint8_t>(RowKind::string), 1);
}

std::string string_row_key(std::string_view key, const HashKeys& keys) {
  return std::string(StringRowKey(key, keys));
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
