// A row without its row key, as it lies on disk and travels between nodes:
//
//   length of name, varint | name | row
//
// The name is there (and not empty) only if the row key holds its digest instead of itself.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/hash.h"
#include "base/result.h"
#include "crdt/register_row.h"
#include "crdt/row_key.h"

namespace knit {

// The name to keep in the body of the row of `key`: `key` itself if it is too long for a row key.
std::string_view body_name(std::string_view key);

std::string encode_body(std::string_view body_name, const RegisterRow& row);
void append_body(std::string& out, std::string_view body_name, const RegisterRow& row);

struct RowBody {
  std::string_view name;  // Empty if the row key holds the name. A view into the body.
  RegisterRow row;
};

// Bytes that our own store wrote, behind their checksum. corrupt if they cannot be decoded.
Result<RowBody> decode_body(std::string_view body);
// What a row shows, if that can be told without making a row of it: it has one sibling, as most rows, and
// that was not cleared. Empty for every other row, and for one that cannot be decoded: decode_body() tells.
struct OnlySibling {
  Content content{};
  Expiry expiry;
  std::string_view value;  // Into the body.
};
std::optional<OnlySibling> decode_only_sibling(std::string_view body);
// As decode_body(), all values left empty: for a row that is only to be replaced.
Result<RowBody> decode_body_heads(std::string_view body);
// The name alone: what a walk over keys needs. corrupt if it cannot be decoded.
Result<std::string_view> decode_body_name(std::string_view body);
// All but the values. corrupt if they cannot be decoded.
Result<RowVersion> decode_body_version(std::string_view body);

// The highest sequence of `actor` among the dots that a body shows: of its siblings, and the last ones of its
// components. 0 if there is none.
std::uint64_t shown_sequence(std::string_view body, ActorId actor);

// The whole Redis key of a row. Requires: both come from the same well-formed row.
std::string_view key_of(std::string_view row_key, std::string_view name_in_body);

struct CheckedRow {
  RowKeyParts key;
  RowBody body;
};
// Bytes that a peer sent: as decode_body(), and the row key must be the one that the cluster's keys
// give to the name. bad_input otherwise.
Result<CheckedRow> check_row(std::string_view row_key, std::string_view body, const HashKeys& keys);

}  // namespace knit
