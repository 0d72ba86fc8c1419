// The keyed hashes of a cluster. SipHash-2-4 (Aumasson and Bernstein, 2012) under secret keys: a
// client who chooses keys and values cannot make two different rows look equal.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "base/bytes.h"

namespace knit {

using HashKey = std::array<std::uint8_t, 16>;

// Made at the birth of a cluster, the same on all its nodes, never changed.
struct HashKeys {
  HashKey position{};  // H: places keys and elements.
  HashKey digest{};    // Row digests, root digests, clock digests.
  bool operator==(const HashKeys&) const = default;
};

std::uint64_t siphash64(std::string_view bytes, const HashKey& key);
Uint128 siphash128(std::string_view bytes, const HashKey& key);

// A 256-bit keyed BLAKE2b, 32 bytes: stands for a name that is too long for a row key.
std::array<char, 32> name_digest(std::string_view name, const HashKey& key);

// XXH3, 64 bits, unkeyed: guards stored bytes against rot. Never where a client gains by a collision.
std::uint64_t checksum(std::string_view bytes);
// The same under a seed: bytes that were sealed under another one do not validate.
std::uint64_t checksum(std::string_view bytes, std::uint64_t seed);

}  // namespace knit
