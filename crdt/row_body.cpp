#include "crdt/row_body.h"

#include <algorithm>

#include "base/check.h"

namespace knit {

std::string_view body_name(std::string_view key) {
  return key.size() > inline_key_bytes_max ? key : std::string_view{};
}

void append_body(std::string& out, std::string_view body_name, const RegisterRow& row) {
  std::size_t bytes = out.size() + body_name.size() + 64;
  for (const Sibling& sibling : row.siblings()) bytes += sibling.value.size() + 64;
  bytes += row.counter().components().size() * 64;
  out.reserve(bytes);
  ByteWriter writer(out);
  writer.bytes(body_name);
  row.encode(writer);
}

std::string encode_body(std::string_view body_name, const RegisterRow& row) {
  std::string body;
  append_body(body, body_name, row);
  return body;
}

Result<RowBody> decode_body(std::string_view body) {
  ByteReader in(body);
  RowBody decoded{in.bytes(), RegisterRow::decode(in)};
  if (!in.done()) return fail(ErrorCode::corrupt, "a row cannot be decoded");
  return decoded;
}

std::optional<OnlySibling> decode_only_sibling(std::string_view body) {
  ByteReader in(body);
  in.bytes();  // The name.
  if (in.varint() != 1) return std::nullopt;
  in.u64();  // Actor, sequence and stamp do not matter to one that has no rival.
  in.varint();
  in.u64();
  OnlySibling only;
  only.expiry = {in.varint() - 1};
  only.content = Content{in.u8()};
  if (only.content >= Content::cleared) return std::nullopt;
  if (only.content == Content::value) only.value = in.bytes();
  for (std::size_t actors = in.count(9, VersionVector::actors_max); actors > 0; actors--) {
    in.u64();
    in.varint();
  }
  if (in.varint() != 0) return std::nullopt;  // Components of a counter.
  if (!in.done()) return std::nullopt;
  return only;
}

Result<RowBody> decode_body_heads(std::string_view body) {
  ByteReader in(body);
  RowBody decoded{in.bytes(), RegisterRow::decode_heads(in)};
  if (!in.done()) return fail(ErrorCode::corrupt, "a row cannot be decoded");
  return decoded;
}

Result<std::string_view> decode_body_name(std::string_view body) {
  ByteReader in(body);
  const std::string_view name = in.bytes();
  if (!in.ok()) return fail(ErrorCode::corrupt, "a row cannot be decoded");
  return name;
}

Result<RowVersion> decode_body_version(std::string_view body) {
  ByteReader in(body);
  in.bytes();
  RowVersion version = RegisterRow::decode_version(in);
  if (!in.done()) return fail(ErrorCode::corrupt, "a row cannot be decoded");
  return version;
}

std::uint64_t shown_sequence(std::string_view body, ActorId actor) {
  ByteReader in(body);
  in.bytes();  // The name.
  std::uint64_t highest = 0;
  for (std::size_t siblings = in.count(1, siblings_max); siblings > 0; --siblings) {
    const ActorId author{in.u64()};
    const std::uint64_t sequence = in.varint();
    if (author == actor) highest = std::max(highest, sequence);
    in.u64();     // The stamp.
    in.varint();  // The expiry.
    if (Content{in.u8()} == Content::value) in.bytes();
  }
  VersionVector::decode(in);
  if (in.varint() == 0 || !in.ok()) return highest;
  const auto version = decode_body_version(body);
  if (!version) return highest;
  for (const Component& component : version->counter.components()) {
    const Dot last = component.last_dot();
    if (last.actor == actor) highest = std::max(highest, last.sequence);
  }
  return highest;
}

std::string_view key_of(std::string_view row_key, std::string_view name_in_body) {
  if (!name_in_body.empty()) return name_in_body;
  const auto parts = parse_row_key(row_key);
  check(parts.has_value(), "stored row keys are well formed");
  return parts->name;
}

Result<CheckedRow> check_row(std::string_view row_key, std::string_view body, const HashKeys& keys) {
  const auto parts = parse_row_key(row_key);
  if (!parts) return tl::unexpected(parts.error());
  auto decoded = decode_body(body);
  if (!decoded) return fail(ErrorCode::bad_input, "a peer sent a row that cannot be decoded");
  if (parts->kind != RowKind::string)
    return fail(ErrorCode::bad_input, "a peer sent a row of a kind that is never sent");
  if (parts->inline_name != decoded->name.empty() || decoded->name.size() > key_bytes_max) {
    return fail(ErrorCode::bad_input, "a peer sent a row whose name is not where it belongs");
  }
  if (!names(*parts, parts->inline_name ? parts->name : decoded->name, keys)) {
    return fail(ErrorCode::bad_input, "a peer sent a row whose key does not match its hash");
  }
  return CheckedRow{*parts, std::move(*decoded)};
}

}  // namespace knit
