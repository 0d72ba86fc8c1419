#include "daemon/key_file.h"

#include "base/bytes.h"
#include "base/hash.h"
#include "gossip/key_text.h"
#include "store/secret_file.h"

namespace knit {

namespace {

constexpr std::size_t checksum_bytes = 8;

}  // namespace

Result<KeyRing> read_key_file(const std::string& path) {
  auto text = read_secret_file(path, key_text_bytes_max, "a key file");
  if (!text) return tl::unexpected(text.error());
  auto ring = parse_key_text(*text, path);
  wipe(*text);
  return ring;
}

Result<void> write_key_ring(const std::string& path, const KeyRing& ring) {
  std::string bytes = ring.encode();  // Has room for the checksum, so it does not move.
  ByteWriter(bytes).u64(checksum(bytes));
  const auto written = replace_secret_file(path, bytes);
  wipe(bytes);
  return written;
}

Result<KeyRing> read_key_ring(const std::string& path) {
  auto bytes = read_secret_file(path, KeyRing::encoded_bytes_max + checksum_bytes, "a key ring");
  if (!bytes) return tl::unexpected(bytes.error());
  const std::string_view all = *bytes;
  const std::string_view encoded = all.substr(0, all.size() - std::min(all.size(), checksum_bytes));
  const bool whole = ByteReader(all.substr(encoded.size())).u64() == checksum(encoded);
  auto ring = KeyRing::decode(encoded);
  wipe(*bytes);
  if (!whole || !ring) {
    return fail(ErrorCode::corrupt, path + ": is damaged; remove it, and the node begins with its key file");
  }
  return ring;
}

}  // namespace knit
