#include "merkle/range.h"

#include "base/check.h"

namespace knit {

Range Prefix::range() const {
  const Uint128 below = nibbles == 0 ? ~Uint128{0} : (Uint128{1} << (128 - 4 * nibbles)) - 1;
  const Uint128 first = bits.number();
  return {Position::of(first), Position::of(first | below)};
}

Prefix Prefix::child(unsigned nibble) const {
  check(nibble < 16 && nibbles < nibbles_max, "a prefix has 16 children, down to single positions");
  const unsigned shift = 128 - 4 * (nibbles + 1U);
  return {Position::of(bits.number() | (Uint128{nibble} << shift)), static_cast<std::uint8_t>(nibbles + 1)};
}

}  // namespace knit
