// What each side of a connection between peers says first, in the clear, without waiting for the other:
//
//   magic 4 | lowest version 1 | highest version 1 | mode 1 | keys 1 | fingerprint 4... | random 32
//
// Mode is 1 if it encrypts, else 0. Whatever a later version changes comes behind this. Pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gossip/secret_key.h"

namespace knit {

struct ProtocolRange {
  std::uint8_t lowest{};
  std::uint8_t highest{};
  bool operator==(const ProtocolRange&) const = default;
};

struct Prelude {
  static constexpr std::size_t random_bytes = 32;
  static constexpr std::size_t keys_max = 8;
  static constexpr std::size_t bytes_max = 8 + 4 * keys_max + random_bytes;

  ProtocolRange versions;  // lowest <= highest.
  bool encrypted = false;
  std::vector<KeyFingerprint> keys;  // That it can open with, the primary first; none if not encrypted.
  std::string random;

  std::size_t encoded_bytes() const { return 8 + 4 * keys.size() + random_bytes; }
  bool operator==(const Prelude&) const = default;
};

std::string encode(const Prelude& prelude);
// Empty: what is there may become one. bad_input: it will not. What lies behind it is not looked at.
Result<std::optional<Prelude>> decode_prelude(std::string_view bytes);

struct Agreement {
  std::uint8_t version{};             // The highest that both speak.
  std::optional<KeyFingerprint> key;  // The dialer's first that the other has too; empty: not encrypted.
  bool operator==(const Agreement&) const = default;
};

// The same on both sides. refused: the message tells what the other side is or does.
Result<Agreement> agree(const Prelude& own, const Prelude& other, bool dialed);

}  // namespace knit
