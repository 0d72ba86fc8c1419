#include "exchange_play.h"

using namespace knit;
using namespace knit::exchange_play;

TEST_CASE("two replicas that are equal say so in 64 bytes each") {
  MapReplica a({1});
  MapReplica b({2});
  Random random(1);
  drift(a, b, random, 100, 300);
  run_to_end(a, b);
  SessionOptions options;
  options.expect_difference = false;
  const Session session = run(a, b, options);
  CHECK(session.initiator->outcome() == Outcome::equal);
  CHECK(session.responder->outcome() == Outcome::equal);
  CHECK(session.messages.size() == 2);
  CHECK(session.messages[0].size() <= 64);
  CHECK(session.messages[1].size() <= 64);
}

TEST_CASE("equal rows and different clocks take three messages and end with both clocks joined") {
  MapReplica a({1});
  MapReplica b({2});
  a.write("k", "v");
  a.write("k", "w");
  send_row(a, b, string_row_key("k", a.hash_keys()));
  REQUIRE((a.root() == b.root()));
  REQUIRE_FALSE((a.clock() == b.clock()));
  const Session session = run(a, b);
  CHECK(session.messages.size() == 3);
  CHECK(session.initiator->outcome() == Outcome::equal);
  CHECK(session.responder->outcome() == Outcome::equal);
  require_equal(a, b);
}

TEST_CASE("two replicas that exchange while nobody writes are equal afterwards") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    INFO("seed " << seed);
    Random random(seed);
    MapReplica a({1});
    MapReplica b({2});
    const std::uint64_t keys = 1 + random() % 400;
    drift(a, b, random, keys, static_cast<int>(random() % 800));
    for (std::uint64_t i = random() % 20; i > 0; --i) {
      MapReplica& loser = random() % 2 == 0 ? a : b;
      loser.lose(string_row_key(key(random() % keys), a.hash_keys()));
    }
    if (seed % 5 == 0) {
      MapReplica& flushed = random() % 2 == 0 ? a : b;
      flushed.flush_all();
      flushed.build_tree();
      drift(a, b, random, keys, 50);
    }
    SessionOptions options;
    options.salt = seed;
    options.expect_difference = seed % 2 == 0;
    const Session session = run_to_end(a, b, options);
    REQUIRE(session.initiator->progress() == 1);
    require_equal(a, b);
    REQUIRE(rows_in_vain(session) == 0);
  }
}

TEST_CASE("an empty replica receives everything, and a full one answers an empty one") {
  for (const bool empty_starts : {true, false}) {
    MapReplica full({1});
    MapReplica empty({2});
    for (std::uint64_t i = 0; i < 3000; ++i) full.write(key(i), "value");
    const Session session = empty_starts ? run_to_end(empty, full) : run_to_end(full, empty);
    CHECK(session.initiator->outcome() == Outcome::repaired);
    require_equal(full, empty);
    CHECK(rows_in_vain(session) == 0);
    CHECK(session.messages.size() <= 4);
  }
}

TEST_CASE("small limits need more turns, not more luck") {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    INFO("seed " << seed);
    Random random(seed);
    MapReplica a({1});
    MapReplica b({2});
    drift(a, b, random, 500, 1500);
    SessionOptions options;
    options.initiator.ranges_per_message = 2;
    options.initiator.row_bytes_per_message = 1;
    options.responder.ranges_per_message = seed % 2 == 0 ? 3 : 1000;
    options.responder.row_bytes_per_message = 100;
    const Session session = run_to_end(a, b, options);
    require_equal(a, b);
    CHECK(rows_in_vain(session) == 0);
  }
}

TEST_CASE("a session whose work outgrows its limit ends incomplete on both sides and joins no clock") {
  MapReplica a({1});
  MapReplica b({2});
  Random random(3);
  drift(a, b, random, 2000, 4000);
  const Clock clock_a = a.clock();
  const Clock clock_b = b.clock();
  SessionOptions options;
  options.responder.work_max = 5;
  const Session session = run(a, b, options);
  CHECK_FALSE(session.error);
  CHECK(session.initiator->outcome() == Outcome::incomplete);
  CHECK(session.responder->outcome() == Outcome::incomplete);
  CHECK((a.clock() == clock_a));
  CHECK((b.clock() == clock_b));
}

