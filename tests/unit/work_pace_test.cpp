#include "daemon/work_pace.h"

#include <catch2/catch.hpp>

using namespace knit;
using namespace std::chrono_literals;

namespace {

// A pace after a second in which the thread was busy for `others` with clients.
WorkPace after_a_second_of(WorkPace::Nanos others, WorkPace::Nanos slices = 0ns) {
  WorkPace pace;
  pace.on_busy(10s, 5s);
  if (slices > 0ns) pace.on_worked(10500ms, slices);
  pace.on_busy(11s, 5s + others + slices);
  return pace;
}

}  // namespace

TEST_CASE("while there is little else to do, background work does not rest") {
  for (const auto busy : {0ms, 50ms, 100ms}) {
    WorkPace pace = after_a_second_of(busy);
    pace.on_worked(20s, 400us);
    CHECK(pace.wait(20s) == Millis(0));
  }
}

TEST_CASE("the busier the loop is with others, the longer background work rests, and never for good") {
  double share = 1;
  for (const auto busy : {200ms, 300ms, 400ms, 500ms}) {
    const WorkPace pace = after_a_second_of(busy);
    CHECK(pace.share() < share);
    share = pace.share();
  }
  CHECK(share == Approx(WorkPace::least_share));
  WorkPace pace = after_a_second_of(1000ms);
  CHECK(pace.share() == Approx(WorkPace::least_share));
  pace.on_worked(20s, 400us);
  CHECK(pace.wait(20s) == Millis(2));
  CHECK(pace.wait(20s + 1500us) == Millis(1));
  CHECK(pace.wait(20s + 1600us) == Millis(0));
}

TEST_CASE("background work does not take itself for load") {
  CHECK(after_a_second_of(0ms, 900ms).share() == 1);
  CHECK(after_a_second_of(300ms, 700ms).share() == Approx(after_a_second_of(300ms).share()));
}
