#include "node/numbers.h"

#include <array>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>

namespace knit {

std::optional<std::int64_t> parse_shortest_integer(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  if (std::to_string(number) != text) return std::nullopt;
  return number;
}

std::optional<std::int64_t> checked_sum(std::int64_t a, std::int64_t b) {
  std::int64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}

std::optional<long double> parse_real(std::string_view text) {
  constexpr std::size_t text_bytes_max = 256;
  if (text.empty() || text.size() >= text_bytes_max || std::isspace(static_cast<unsigned char>(text[0])) != 0)
    return std::nullopt;
  const std::string copy(text);
  char* end = nullptr;
  errno = 0;
  const long double number = std::strtold(copy.c_str(), &end);
  const bool whole = end == copy.c_str() + copy.size();
  const bool beyond = errno == ERANGE && (std::isinf(number) || number == 0);
  if (!whole || beyond || std::isnan(number)) return std::nullopt;
  return number;
}

std::string real_text(long double number) {
  constexpr std::size_t digits_max = 5120;  // Of the greatest long double, with room.
  std::array<char, digits_max> digits;
  const int size = std::snprintf(digits.data(), digits.size(), "%.17Lf", number);
  std::string text(digits.data(), static_cast<std::size_t>(size));
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text == "-0" ? "0" : text;
}

}  // namespace knit