TEST_CASE("a FLUSHALL is passed on instead of comparing, in both directions") {
  for (const bool flushed_starts : {true, false}) {
    MapReplica a({1});
    MapReplica b({2});
    for (std::uint64_t i = 0; i < 100; ++i) a.write(key(i), "v");
    run_to_end(a, b);
    a.flush_all();
    a.build_tree();
    const Session session = flushed_starts ? run(a, b) : run(b, a);
    CHECK(session.messages.size() == 3);
    CHECK(session.initiator->outcome() == Outcome::cleared);
    CHECK(session.responder->outcome() == Outcome::cleared);
    b.build_tree();
    CHECK(b.rows().empty());
    CHECK((a.root() == b.root()));
  }
}

TEST_CASE("a FLUSHALL in the middle of a session ends it without a join") {
  for (std::size_t at = 0; at < 4; ++at) {  // The initiator ends with its message 4.
    INFO("before message " << at);
    MapReplica a({1});
    MapReplica b({2});
    Random random(5);
    drift(a, b, random, 500, 1000);
    const Clock clock_b = b.clock();
    std::size_t message = 0;
    bool flushed = false;
    SessionOptions options;
    options.initiator.ranges_per_message = 10;
    options.between = [&] {
      if (message++ != at) return;
      a.flush_all();
      flushed = true;
    };
    const Session session = run(a, b, options);
    REQUIRE_FALSE(session.error);
    REQUIRE(flushed);
    CHECK(session.initiator->finished());
    CHECK(session.initiator->outcome() == Outcome::cleared);
    CHECK(session.responder->outcome() == Outcome::cleared);
    CHECK((b.clock() == clock_b));
    a.build_tree();
    b.build_tree();
    run_to_end(a, b);
    require_equal(a, b);
  }
}

