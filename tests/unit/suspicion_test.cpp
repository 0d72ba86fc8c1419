#include "gossip/suspicion.h"

#include <catch2/catch.hpp>

using namespace knit;
using namespace std::chrono_literals;

namespace {

constexpr SuspicionOptions options{2s, 6, 3};
constexpr NodeId first{1};

}  // namespace

TEST_CASE("a suspicion that nobody confirms lasts its longest") {
  CHECK(Suspicion(options, first, 100, 1, 50s).deadline() == 62s);
}

TEST_CASE("each confirmation shortens a suspicion, the first one most, and all of them all the way") {
  Suspicion suspicion(options, first, 100, 1, 0s);
  std::vector<Millis> deadlines{suspicion.deadline()};
  for (const std::uint64_t accuser : {2, 3, 4}) {
    CHECK(suspicion.confirm({accuser}));
    deadlines.push_back(suspicion.deadline());
  }
  CHECK(deadlines[1] == 7s);  // log(2) / log(4) is a half.
  CHECK(deadlines[2] < 7s);
  CHECK(deadlines[2] > 2s);
  CHECK(deadlines[0] - deadlines[1] > deadlines[1] - deadlines[2]);
  CHECK(deadlines[3] == 2s);
}

TEST_CASE("an accuser counts once, and no more of them than are needed") {
  Suspicion suspicion(options, first, 100, 1, 0s);
  CHECK_FALSE(suspicion.confirm(first));
  CHECK(suspicion.confirm({2}));
  CHECK_FALSE(suspicion.confirm({2}));
  CHECK(suspicion.confirm({3}));
  CHECK(suspicion.confirm({4}));
  CHECK_FALSE(suspicion.confirm({5}));
  CHECK(suspicion.confirmations() == 3);
}

TEST_CASE("with nobody else to ask a suspicion lasts its shortest") {
  Suspicion suspicion(options, first, 0, 1, 0s);
  CHECK(suspicion.deadline() == 2s);
  CHECK_FALSE(suspicion.confirm({2}));
  CHECK(suspicion.confirmations() == 0);
}

TEST_CASE("in a small cluster all the others are enough") {
  Suspicion suspicion(options, first, 1, 1, 0s);
  CHECK(suspicion.deadline() == 12s);
  CHECK(suspicion.confirm({2}));
  CHECK(suspicion.deadline() == 2s);
}

TEST_CASE("a node that is slow itself suspects for longer") {
  CHECK(Suspicion(options, first, 0, 3, 0s).deadline() == 6s);
  CHECK(Suspicion(options, first, 100, 3, 0s).deadline() == 36s);
}

TEST_CASE("a suspicion is put off by the time in which nothing was heard, but never begins later than now") {
  Suspicion old(options, first, 0, 1, 10s);
  old.shift(5s, 20s);
  CHECK(old.deadline() == 17s);
  Suspicion fresh(options, first, 0, 1, 19s);
  fresh.shift(5s, 20s);
  CHECK(fresh.deadline() == 22s);
}
