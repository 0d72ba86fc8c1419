#include "base/hash.h"

#include <sodium.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace knit {

namespace {

const unsigned char* unsigned_data(std::string_view bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

}  // namespace

std::uint64_t siphash64(std::string_view bytes, const HashKey& key) {
  std::array<unsigned char, crypto_shorthash_siphash24_BYTES> out{};
  crypto_shorthash_siphash24(out.data(), unsigned_data(bytes), bytes.size(), key.data());
  return ByteReader({reinterpret_cast<const char*>(out.data()), out.size()}).u64();
}

Uint128 siphash128(std::string_view bytes, const HashKey& key) {
  std::array<unsigned char, crypto_shorthash_siphashx24_BYTES> out{};
  crypto_shorthash_siphashx24(out.data(), unsigned_data(bytes), bytes.size(), key.data());
  return ByteReader({reinterpret_cast<const char*>(out.data()), out.size()}).u128();
}

std::array<char, 32> name_digest(std::string_view name, const HashKey& key) {
  std::array<char, 32> out{};
  crypto_generichash(reinterpret_cast<unsigned char*>(out.data()), out.size(), unsigned_data(name),
                     name.size(), key.data(), key.size());
  return out;
}

std::uint64_t checksum(std::string_view bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

std::uint64_t checksum(std::string_view bytes, std::uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

}  // namespace knit
