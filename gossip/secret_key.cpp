#include "gossip/secret_key.h"

#include <sodium.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/check.h"

namespace knit {

std::string to_string(KeyFingerprint fingerprint) {
  std::string bytes;
  ByteWriter(bytes).u32(fingerprint.value);
  return to_hex(bytes);
}

std::optional<KeyFingerprint> parse_fingerprint(std::string_view hex) {
  std::string bytes;
  if (!from_hex(hex, bytes) || bytes.size() != sizeof(KeyFingerprint)) return std::nullopt;
  return KeyFingerprint{ByteReader(bytes).u32()};
}

SecretKey::SecretKey(std::string_view bytes) {
  check(bytes.size() == size_bytes, "a secret key has 32 bytes");
  std::copy(bytes.begin(), bytes.end(), bytes_.begin());
}

SecretKey SecretKey::random() {
  SecretKey key;
  randombytes_buf(key.bytes_.data(), key.bytes_.size());
  return key;
}

SecretKey::~SecretKey() { sodium_memzero(bytes_.data(), bytes_.size()); }

SecretKey SecretKey::derive(std::string_view context) const {
  SecretKey derived;
  crypto_generichash(derived.bytes_.data(), derived.bytes_.size(),
                     reinterpret_cast<const unsigned char*>(context.data()), context.size(), bytes_.data(),
                     bytes_.size());
  return derived;
}

KeyFingerprint SecretKey::fingerprint() const {
  return {ByteReader(derive("knit key fingerprint 1").bytes()).u32()};
}

bool SecretKey::operator==(const SecretKey& other) const {
  return sodium_memcmp(bytes_.data(), other.bytes_.data(), size_bytes) == 0;
}

std::strong_ordering SecretKey::operator<=>(const SecretKey& other) const {
  return sodium_compare(bytes_.data(), other.bytes_.data(), size_bytes) <=> 0;
}

void wipe(std::string& secret) {
  sodium_memzero(secret.data(), secret.size());
  secret.clear();
}

}  // namespace knit
