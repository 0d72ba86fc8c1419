// An exchange whose messages are worked on a little at a time, while rows change in between.
#include "exchange_play.h"

using namespace knit;
using namespace knit::exchange_play;

namespace {

std::uint64_t steps_of(MapReplica& a, MapReplica& b, std::size_t units) {
  std::uint64_t steps = 0;
  SessionOptions options;
  options.units = units;
  options.between_steps = [&] { ++steps; };
  run_to_end(a, b, options);
  return steps;
}

}  // namespace

TEST_CASE("however small the steps, a session says the same and ends the same") {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    INFO("seed " << seed);
    std::vector<std::string> expected;
    for (const std::size_t units : {1 << 30, 1000, 17, 1}) {
      MapReplica a({1});
      MapReplica b({2});
      Random random(seed);
      drift(a, b, random, 300, 900);
      SessionOptions options;
      options.units = units;
      options.initiator.row_bytes_per_message = 2000;
      const Session session = run_to_end(a, b, options);
      require_equal(a, b);
      REQUIRE(rows_in_vain(session) == 0);
      if (expected.empty()) expected = session.messages;
      REQUIRE((session.messages == expected));
    }
  }
}

TEST_CASE("a step does a bounded part of a message") {
  MapReplica a({1});
  MapReplica b({2});
  for (std::uint64_t i = 0; i < 3000; ++i) a.write(key(i), "v");
  // Merging alone takes 16 units a row, and a step ends with the row with which it reaches its 100.
  CHECK(steps_of(a, b, 100) > 3000 / 7);
  require_equal(a, b);
}

TEST_CASE("what is written between two steps is neither lost nor promised too early") {
  int repaired = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    INFO("seed " << seed);
    Random random(seed);
    MapReplica replicas[] = {MapReplica({1}), MapReplica({2}), MapReplica({3})};
    History history;
    const std::uint64_t keys = 1 + random() % 150;
    const auto disturb = [&] {
      if (random() % 4 == 0) history.write(replicas[random() % 3], random, keys);
      if (random() % 8 == 0) {  // A stream brings a row.
        const std::uint64_t from = random() % 3;
        send_row(replicas[from], replicas[(from + 1 + random() % 2) % 3],
                 string_row_key(key(random() % keys), test_hash_keys()));
      }
    };
    for (int round = 0; round < 8; ++round) {
      for (int i = 0; i < 200; ++i) disturb();
      const std::uint64_t from = random() % 3;
      SessionOptions options;
      options.salt = random();
      options.units = 1 + random() % 60;
      options.between_steps = disturb;
      if (seed % 3 == 0) options.initiator.row_bytes_per_message = 200;
      const Session session = run(replicas[from], replicas[(from + 1 + random() % 2) % 3], options);
      REQUIRE_FALSE(session.error);
      REQUIRE(session.initiator->finished());
      REQUIRE(session.responder->finished());
      repaired += session.initiator->outcome() == Outcome::repaired;
      for (const MapReplica& replica : replicas) {
        REQUIRE(history.clock_is_true(replica));
        REQUIRE(tree_is_true(replica));
      }
    }
    run_to_end(replicas[0], replicas[1]);
    run_to_end(replicas[1], replicas[2]);
    run_to_end(replicas[2], replicas[0]);
    require_equal(replicas[0], replicas[1]);
    require_equal(replicas[1], replicas[2]);
  }
  CHECK(repaired > 300);
}

TEST_CASE("a FLUSHALL between two steps ends the session without a join") {
  int cleared = 0;
  for (std::uint64_t at = 0; at < 400; at += 7) {
    INFO("at step " << at);
    MapReplica a({1});
    MapReplica b({2});
    Random random(5);
    drift(a, b, random, 300, 600);
    MapReplica& flushed = at % 2 == 0 ? a : b;
    const MapReplica& other = at % 2 == 0 ? b : a;
    const Clock clock = other.clock();
    std::uint64_t step = 0;
    SessionOptions options;
    options.units = 40;
    options.initiator.row_bytes_per_message = 1000;
    options.between_steps = [&] {
      if (step++ == at) flushed.flush_all();
    };
    const Session session = run(a, b, options);
    REQUIRE_FALSE(session.error);
    if (flushed.tree().complete()) break;  // It had ended before.
    CHECK((flushed.clock() == flushed.clear()));
    if (session.initiator->outcome() == Outcome::cleared) {
      ++cleared;
      CHECK((other.clock() == clock));
    }
    a.build_tree();
    b.build_tree();
    run_to_end(a, b);
    require_equal(a, b);
  }
  CHECK(cleared > 20);
}

TEST_CASE("progress never falls, and ends at one") {
  MapReplica a({1});
  MapReplica b({2});
  Random random(7);
  drift(a, b, random, 2000, 4000);
  auto initiator = Exchange::initiate(a, {.ranges_per_message = 50, .row_bytes_per_message = 2000}, 1, true);
  auto responder = Exchange::respond(b, {.ranges_per_message = 50, .row_bytes_per_message = 2000});
  std::optional<std::string> message = initiator->open(now);
  double progress = 0;
  int rises = 0;
  for (Exchange* next = responder.get(); message;
       next = next == initiator.get() ? responder.get() : initiator.get()) {
    auto reply = reply_to(*next, *message, 50);
    REQUIRE(reply);
    message = *reply;
    REQUIRE(initiator->progress() >= progress);
    rises += initiator->progress() > progress;
    progress = initiator->progress();
  }
  CHECK(progress == 1);
  CHECK(rises > 5);
}

TEST_CASE("a peer that speaks while it is our turn is refused") {
  MapReplica a({1});
  MapReplica b({2});
  a.write("k", "v");
  const std::string open = Exchange::initiate(b, {}, 1, true)->open(now);
  auto responder = Exchange::respond(a, {});
  REQUIRE(responder->on_message(open));
  CHECK(responder->busy());
  const auto second = responder->on_message(open);
  REQUIRE_FALSE(second);
  CHECK(second.error().code == ErrorCode::bad_input);
  CHECK(responder->outcome() == Outcome::incomplete);
  CHECK_FALSE(responder->busy());
}
