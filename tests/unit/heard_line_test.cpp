#include "node/heard_line.h"

#include <catch2/catch.hpp>
#include <deque>
#include <random>

using namespace knit;

namespace {

Line line_of(std::uint64_t sequence) {
  Line line;
  if (sequence > 0) line.clock.add({1}, {1, sequence});
  return line;
}

std::uint64_t sequence_of(const HeardLine& heard) {
  return heard.known() == nullptr ? 0 : heard.known()->clock.highest({1});
}

}  // namespace

TEST_CASE("a line counts when all that was sent before it is through, of each kind") {
  for (int kind = 0; kind < 3; ++kind) {
    HeardLine heard;
    RowMessages sent;
    (kind == 0 ? sent.batches : kind == 1 ? sent.turns : sent.reads) = 1;
    heard.hear(line_of(5), sent, {});
    CHECK(heard.known() == nullptr);
    heard.settle({});
    CHECK(heard.known() == nullptr);
    heard.settle(sent);
    CHECK(sequence_of(heard) == 5);
  }
}

TEST_CASE("the end of the link ends what was under way") {
  HeardLine heard;
  heard.hear(line_of(5), {1, 0, 0}, {});
  heard.hear(line_of(6), {2, 0, 0}, {});
  CHECK(heard.known() == nullptr);
  heard.end();
  CHECK(sequence_of(heard) == 6);
}

// Channels overtake each other. Whatever does, no line counts that was told after a message which is still
// under way, and in the end the last one does.
TEST_CASE("no line overtakes what was sent before it, and none is waited for in vain") {
  for (unsigned seed = 1; seed <= 200; ++seed) {
    INFO("seed " << seed);
    std::mt19937 random(seed);
    HeardLine heard;
    RowMessages sent, taken;
    std::vector<RowMessages> sent_before{{}};  // The line of each sequence.
    for (int step = 0; step < 200; ++step) {
      std::uint64_t RowMessages::* const kinds[] = {&RowMessages::batches, &RowMessages::turns,
                                                    &RowMessages::reads};
      const auto kind = kinds[random() % 3];
      switch (random() % 3) {
        case 0: ++(sent.*kind); break;
        case 1:
          if (taken.*kind < sent.*kind) ++(taken.*kind);
          heard.settle(taken);
          break;
        default: heard.hear(line_of(sent_before.size()), sent, taken); sent_before.push_back(sent);
      }
      REQUIRE(taken.covers(sent_before[sequence_of(heard)]));
    }
    heard.settle(sent);
    REQUIRE(sequence_of(heard) == sent_before.size() - 1);
  }
}
