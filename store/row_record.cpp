#include "store/row_record.h"

#include <algorithm>

#include "base/bytes.h"

namespace knit {

namespace {

constexpr std::size_t record_header_bytes = 8 + 16 + 8;

std::uint64_t record_checksum(std::string_view row_key, std::string_view guarded) {
  return checksum(guarded) ^ checksum(row_key);
}

}  // namespace

std::uint64_t shown_until(const RegisterRow& row) {
  const auto until = row.shown_until();
  return until ? until->millis : shows_nothing;
}

void encode_record(std::string& out, std::string_view row_key, std::string_view body_name,
                   const RegisterRow& row, Uint128 digest) {
  out.clear();
  ByteWriter header(out);
  header.u64(0);  // The checksum's place.
  header.u128(digest);
  header.u64(shown_until(row));
  append_body(out, body_name, row);
  std::uint64_t sum = record_checksum(row_key, std::string_view(out).substr(sizeof sum));
  for (std::size_t i = sizeof sum; i-- > 0; sum >>= 8) out[i] = static_cast<char>(sum & 0xff);
}

std::string_view body_in_record(std::string_view record) {
  return record.substr(std::min(record.size(), record_header_bytes));
}

Result<RowRecord> decode_record(std::string_view row_key, std::string_view record) {
  ByteReader in(record);
  const std::uint64_t sum = in.u64();
  const Uint128 digest = in.u128();
  const std::uint64_t until = in.u64();
  if (!in.ok() || sum != record_checksum(row_key, record.substr(sizeof(sum)))) {
    return fail(ErrorCode::corrupt, "a stored row is damaged; a peer's copy will replace it");
  }
  return RowRecord{digest, until, in.raw(in.left())};
}

}  // namespace knit
