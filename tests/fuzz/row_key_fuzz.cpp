// Row keys, and rows with their keys as a peer sends them: nothing is taken that is not where it belongs.
#include "crdt/row_body.h"
#include "crdt/row_key.h"
#include "tests/fuzz/fuzz.h"

using namespace knit;

namespace {

HashKeys hash_keys() {
  HashKeys keys;
  keys.position.fill(1);
  keys.digest.fill(2);
  return keys;
}

void take_row_key(std::string_view row_key) {
  const auto parts = parse_row_key(row_key);
  const auto position = find_position(row_key);
  if (!parts) return;
  check(position && *position == parts->position, "a row key has one position");
  check(row_key.size() <= row_key_bytes_max, "a row key fits the store");
  if (parts->inline_name && parts->kind == RowKind::string && names(*parts, parts->name, hash_keys()))
    check(string_row_key(parts->name, hash_keys()) == row_key, "a name has one row key");
}

void take_name(std::string_view name) {
  const std::string row_key = string_row_key(name, hash_keys());
  const auto parts = parse_row_key(row_key);
  check(parts && names(*parts, name, hash_keys()), "a row key names its key");
  check(!names(*parts, std::string(name) + "x", hash_keys()), "and no other");
}

void take_row(std::string_view row_key, std::string_view body) {
  const auto row = check_row(row_key, body, hash_keys());
  if (!row) return;
  check(string_row_key(key_of(row_key, row->body.name), hash_keys()) == row_key,
        "a row lies where its key says");
}

}  // namespace

// Length, row key | body. A row key of no bytes: the rest is the name of a row, that is then made.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ByteReader in(fuzz::text_of(data, size));
  const std::string_view row_key = in.bytes();
  const std::string rest = fuzz::inflate(fuzz::rest_of(in));
  take_row_key(row_key);
  take_row(row_key, rest);
  if (!row_key.empty()) return 0;
  take_name(rest);
  take_row(string_row_key(rest, hash_keys()), encode_body(body_name(rest), {}));
  return 0;
}
