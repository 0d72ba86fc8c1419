// Numbers that clients send to counters: exact, and near to what a long double says.
#include <cmath>

#include "crdt/decimal.h"
#include "node/numbers.h"
#include "tests/fuzz/fuzz.h"

using namespace knit;

namespace {

void take_decimal(std::string_view text) {
  const auto number = Decimal::parse(text);
  if (!number) return;
  check(!number->zero() || !number->negative, "zero is not negative");
  check(Decimal::parse(number->text()) == number, "a decimal comes back");
  if (const auto integer = number->integer()) {
    check(number->text() == std::to_string(*integer) && Decimal::of(*integer) == *number,
          "an integer is one");
  }
  const auto real = parse_real(text);
  const auto back = parse_real(number->text());
  if (real && back)
    check(std::fabs(*real - *back) <= std::fabs(*back) * 1e-15L + 1e-17L, "it is the number that was meant");
}

void take_real(std::string_view text) {
  const auto real = parse_real(text);
  if (!real || std::isinf(*real)) return;
  const std::string ours = real_text(*real);
  check(!ours.empty() && ours.back() != '.', "a number has a text");
  const auto again = parse_real(ours);
  if (again) check(real_text(*again) == ours, "it is the same number");
}

void take_sums(ByteReader in) {
  const Uint128 a = in.u128();
  const Uint128 b = in.u128();
  const Decimal difference = Decimal::difference(a, b);
  check(difference.negative == (a < b), "a difference has its sign");
  check(Decimal::difference(b, a).units == difference.units, "both ways it is the same");
  check(saturating_sum(a, b) == saturating_sum(b, a) && saturating_sum(a, b) >= a, "a sum does not wrap");
  const auto text = Decimal::parse(difference.text());
  check(text == difference, "a difference comes back");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::text_of(data, size);
  take_decimal(text);
  take_real(text);
  take_sums(ByteReader(text));
  if (const auto number = parse_shortest_integer(text))
    check(std::to_string(*number) == text, "an integer has one form");
  return 0;
}
