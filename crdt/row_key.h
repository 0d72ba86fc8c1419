// The name of a row, in the order in which rows are stored, hashed and compared.
//
//   H(key) 8 | length of key 2 | key | kind 1 | H(element) 8 | element
//
// H is SipHash-2-4 under the cluster's position key, so the table is in hash order: a range of the
// table is a range of the tree. A row that is no member of a collection ends at its kind. A key
// longer than inline_key_bytes_max has 0xffff as its length and a 256-bit digest in its place; its
// whole name is then kept in the row.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/result.h"

namespace knit {

constexpr std::size_t row_key_bytes_max = 511;     // What LMDB takes.
constexpr std::size_t inline_key_bytes_max = 460;  // Leaves room for a 32-byte element digest.
constexpr std::size_t key_bytes_max = 1 << 20;     // A longer key is refused at every door.

enum class RowKind : std::uint8_t {
  clear = 0,   // What FLUSHALL leaves behind: one row, its key is empty, its position is 0.
  string = 1,  // A Redis string.
};

// Where a row lies in the tree: H(key), then H(element), which is 0 outside of collections.
struct Position {
  std::uint64_t key_hash{};
  std::uint64_t element_hash{};
  auto operator<=>(const Position&) const = default;

  Uint128 number() const { return (Uint128{key_hash} << 64) | element_hash; }
  static Position of(Uint128 number) {
    return {static_cast<std::uint64_t>(number >> 64), static_cast<std::uint64_t>(number)};
  }
};

// A row key taken apart. Views into the bytes it was parsed from.
struct RowKeyParts {
  Position position;
  RowKind kind{};
  bool inline_name{};  // False: `name` holds the 32-byte digest of the name.
  std::string_view name;
};

// The row key of a Redis string in place: every lookup makes one, and allocates nothing.
class StringRowKey {
 public:
  // Requires: key.size() <= key_bytes_max.
  StringRowKey(std::string_view key, const HashKeys& keys);
  operator std::string_view() const { return {bytes_.data(), size_}; }

 private:
  std::size_t size_ = 0;
  std::array<char, 8 + 2 + inline_key_bytes_max + 1> bytes_;  // The first size_ of them are set.
};

// The row that holds the Redis string `key`. Requires: key.size() <= key_bytes_max.
std::string string_row_key(std::string_view key, const HashKeys& keys);

// The row that FLUSHALL writes.
std::string clear_row_key();

// Takes apart bytes from the wire or the disk. bad_input if they are not a row key.
Result<RowKeyParts> parse_row_key(std::string_view row_key);

// The position of a row key from the disk, where it may be damaged. Empty if it is too short.
std::optional<Position> find_position(std::string_view row_key);

// The position of a row key that is known to be well formed: what was made, parsed or scanned.
Position position_of(std::string_view row_key);

// True if `parts` is what string_row_key() makes of `name`: the check on a row that a peer sent.
bool names(const RowKeyParts& parts, std::string_view name, const HashKeys& keys);

// The smallest row key at or above `position`: where a scan of it starts.
std::string first_row_key_at(Position position);

}  // namespace knit
