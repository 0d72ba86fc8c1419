// Rows as the ordered store keeps them: a record that is damaged, or lies under another key, is noticed.
#include "store/row_record.h"
#include "tests/fuzz/fuzz.h"

using namespace knit;

namespace {

constexpr std::size_t record_bytes_min = 8 + 16 + 8;

void compare(std::string_view row_key, std::string_view body, const RowBody& decoded, Uint128 digest) {
  std::string record;
  encode_record(record, row_key, decoded.name, decoded.row, digest);
  const auto read = decode_record(row_key, record);
  check(read && read->digest == digest && read->body == body && read->body == body_in_record(record),
        "a record comes back");
  check(read->shown_until == shown_until(decoded.row), "it tells until when the row shows something");
  check(!decode_record(std::string(row_key) + "x", record), "it does not lie under another key");
  record.back() = static_cast<char>(record.back() ^ 1);
  check(!decode_record(row_key, record), "damage is noticed");
}

}  // namespace

// Length, row key | digest | body, or a record
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ByteReader in(fuzz::text_of(data, size));
  const std::string_view row_key = in.bytes();
  ByteReader record = in;
  const std::string_view bytes = fuzz::rest_of(record);
  const auto read = decode_record(row_key, bytes);
  check(!read || read->body.size() + record_bytes_min == bytes.size(),
        "a record that is cut short is damaged");
  const Uint128 digest = in.u128();
  const std::string_view body = fuzz::rest_of(in);
  if (const auto decoded = decode_body(body)) compare(row_key, body, *decoded, digest);
  return 0;
}
