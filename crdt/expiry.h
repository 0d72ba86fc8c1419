// When a value, or a part of a counter, ceases to be shown.
#pragma once

#include <compare>
#include <cstdint>

#include "base/bytes.h"
#include "base/types.h"

namespace knit {

// An absolute time. Later wins in a merge, so "never" is the latest of all.
struct Expiry {
  std::uint64_t millis = never_millis;
  auto operator<=>(const Expiry&) const = default;

  static constexpr std::uint64_t never_millis = ~std::uint64_t{0};
  bool never() const { return millis == never_millis; }
  bool passed(WallTime now) const { return millis <= now.millis; }
};

// "Never" is the greatest number: one more wraps to 0, its short encoding.
inline void encode_expiry(ByteWriter& out, Expiry expiry) { out.varint(expiry.millis + 1); }
inline Expiry decode_expiry(ByteReader& in) { return {in.varint() - 1}; }

}  // namespace knit