TEST_CASE("a clock never covers what is not in the rows, although both sides write meanwhile") {
  int repaired = 0;
  for (std::uint64_t seed = 1; seed <= 80; ++seed) {
    INFO("seed " << seed);
    Random random(seed);
    MapReplica replicas[] = {MapReplica({1}), MapReplica({2}), MapReplica({3})};
    History history;
    const std::uint64_t keys = 1 + random() % 150;
    const auto disturb = [&] {
      for (std::uint64_t i = random() % 8; i > 0; --i) history.write(replicas[random() % 3], random, keys);
      for (std::uint64_t i = random() % 4; i > 0; --i) {  // Rows stream between all of them.
        const std::uint64_t from = random() % 3;
        send_row(replicas[from], replicas[(from + 1 + random() % 2) % 3],
                 string_row_key(key(random() % keys), test_hash_keys()));
      }
    };
    for (int round = 0; round < 12; ++round) {
      for (int i = 0; i < 20; ++i) disturb();
      const std::uint64_t from = random() % 3;
      SessionOptions options;
      options.salt = random();
      options.expect_difference = random() % 2 == 0;
      options.between = disturb;
      if (seed % 2 == 0) {
        options.initiator.ranges_per_message = 3;
        options.responder.row_bytes_per_message = 200;
      }
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
  CHECK(repaired > 500);
}

TEST_CASE("a comparison lists exactly what differs and changes nothing") {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    INFO("seed " << seed);
    Random random(seed);
    MapReplica a({1});
    MapReplica b({2});
    const std::uint64_t keys = 1 + random() % 600;
    if (seed != 1) drift(a, b, random, keys, static_cast<int>(random() % 2000));
    if (seed == 2) a.flush_all(), a.build_tree();
    if (seed > 20) {
      MapReplica& longer = seed % 2 == 0 ? a : b;
      for (std::uint64_t i = 0; i < 1000; ++i) longer.write("more" + key(i), "v");
    }
    const auto rows_a = a.rows();
    const auto rows_b = b.rows();
    const Clock clock_a = a.clock();
    const Clock clock_b = b.clock();
    std::map<std::string, int> expected;
    for (const auto& [row_key, digest] : digests(a)) {
      if (b.digest_of(row_key) != digest) expected[row_key] |= 1;
    }
    for (const auto& [row_key, digest] : digests(b)) {
      if (a.digest_of(row_key) != digest) expected[row_key] |= 2;
    }
    SessionOptions options;
    options.initiator.mode = ExchangeMode::compare;
    if (seed % 3 == 0) options.initiator.ranges_per_message = 3;
    const Session session = run(a, b, options);
    REQUIRE_FALSE(session.error);
    REQUIRE(session.initiator->outcome() == Outcome::compared);
    REQUIRE(session.responder->outcome() == Outcome::compared);
    CHECK((a.rows() == rows_a && b.rows() == rows_b && a.clock() == clock_a && b.clock() == clock_b));
    const auto& found = session.initiator->differences();
    REQUIRE(found.size() == expected.size());
    REQUIRE(session.initiator->differences_found() == expected.size());
    for (const Difference& difference : found) {
      REQUIRE(expected.contains(difference.row_key));
      const int sides = (difference.mine ? 1 : 0) | (difference.theirs ? 2 : 0);
      REQUIRE(sides == expected[difference.row_key]);
      REQUIRE(string_row_key(difference.key, a.hash_keys()) == difference.row_key);
      if (difference.mine) REQUIRE(difference.mine->version == a.rows().at(difference.row_key).version());
      if (difference.theirs) {
        const RegisterRow& row = b.rows().at(difference.row_key);
        REQUIRE(difference.theirs->version == row.version());
        REQUIRE(difference.theirs->stamp == row.greatest_stamp());
        if (!row.counter().latest_expiry()) REQUIRE(difference.theirs->content == row.winner()->content);
        if (row.winner()) REQUIRE(difference.theirs->value_bytes == row.winner()->value.size());
      }
    }
  }
}

TEST_CASE("who rejoins comes to an end although a key is written all the while") {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    INFO("seed " << seed);
    Random random(seed);
    MapReplica late({1}), peer({2});
    for (int i = 0; i < 300; ++i) write_something(peer, random, 100);
    run_to_end(late, peer);
    for (int i = 0; i < 300; ++i) write_something(peer, random, 100);
    peer.purge(peer.clock());
    SessionOptions options;
    options.initiator.mode = ExchangeMode::fence;
    options.initiator.fence = peer.clock();
    options.messages_max = 40;
    std::map<std::string, std::string> wrote;
    options.between = [&] {
      const std::string hot = key(random() % 3);
      late.write(hot, wrote[hot] = std::to_string(random()));
      late.add("counter", 1);
    };
    const Session session = run(late, peer, options);
    REQUIRE_FALSE(session.error);
    REQUIRE(session.initiator->finished());
    run_to_end(late, peer);
    require_equal(late, peer);
    for (const auto& [name, value] : wrote) {
      const auto row = late.rows().find(string_row_key(name, late.hash_keys()));
      REQUIRE(row != late.rows().end());
      const auto& siblings = row->second.siblings();
      REQUIRE(
          std::any_of(siblings.begin(), siblings.end(), [&](const Sibling& s) { return s.value == value; }));
    }
  }
}

