#include "node/budget.h"

#include <catch2/catch.hpp>

using namespace knit;
using namespace std::chrono_literals;

TEST_CASE("no budget is no limit") {
  Budget budget(0);
  budget.spend(1'000'000'000'000, 1s);
  CHECK(budget.wait(1s) == 0ms);
}

TEST_CASE("what was spent beyond the budget is waited for, and no longer") {
  Budget budget(1000);
  budget.spend(500, 10s);  // All that is saved up.
  CHECK(budget.wait(10s) == 0ms);
  budget.spend(2000, 10s);
  CHECK(budget.wait(10s) == 2000ms);
  CHECK(budget.wait(11500ms) == 500ms);
  CHECK(budget.wait(12s) == 0ms);
}

TEST_CASE("over a long time not more is spent than the budget, however large the pieces") {
  for (const std::uint64_t piece : {1, 70, 5000}) {
    Budget budget(1000);
    std::uint64_t spent = 0;
    for (Millis now = 0ms; now < 100s; now += 7ms) {
      if (budget.wait(now) > 0ms) continue;
      budget.spend(piece, now);
      spent += piece;
    }
    CHECK(spent <= 100'000 + 500 + piece);
    if (piece > 7) CHECK(spent >= 95'000);
  }
}

TEST_CASE("rest is saved up for half a second and no longer") {
  Budget budget(1000);
  budget.spend(0, 1000s);
  budget.spend(501, 1000s);
  CHECK(budget.wait(1000s) == 1ms);
}
