// A row as the ordered store keeps it, under its row key:
//
//   checksum 8 | digest 16 | shown until 8 | body (crdt/row_body.h)
//
// The checksum guards what follows it and the row key: a record that lies under another key is
// damaged too. "Shown until" is 0 if the row shows no
// value, else the latest expiry of what it shows: a scan need not decode what it skips.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/hash.h"
#include "base/result.h"
#include "crdt/row_body.h"

namespace knit {

constexpr std::uint64_t shows_nothing = 0;

struct RowRecord {
  Uint128 digest{};
  std::uint64_t shown_until{};
  std::string_view body;
};

// What `row` shows if no time passes: shows_nothing, or the latest expiry of its parts.
std::uint64_t shown_until(const RegisterRow& row);

// Writes to `out`, in place of what was there.
void encode_record(std::string& out, std::string_view row_key, std::string_view body_name,
                   const RegisterRow& row, Uint128 digest);

// The body in a record that is known to be whole.
std::string_view body_in_record(std::string_view record);

// corrupt if the checksum does not hold.
Result<RowRecord> decode_record(std::string_view row_key, std::string_view record);

}  // namespace knit
