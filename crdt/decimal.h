// Exact decimal numbers with 17 places, as many as Redis prints.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace knit {

// A pure value. Invariant: zero is not negative, so equal numbers are equal values.
struct Decimal {
  static constexpr unsigned places = 17;
  static constexpr Uint128 one = 100'000'000'000'000'000;  // Units of 1e-17.

  Uint128 units{};
  bool negative{};
  bool operator==(const Decimal&) const = default;

  static Decimal of(std::int64_t number);
  // positive - negative, both in units.
  static Decimal difference(Uint128 positive, Uint128 negative);
  // What Redis takes for a number: sign, digits, point, exponent. Rounded to 17 places. Empty if it is none,
  // or too great for 128 bits (beyond about 3.4e21).
  static std::optional<Decimal> parse(std::string_view text);

  bool zero() const { return units == 0; }
  std::optional<std::int64_t> integer() const;  // Empty: it has decimals, or does not fit.
  std::string text() const;                     // Without trailing zeros; an integer without a point.
};

// Stays at the greatest number: the same whatever the order of a sum.
Uint128 saturating_sum(Uint128 a, Uint128 b);

}  // namespace knit
