// Reading of arguments as Redis reads them: ASCII case, integers, glob patterns.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace knit {

inline char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
std::string lower_case(std::string_view text);
bool equal_ignoring_case(std::string_view a, std::string_view b);

// The whole text, in its shortest form: no spaces, no plus sign, no leading zeros.
std::optional<std::int64_t> parse_integer(std::string_view text);
// Digits alone; for what Redis calls an unsigned long.
std::optional<std::uint64_t> parse_unsigned(std::string_view text);

// * ? [abc] [^abc] [a-z] and \ before any of them. Takes time in proportion to the product of both
// lengths at most, whatever the pattern is.
bool glob_matches(std::string_view pattern, std::string_view text);

// Compares in a time that depends on the length of `given` alone.
bool secret_equals(std::string_view secret, std::string_view given);

}  // namespace knit
