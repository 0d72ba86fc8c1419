// Numbers as Redis reads and writes them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace knit {

// An integer in its shortest form: no spaces, no plus sign, no leading zeros.
std::optional<std::int64_t> parse_shortest_integer(std::string_view text);
std::optional<std::int64_t> checked_sum(std::int64_t a, std::int64_t b);  // Empty if it does not fit.

// As INCRBYFLOAT reads its arguments, infinities included; empty if it is no number.
std::optional<long double> parse_real(std::string_view text);
// With up to 17 decimals and no trailing zeros. Requires: it is finite.
std::string real_text(long double number);

}  // namespace knit
