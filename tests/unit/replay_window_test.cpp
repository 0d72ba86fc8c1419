#include "gossip/replay_window.h"

#include <catch2/catch.hpp>
#include <random>
#include <set>

using namespace knit;

TEST_CASE("a new window takes nothing up to where it begins") {
  ReplayWindow window(5000);
  for (std::uint64_t counter = 0; counter <= 5000; ++counter) CHECK_FALSE(window.take(counter));
  CHECK(window.take(5001));
  CHECK_FALSE(window.take(5001));
  CHECK_FALSE(window.take(4999));
}

TEST_CASE("a window takes what lies 1023 below the highest, once, and nothing below") {
  ReplayWindow window(0);
  REQUIRE(window.take(10'000));
  CHECK_FALSE(window.take(10'000 - 1024));
  CHECK(window.take(10'000 - 1023));
  CHECK_FALSE(window.take(10'000 - 1023));
  REQUIRE(window.take(10'001));
  CHECK_FALSE(window.take(10'000 - 1023));
  CHECK(window.take(10'000 - 1022));
}

TEST_CASE("a jump of any size around the width leaves no counter that was seen") {
  for (std::uint64_t jump = 1; jump <= 3 * ReplayWindow::width; ++jump) {
    ReplayWindow window(99);
    REQUIRE(window.take(100));
    REQUIRE(window.take(100 + jump));
    CHECK_FALSE(window.take(100));
    CHECK_FALSE(window.take(100 + jump));
    if (jump > 1) CHECK(window.take(100 + jump - 1));
  }
}

TEST_CASE("a window at the highest numbers takes each of them once") {
  ReplayWindow window(~std::uint64_t{0} - 2);
  CHECK(window.take(~std::uint64_t{0}));
  CHECK(window.take(~std::uint64_t{0} - 1));
  CHECK_FALSE(window.take(~std::uint64_t{0} - 2));
  CHECK_FALSE(window.take(~std::uint64_t{0}));
  CHECK_FALSE(window.take(0));
}

TEST_CASE("a window does what a set of all counters would do, over random orders") {
  for (unsigned seed = 1; seed <= 50; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    ReplayWindow window(0);
    std::set<std::uint64_t> seen;
    std::uint64_t highest = 0;
    for (int i = 0; i < 2000; ++i) {
      const std::uint64_t base = highest + (random() % 50 == 0 ? random() % 3000 : random() % 4);
      const std::uint64_t back = random() % 1100;
      const std::uint64_t counter = base > back ? base - back : base + 1;
      highest = std::max(highest, counter);
      const bool fresh =
          counter != 0 && highest - counter < ReplayWindow::width && seen.insert(counter).second;
      REQUIRE(window.take(counter) == fresh);
    }
  }
}