// One replica lags behind a line that its peer has come to: what was deleted there, and what superseded the
// values that it still shows, is known nowhere any more.
TEST_CASE("who rejoins drops what was purged, and shows a key all the while that the peer shows") {
  for (unsigned seed = 1; seed <= 60; ++seed) {
    INFO("seed " << seed);
    Random random(seed);
    MapReplica late({1}), peer({2});
    constexpr std::uint64_t keys = 300;
    for (int i = 0; i < 400; ++i) write_something(peer, random, keys);
    run_to_end(late, peer);
    for (int i = 0; i < 300; ++i) write_something(peer, random, keys);
    peer.purge(peer.clock());
    const auto before = late.rows();
    late.write("mine", "above the line");

    SessionOptions options;
    options.initiator.mode = ExchangeMode::fence;
    options.initiator.fence = peer.clock();
    options.initiator.ranges_per_message = options.responder.ranges_per_message = 1 + random() % 40;
    options.responder.row_bytes_per_message = 1 + random() % 500;
    options.units = 1 + random() % 2000;
    const auto shows_all = [&] {
      for (const auto& [row_key, row] : before) {
        if (peer.rows().contains(row_key) && !late.rows().contains(row_key)) return false;
      }
      return true;
    };
    options.between_steps = [&] { REQUIRE(shows_all()); };
    const Session session = run(late, peer, options);
    REQUIRE_FALSE(session.error);
    REQUIRE(session.initiator->outcome() == Outcome::compared);
    REQUIRE(shows_all());
    for (const auto& [row_key, row] : before) {
      REQUIRE(late.digest_of(row_key) == peer.digest_of(row_key));
    }
    REQUIRE(late.rows().contains(string_row_key("mine", late.hash_keys())));
    const auto in_place = std::count_if(before.begin(), before.end(), [&](const auto& entry) {
      const auto row = peer.rows().find(entry.first);
      return row != peer.rows().end() && row->second.version() != entry.second.version();
    });
    REQUIRE(session.responder->stats().rows_sent <= static_cast<std::uint64_t>(in_place));
    run_to_end(late, peer);
    require_equal(late, peer);
  }
}

TEST_CASE("a comparison counts the differences beyond those it lists") {
  MapReplica a({1});
  MapReplica b({2});
  for (std::uint64_t i = 0; i < 200; ++i) b.write(key(i), "v");
  SessionOptions options;
  options.initiator.mode = ExchangeMode::compare;
  options.initiator.differences_max = 50;
  const Session session = run(a, b, options);
  CHECK(session.initiator->differences().size() == 50);
  CHECK(session.initiator->differences_found() == 200);
}

TEST_CASE("a side whose peer vanishes has whole rows, a true tree and its own clock") {
  for (std::size_t messages = 0; messages < 9; ++messages) {
    MapReplica a({1});
    MapReplica b({2});
    Random random(9);
    drift(a, b, random, 800, 2000);
    const Clock clock_a = a.clock();
    const Clock clock_b = b.clock();
    SessionOptions options;
    options.messages_max = messages;
    options.initiator.ranges_per_message = 100;
    const Session session = run(a, b, options);
    CHECK(tree_is_true(a));
    CHECK(tree_is_true(b));
    if (!session.initiator->finished()) CHECK((a.clock() == clock_a));
    if (!session.responder->finished()) CHECK((b.clock() == clock_b));
    run_to_end(a, b);
    require_equal(a, b);
  }
}

TEST_CASE("rows that cannot be read end the session with that error") {
  MapReplica a({1});
  MapReplica b({2});
  Random random(9);
  drift(a, b, random, 100, 300);
  SessionOptions options;
  options.between = [&] { b.fail_reads = true; };
  const Session session = run(a, b, options);
  REQUIRE(session.error);
  CHECK(session.error->code == ErrorCode::io);
  CHECK(session.responder->outcome() == Outcome::incomplete);
}

namespace {

// Plays a session in which one message is damaged. Whatever it has become, both sides stay whole.
void play_damaged(std::uint64_t world, bool only_compare, const SessionOptions& damaged) {
  MapReplica a({1});
  MapReplica b({2});
  Random random(world);
  drift(a, b, random, 60, 200);
  SessionOptions options = damaged;
  options.initiator.mode = only_compare ? ExchangeMode::compare : ExchangeMode::repair;
  options.initiator.ranges_per_message = 4;
  options.messages_max = 2000;
  const Session session = run(a, b, options);
  REQUIRE(session.messages.size() < options.messages_max);
  REQUIRE(tree_is_true(a));
  REQUIRE(tree_is_true(b));
}

}  // namespace

