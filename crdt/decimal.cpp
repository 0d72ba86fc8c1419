#include "crdt/decimal.h"

#include <algorithm>
#include <charconv>
#include <limits>

namespace knit {

namespace {

constexpr Uint128 greatest = ~Uint128{0};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Digits with a point somewhere among them, taken off the front of `text`.
struct Mantissa {
  std::string digits;
  std::int64_t behind_point = 0;

  bool take(std::string_view& text) {
    bool point = false;
    for (; !text.empty() && (is_digit(text.front()) || (text.front() == '.' && !point));
         text.remove_prefix(1)) {
      if (text.front() == '.') {
        point = true;
      } else {
        digits += text.front();
        behind_point += point ? 1 : 0;
      }
    }
    return !digits.empty();
  }
};

// The rest of the text behind the mantissa: nothing, or e and an integer.
bool parse_exponent(std::string_view text, std::int64_t& exponent) {
  if (text.empty()) return true;
  if (text.front() != 'e' && text.front() != 'E') return false;
  text.remove_prefix(1);
  if (text.size() > 1 && text.front() == '+' && is_digit(text[1])) text.remove_prefix(1);
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  exponent = value;
  return error == std::errc{} && end == text.data() + text.size();
}

bool append_digit(Uint128& number, char digit) {
  const auto value = static_cast<unsigned>(digit - '0');
  if (number > (greatest - value) / 10) return false;
  number = number * 10 + value;
  return true;
}

std::string digits_of(Uint128 number) {
  std::string digits;
  do {
    digits += static_cast<char>('0' + static_cast<int>(number % 10));
    number /= 10;
  } while (number != 0);
  std::reverse(digits.begin(), digits.end());
  return digits;
}

}  // namespace

Uint128 saturating_sum(Uint128 a, Uint128 b) { return a > greatest - b ? greatest : a + b; }

Decimal Decimal::of(std::int64_t number) {
  const Uint128 magnitude = number < 0 ? -static_cast<Uint128>(number) : static_cast<Uint128>(number);
  return {magnitude * one, number < 0};
}

Decimal Decimal::difference(Uint128 positive, Uint128 negative) {
  if (positive >= negative) return {positive - negative, false};
  return {negative - positive, true};
}

std::optional<Decimal> Decimal::parse(std::string_view text) {
  constexpr std::size_t text_bytes_max = 256;  // As Redis reads numbers.
  if (text.empty() || text.size() >= text_bytes_max) return std::nullopt;
  const bool negative = text.front() == '-';
  if (negative || text.front() == '+') text.remove_prefix(1);
  Mantissa mantissa;
  std::int64_t exponent = 0;
  if (!mantissa.take(text) || !parse_exponent(text, exponent)) return std::nullopt;
  const std::int64_t shift = exponent - mantissa.behind_point + places;  // Of the digits, to units.
  const auto size = static_cast<std::int64_t>(mantissa.digits.size());
  const std::int64_t kept = std::clamp<std::int64_t>(size + shift, 0, size);
  Decimal number;
  for (std::int64_t at = 0; at < kept; ++at) {
    if (!append_digit(number.units, mantissa.digits[static_cast<std::size_t>(at)])) return std::nullopt;
  }
  for (std::int64_t zeros = shift; zeros > 0 && number.units != 0; --zeros) {
    if (!append_digit(number.units, '0')) return std::nullopt;
  }
  const bool round_up =
      shift < 0 && size + shift >= 0 && mantissa.digits[static_cast<std::size_t>(kept)] >= '5';
  if (round_up && number.units == greatest) return std::nullopt;
  number.units += round_up ? 1 : 0;
  number.negative = negative && number.units != 0;
  return number;
}

std::optional<std::int64_t> Decimal::integer() const {
  if (units % one != 0) return std::nullopt;
  const Uint128 whole = units / one;
  const Uint128 most = static_cast<Uint128>(std::numeric_limits<std::int64_t>::max()) + (negative ? 1 : 0);
  if (whole > most) return std::nullopt;
  const auto bits = static_cast<std::uint64_t>(whole);
  return static_cast<std::int64_t>(negative ? 0 - bits : bits);
}

std::string Decimal::text() const {
  std::string text = (negative ? "-" : "") + digits_of(units / one);
  const Uint128 fraction = units % one;
  if (fraction == 0) return text;
  const std::string digits = digits_of(fraction);
  text += '.' + std::string(places - digits.size(), '0') + digits;
  text.erase(text.find_last_not_of('0') + 1);
  return text;
}

}  // namespace knit
