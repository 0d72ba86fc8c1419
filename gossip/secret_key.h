// A 32-byte secret: one key of the ring, or a key derived from one. Pure values.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace knit {

// Names a key of the ring without telling anything of it: may be shown, logged and sent in the clear.
struct KeyFingerprint {
  std::uint32_t value{};
  auto operator<=>(const KeyFingerprint&) const = default;
};

std::string to_string(KeyFingerprint fingerprint);  // 8 hex digits.
std::optional<KeyFingerprint> parse_fingerprint(std::string_view hex);

// Every copy is wiped when it goes; comparisons take the same time wherever two keys differ.
class SecretKey {
 public:
  static constexpr std::size_t size_bytes = 32;

  explicit SecretKey(std::string_view bytes);  // Requires: size_bytes of them.
  static SecretKey random();                   // From the system's source.
  SecretKey(const SecretKey&) = default;
  SecretKey& operator=(const SecretKey&) = default;
  ~SecretKey();

  // Keyed BLAKE2b over `context`: another secret, that tells nothing of this one.
  SecretKey derive(std::string_view context) const;
  KeyFingerprint fingerprint() const;  // The first 4 bytes of such a one, under a context of its own.

  const unsigned char* data() const { return bytes_.data(); }
  std::string_view bytes() const { return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()}; }

  bool operator==(const SecretKey& other) const;
  std::strong_ordering operator<=>(const SecretKey& other) const;  // Some total order.

 private:
  SecretKey() = default;

  std::array<unsigned char, size_bytes> bytes_{};
};

// For text or encoded bytes that held a secret: overwrites, then empties.
void wipe(std::string& secret);

}  // namespace knit
