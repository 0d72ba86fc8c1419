#include "crdt/decimal.h"

#include <catch2/catch.hpp>
#include <limits>
#include <random>
#include <string>

using namespace knit;

namespace {

std::string reread(std::string_view text) {
  const auto number = Decimal::parse(text);
  return number ? number->text() : "none";
}

constexpr auto lowest = std::numeric_limits<std::int64_t>::min();
constexpr auto highest = std::numeric_limits<std::int64_t>::max();

}  // namespace

TEST_CASE("a decimal number is read as Redis reads it and written in its shortest form") {
  CHECK(reread("0") == "0");
  CHECK(reread("-0") == "0");
  CHECK(reread("+12") == "12");
  CHECK(reread("007") == "7");
  CHECK(reread("-1.50") == "-1.5");
  CHECK(reread(".5") == "0.5");
  CHECK(reread("5.") == "5");
  CHECK(reread("3.0e3") == "3000");
  CHECK(reread("1e+2") == "100");
  CHECK(reread("12e-3") == "0.012");
  CHECK(reread("-0.00000000000000001") == "-0.00000000000000001");
  CHECK(reread("3000000000000000000000") == "3000000000000000000000");
}

TEST_CASE("what has more than 17 decimals is rounded") {
  CHECK(reread("0.000000000000000005") == "0.00000000000000001");
  CHECK(reread("0.000000000000000004") == "0");
  CHECK(reread("-0.000000000000000004") == "0");
  CHECK(reread("1.999999999999999999") == "2");
  CHECK(reread("1e-300") == "0");
  CHECK(reread("9e-18") == "0.00000000000000001");
}

TEST_CASE("what is no number, or too great, is not read") {
  for (const char* text :
       {"",    "-",     "+",    ".",   "e5",  "1e",  "1e+",           "1e+-1", "1 ",
        " 1",  "1.2.3", "0x10", "inf", "nan", "abc", "1e99999999999", "1e22",  "4000000000000000000000",
        "--1", "+-1"}) {
    INFO(text);
    CHECK(reread(text) == "none");
  }
  CHECK(reread(std::string(300, '1')) == "none");
}

TEST_CASE("every integer of 64 bits is a decimal and comes back") {
  for (const std::int64_t number : {std::int64_t{0}, std::int64_t{1}, std::int64_t{-1}, lowest, highest}) {
    CHECK(Decimal::of(number).integer() == number);
    CHECK(Decimal::of(number).text() == std::to_string(number));
    CHECK(Decimal::parse(std::to_string(number)) == Decimal::of(number));
  }
  CHECK_FALSE(Decimal::parse("9223372036854775808")->integer());
  CHECK_FALSE(Decimal::parse("-9223372036854775809")->integer());
  CHECK_FALSE(Decimal::parse("1.5")->integer());
}

TEST_CASE("text and number are two forms of the same, and a sum saturates") {
  std::mt19937_64 random(1);
  for (int i = 0; i < 2000; ++i) {
    const Uint128 units = ((Uint128{random()} << 64) | random()) >> (random() % 127);
    const Decimal number = Decimal::difference(random() % 2 == 0 ? units : 0, units / 2);
    CHECK(Decimal::parse(number.text()) == number);
  }
  CHECK((saturating_sum(~Uint128{0}, 1) == ~Uint128{0}));
  CHECK((saturating_sum(~Uint128{0} - 1, 1) == ~Uint128{0}));
}
