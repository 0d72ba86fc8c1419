// Ranges of positions: what tree, exchange and store name when they speak of "these rows".
#pragma once

#include <cstdint>
#include <limits>

#include "base/bytes.h"
#include "crdt/row_key.h"

namespace knit {

// Inclusive at both ends, so that the whole space has a name. Never empty: first <= last.
struct Range {
  Position first;
  Position last;
  bool operator==(const Range&) const = default;

  static Range all() {
    constexpr auto top = std::numeric_limits<std::uint64_t>::max();
    return {{0, 0}, {top, top}};
  }
  bool contains(Position position) const { return first <= position && position <= last; }
};

// The positions that begin with `nibbles` times four bits. Prefixes of the same length are disjoint.
struct Prefix {
  static constexpr unsigned nibbles_max = 32;

  Position bits;  // All bits below the prefix are 0.
  std::uint8_t nibbles{};
  auto operator<=>(const Prefix&) const = default;

  Range range() const;
  Prefix child(unsigned nibble) const;  // Requires: nibble < 16, nibbles < nibbles_max.
};

}  // namespace knit