TEST_CASE("a damaged message ends in an error or a session, never in a crash or a loop") {
  for (const bool only_compare : {false, true}) {
    MapReplica a({1});
    MapReplica b({2});
    Random world(1);
    drift(a, b, world, 60, 200);
    SessionOptions options;
    options.initiator.mode = only_compare ? ExchangeMode::compare : ExchangeMode::repair;
    options.initiator.ranges_per_message = 4;
    const auto recorded = run(a, b, options).messages;
    REQUIRE(recorded.size() > 4);
    Random random(2);
    for (std::size_t message = 0; message < recorded.size(); ++message) {
      const std::size_t size = recorded[message].size();
      for (std::size_t keep = 0; keep < size; keep += 1 + size / 60) {
        SessionOptions damaged;
        damaged.damage = [&](std::size_t index, std::string& bytes) {
          if (index == message) bytes.resize(std::min(bytes.size(), keep));
        };
        play_damaged(1, only_compare, damaged);
      }
      for (int flips = 0; flips < 60; ++flips) {
        SessionOptions damaged;
        damaged.damage = [&](std::size_t index, std::string& bytes) {
          for (std::uint64_t i = random() % 4; i > 0 && index == message; --i) {
            bytes[random() % bytes.size()] = static_cast<char>(random());
          }
        };
        play_damaged(1, only_compare, damaged);
      }
    }
  }
}

TEST_CASE("a truncated message is refused") {
  MapReplica a({1});
  MapReplica b({2});
  Random world(1);
  drift(a, b, world, 60, 200);
  const std::string open = Exchange::initiate(a, {}, 1, true)->open(now);
  for (std::size_t keep = 0; keep < open.size(); ++keep) {
    auto responder = Exchange::respond(b, {});
    const auto reply = reply_to(*responder, std::string_view(open).substr(0, keep));
    REQUIRE_FALSE(reply);
    CHECK(reply.error().code == ErrorCode::bad_input);
    CHECK(responder->outcome() == Outcome::incomplete);
  }
}

TEST_CASE("a peer that always has work and never does any is refused") {
  MapReplica a({1});
  MapReplica b({2});
  a.write("k", "v");
  auto initiator = Exchange::initiate(a, {}, 1, true);
  initiator->open(now);
  const std::string idle("\x02\x00\x00\xff\xff", 5);
  REQUIRE(reply_to(*initiator, idle));
  const auto second = reply_to(*initiator, idle);
  REQUIRE_FALSE(second);
  CHECK(second.error().code == ErrorCode::bad_input);
}

TEST_CASE("a peer that asks for everything, over and over, is refused in the end") {
  MapReplica a({1});
  for (std::uint64_t i = 0; i < 40; ++i) a.write(key(i), "v");
  auto responder = Exchange::respond(a, {});
  MapReplica b({2});
  auto message = reply_to(*responder, Exchange::initiate(b, {}, 1, false)->open(now));
  std::string circles("\x02\x00\x10\xff\xff\x80\x80\x01", 8);  // 2^14 times the children of something.
  for (unsigned i = 0; i < 1U << 14; ++i) {
    circles += '\x04';
    circles += static_cast<char>(i >> 8);
    circles += static_cast<char>(i);
    circles += std::string(96, '\x01');
  }
  for (int turn = 0; message && turn < 100; ++turn) message = reply_to(*responder, circles);
  REQUIRE_FALSE(message);
  CHECK(message.error().code == ErrorCode::bad_input);
}

TEST_CASE("messages that have no place in a session are refused") {
  MapReplica a({1});
  MapReplica b({2});
  a.write("k", "v");
  const std::string open = Exchange::initiate(b, {}, 1, true)->open(now);
  auto responder = Exchange::respond(a, {});
  CHECK_FALSE(reply_to(*responder, std::string("\x02\x00\x01", 3)));  // A turn before the opening.
  responder = Exchange::respond(a, {});
  REQUIRE(reply_to(*responder, open));
  if (!responder->finished()) CHECK_FALSE(reply_to(*responder, open));
  CHECK_FALSE(reply_to(*responder, open));  // It is over.
  auto initiator = Exchange::initiate(a, {}, 1, true);
  initiator->open(now);
  CHECK_FALSE(reply_to(*initiator, open));
  // Versions of a list that was not sent: flags, done | one part: root, nothing missing, no rows.
  initiator = Exchange::initiate(a, {}, 1, true);
  initiator->open(now);
  CHECK_FALSE(reply_to(*initiator, std::string("\x02\x00\x41\x01\x00\x00\x00", 7)));
}
