#include "daemon/commit_pace.h"

#include <catch2/catch.hpp>

using namespace knit;

namespace {

constexpr std::size_t bytes_max = 1000;

CommitPace after_a_commit_of(Millis duration) {
  CommitPace pace(bytes_max);
  pace.on_started(Millis(10'000));
  pace.on_ended(Millis(10'000) + duration);
  return pace;
}

}  // namespace

TEST_CASE("at rest a commit begins at once") {
  CHECK(CommitPace(bytes_max).wait(Millis(10'000), 1) == Millis(0));
  CHECK(after_a_commit_of(Millis(5)).wait(Millis(11'000), 1) == Millis(0));
}

TEST_CASE("the committer rests four times as long as it worked, five seconds at most") {
  CHECK(after_a_commit_of(Millis(5)).wait(Millis(10'005), 1) == Millis(20));
  CHECK(after_a_commit_of(Millis(500)).wait(Millis(11'000), 1) == Millis(1500));
  CHECK(after_a_commit_of(Millis(60'000)).wait(Millis(70'000), 1) == Millis(5000));
}

TEST_CASE("there is no rest when half of what may be pending is") {
  CHECK(after_a_commit_of(Millis(500)).wait(Millis(10'500), bytes_max / 2) > Millis(0));
  CHECK(after_a_commit_of(Millis(500)).wait(Millis(10'500), bytes_max / 2 + 1) == Millis(0));
}
