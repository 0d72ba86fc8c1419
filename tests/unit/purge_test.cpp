// What vanishes from two nodes because both have come to a line: store/store_purge.cpp, node/node_floor.cpp.
#include <catch2/catch.hpp>
#include <map>

#include "unit/node_pair.h"

using namespace knit;
using namespace std::chrono_literals;
using test::Host;
using test::Pair;
using test::Side;

namespace {

struct Purging : Pair {
  Purging() {
    link({1}, a, b);
    run(8);
  }
  std::size_t rows() const {
    std::size_t rows = 0;
    for (const Side* side : {&a, &b}) rows += side->host.store->tree().total().count;
    return rows;
  }
  WallTime wall(const Side& side) const { return now_of(side).wall; }
  void set(Side& side, std::string_view key, Millis lives) {
    side.host.set(key, "v", Expiry{wall(side).millis + static_cast<std::uint64_t>(lives.count())});
  }
  // Both agree on a time that is an hour off.
  void purge_with_clocks_ahead() {
    for (Side* side : {&a, &b}) side->ahead = 1h;
    set(a, "short", 1s);
    run(60);
    REQUIRE(rows() == 0);
    REQUIRE(a.host.store->purged().expired > now().wall);
  }
  std::string get(Side& side, std::string_view key) { return side.host.get(key, wall(side)); }
};

}  // namespace

TEST_CASE("values that have expired vanish from all nodes, and others do not") {
  Purging pair;
  for (int i = 0; i < 20; ++i) pair.set(pair.a, "short" + std::to_string(i), 1s);
  pair.set(pair.b, "long", 1h);
  pair.a.host.set("ever", "v");
  pair.run(3);
  CHECK(pair.rows() == 2 * 22);
  pair.run(30);
  CHECK(pair.rows() == 2 * 2);
  CHECK(pair.equal());
  CHECK(pair.get(pair.a, "long") == "v");
  CHECK(pair.a.host.store->purged_rows() == 20);
  CHECK(pair.a.host.store->key_count(pair.wall(pair.a)) == 2);
  CHECK(pair.a.host.proven());
}

TEST_CASE("a purge gives way to what peers have written, but not for long") {
  NodeOptions options = test::streaming_to(8);
  options.stream.items_per_turn = 1;
  Pair pair(options);
  Host& host = pair.b.host;
  host.set("deleted", "v");
  REQUIRE(host.keyspace->remove("deleted", test::now));
  pair.link({1}, pair.a, pair.b);
  pair.run(8);
  for (int i = 0; i < 10; ++i) pair.a.host.set("key" + std::to_string(i), "v");
  pair.tick(200ms);
  while (pair.deliver(pair.a, pair.b)) {
  }
  REQUIRE(host.get("key9") == "(nil)");  // It waits.
  host.set("deleted", "v");
  REQUIRE(host.keyspace->remove("deleted", test::now));
  host.store->purge_to({host.store->clock(), {}});
  REQUIRE(host.store->has_to_purge());

  Outbox out;
  const auto come_to = [&](Millis later, auto act) {
    pair.time += later;
    act(pair.now());
    return pair.b.node->has_work();
  };
  const auto push = [&](Now now) { pair.b.node->push(now, out); };
  const auto tick = [&](Now now) { pair.b.node->on_tick(now, out); };
  CHECK_FALSE(come_to(0ms, push));
  CHECK_FALSE(come_to(4s, tick));
  SECTION("it goes on when they are taken") {
    while (host.get("key9") == "(nil)") push(pair.now());
    CHECK(pair.b.node->has_work());
  }
  SECTION("it goes on when it has waited for long, until it is done") {
    CHECK(come_to(2s, tick));
    host.work();
    CHECK_FALSE(host.store->has_to_purge());
  }
}

TEST_CASE("few that have expired are purged too, a while later") {
  Purging pair;
  for (int i = 0; i < 100; ++i) pair.a.host.set("key" + std::to_string(i), "v");
  for (int round = 0; round < 3; ++round) {
    pair.set(pair.b, "short", 1s);
    pair.run(100);  // 20 seconds.
    CHECK(pair.rows() == 2 * 100);
  }
}

TEST_CASE("a row remembers no writers of long ago") {
  Purging pair;
  for (int round = 0; round < 3; ++round) {
    for (Side* side : {&pair.a, &pair.b}) {
      side->host.set("key", "v");
      pair.run(20);
    }
  }
  for (Side* side : {&pair.a, &pair.b}) CHECK(side->host.store->read("key")->row.context().empty());
  pair.a.host.set("key", "w");
  CHECK(pair.a.host.store->read("key")->row.context().entries().size() == 1);
  pair.run(1);
  CHECK(pair.b.host.get("key") == "w");
  CHECK(pair.b.host.store->read("key")->row.context().entries().size() == 1);
}

TEST_CASE("nothing is told while nothing expires") {
  Purging pair;
  pair.set(pair.a, "short", 1s);
  pair.set(pair.b, "long", 1h);
  pair.run(100);
  REQUIRE(pair.rows() == 2);
  for (int i = 0; i < 100; ++i) {
    pair.tick(200ms);
    CHECK(pair.a.sent.empty());
    CHECK(pair.b.sent.empty());
  }
}

TEST_CASE("what has not expired by every clock stays") {
  Purging pair;
  pair.b.ahead = -60s;
  pair.set(pair.a, "key", 1s);
  pair.run(200);  // 40 seconds.
  CHECK(pair.rows() == 2);
  CHECK(pair.get(pair.b, "key") == "v");
  pair.run(200);
  CHECK(pair.rows() == 0);
}

TEST_CASE("a clock that is far ahead neither purges nor keeps the others from it") {
  Purging pair;
  pair.b.ahead = 1h;
  pair.set(pair.a, "key", 10min);
  pair.set(pair.a, "short", 1s);
  pair.run(200);
  CHECK(pair.rows() == 2);
  CHECK(pair.get(pair.a, "key") == "v");
  CHECK(pair.get(pair.a, "short") == "(nil)");
}

TEST_CASE("counters that were deleted, and those that have expired, vanish") {
  Purging pair;
  for (Side* side : {&pair.a, &pair.b}) {
    REQUIRE(side->host.keyspace->add("deleted", 5, pair.wall(*side)));
    REQUIRE(side->host.keyspace->add("limit", 1, pair.wall(*side)));
    REQUIRE(side->host.keyspace->add("kept", 1, pair.wall(*side)));
  }
  pair.run(2);
  const WallTime wall = pair.wall(pair.a);
  REQUIRE(pair.a.host.keyspace->remove("deleted", wall));
  REQUIRE(pair.a.host.keyspace->set_expiry("limit", Expiry{wall.millis + 1000}, wall));
  REQUIRE(pair.a.host.keyspace->add("limit", 1, wall));  // A component that expires.
  pair.run(60);
  CHECK(pair.rows() == 2);
  CHECK(pair.get(pair.b, "kept") == "2");
  REQUIRE(pair.b.host.keyspace->add("deleted", 7, pair.wall(pair.b)));
  REQUIRE(pair.a.host.keyspace->add("limit", 1, pair.wall(pair.a)));
  pair.run(10);
  CHECK(pair.equal());
  CHECK(pair.get(pair.a, "deleted") == "7");
  CHECK(pair.get(pair.b, "limit") == "1");
}

TEST_CASE("an expiry that was put off in time holds, although another node believed it over") {
  Purging pair;
  pair.set(pair.a, "key", 1s);
  pair.run(2);
  const WallTime wall = pair.wall(pair.b);
  REQUIRE(pair.b.host.keyspace->set_expiry("key", Expiry{wall.millis + 3'600'000}, wall));
  for (int i = 0; i < 50; ++i) pair.tick(200ms);  // Nothing arrives.
  CHECK(pair.rows() == 2);
  CHECK(pair.get(pair.a, "key") == "(nil)");
  pair.run(50);
  CHECK(pair.rows() == 2);
  CHECK(pair.get(pair.a, "key") == "v");
}

TEST_CASE("a start finds what had expired, and was not purged when the process ended") {
  Purging pair;
  pair.set(pair.a, "short", 1s);
  pair.a.host.set("ever", "v");
  pair.run(2);
  Side& side = pair.b;
  Line line{Clock::common_bases(side.host.store->clock(), side.host.store->clock()),
            {pair.wall(side).millis + 5000}};
  REQUIRE(side.host.store->raise_floor(line));
  side.host.store->purge_to(line);
  while (side.host.store->purged() != line) REQUIRE(side.host.store->work(1, pair.wall(side)));
  REQUIRE(side.host.store->purged_rows() == 0);  // The line is told, the pass to come.
  side.host.commit();
  side.node.reset();
  side.host.clock = line.expired;
  side.host.open();
  CHECK(side.host.store->purged() == line);
  CHECK(side.host.store->tree().total().count == 1);
  CHECK(side.host.get("ever") == "v");
}

TEST_CASE("lines of a data directory from before they had a time are read") {
  test::Host host(1);
  host.set("key", "v");
  const Line line{host.store->clock(), {}};
  REQUIRE(host.store->raise_floor(line));
  host.commit();
  std::string value, record;
  ByteWriter out(value);
  line.clock.encode(out);
  Clock{}.encode(out);
  ByteWriter(record).u64(checksum(value, checksum("floor")));
  host.disk.of(Table::meta).at("floor") = record + value;
  host.open();
  CHECK(host.store->floor() == line);
}

TEST_CASE("an expired value gives way to a write that was made where it was purged") {
  for (const bool below : {false, true}) {
    test::Host host(1);
    test::Host other(2);
    const WallTime later{test::now.millis + 3'600'000};
    REQUIRE(
        host.keyspace->set("key", "old", {.expiry = Expiry{later.millis + 1000}}, later));  // A high stamp.
    const Line line{host.store->clock(), {later.millis + (below ? 1000u : 999u)}};
    REQUIRE(host.store->raise_floor(line));
    other.set("key", "new");
    host.take_rows_of(other, {later.millis + 2000});
    CHECK(host.get("key", {later.millis + 2000}) == (below ? "new" : "(nil)"));
  }
}

TEST_CASE("an equal row whose context may go is merged without a write") {
  Purging pair;
  pair.b.host.set("key", "first");
  pair.run(2);
  pair.a.host.set("key", "second");
  pair.run(30);
  Store& store = *pair.b.host.store;
  const std::string row_key = string_row_key("key", store.hash_keys());
  const std::string body(store.body_of(row_key).value());
  REQUIRE_FALSE(decode_body(body)->row.context().empty());
  REQUIRE(store.read("key")->row.context().empty());
  const JournalPosition applied = store.applied();
  CHECK_FALSE(store.merge_row(row_key, body, pair.wall(pair.b)).value());
  CHECK(store.applied() == applied);
}

// While purges go on, what was found of a peer before holds: not for what was damaged since.
TEST_CASE("damage is forgotten when the peer shows the same root, not because it did before") {
  const auto key = [](int i) { return "key" + std::to_string(i); };
  for (int ticks = 0; ticks < 60; ++ticks) {
    Purging pair;
    Side &a = pair.a, &b = pair.b;
    for (int i = 0; i < 20; ++i) a.host.set(key(i), "v");
    pair.run(3);
    for (int i = 0; i < 10; ++i) REQUIRE(b.host.keyspace->remove(key(i), test::now));
    for (int i = 0; i < ticks; ++i) {
      pair.tick(50ms);
      pair.deliver(b, a);
      pair.deliver(a, b);
    }
    b.host.commit();
    b.host.disk.damage_row(19);
    for (int i = 0; i < 20; ++i) (void)b.host.keyspace->get(key(i), test::now);
    REQUIRE(b.host.store->has_damage());
    for (int i = 0; i < 5; ++i) pair.tick(250ms);  // No status comes: what is known is judged again.
    if (a.host.root() != b.host.root()) CHECK(b.host.store->has_damage());
    for (int i = 0; i < 400 && b.host.store->has_damage(); ++i) {
      pair.tick(50ms);
      while (b.host.store->has_damage() && (pair.deliver(a, b) || pair.deliver(b, a))) {
      }
    }
    CHECK_FALSE(b.host.store->has_damage());
    CHECK(a.host.root() == b.host.root());
  }
}

TEST_CASE("writes that a damaged journal has lost, and nobody has, hold no floor") {
  for (const bool peer_has_them : {false, true}) {
    Pair pair;
    test::Host& host = pair.a.host;
    host.commit();
    for (const char* key : {"first", "second", "third"}) host.set(key, "v");
    REQUIRE(host.journal.sync());
    if (peer_has_them) pair.b.host.take_rows_of(host);
    pair.a.node.reset();
    REQUIRE(host.journal.damage(1));  // The second record.
    host.options.fresh.actor = {101};
    host.open();
    REQUIRE(host.store->identity().retired == std::vector{ActorId{100}});
    REQUIRE_FALSE(host.store->clock().covers({{100}, 2}));
    NodeOptions options;
    options.name = options.address = "a";
    pair.a.node.emplace(options, *host.store, 1);
    pair.link({1}, pair.a, pair.b);
    pair.run(8);
    CHECK(pair.a.host.store->clock().covers({{100}, 2}) == peer_has_them);  // Not at once.
    pair.run(50);
    CHECK(pair.equal());
    CHECK(pair.a.noticed("has cost 1 writes") != peer_has_them);
    CHECK(host.get("second") == (peer_has_them ? "v" : "(nil)"));
    CHECK(host.get("third") == "v");
    for (Side* side : {&pair.a, &pair.b}) {
      CHECK(side->host.store->clock().base({100}) == 3);
      CHECK(side->host.store->purged().clock == side->host.store->clock());
    }
    host.commit();
    host.open();
    CHECK(host.store->identity().retired == std::vector{ActorId{100}});
  }
}

TEST_CASE("what all members had once, and none has now, holds no floor") {
  Purging pair;
  std::map<Side*, std::string> clocks;  // As they were before.
  for (Side* side : {&pair.a, &pair.b}) {
    side->host.commit();
    clocks[side] = side->host.disk.of(Table::meta).at("clock");
  }
  Clock once;
  once.add({777}, {1, 3});
  REQUIRE(pair.a.host.store->join_clock(once, test::now));
  pair.run(50);
  REQUIRE(pair.b.host.store->floor().clock.base({777}) == 3);
  for (Side* side : {&pair.a, &pair.b}) {
    side->node.reset();
    side->host.commit();
    side->host.disk.of(Table::meta).at("clock") = clocks[side];
    side->host.open();
    REQUIRE(side->host.store->clock().base({777}) == 0);
    NodeOptions options;
    options.name = options.address = side == &pair.a ? "a" : "b";
    side->node.emplace(options, *side->host.store, 1);
  }
  pair.link({2}, pair.a, pair.b);
  pair.run(100);
  for (Side* side : {&pair.a, &pair.b}) CHECK(side->host.store->clock().base({777}) == 3);
  CHECK(pair.equal());
}

TEST_CASE("a peer that says that all has expired is not believed") {
  Purging pair;
  pair.set(pair.a, "key", 1h);
  pair.a.host.set("ever", "v");
  pair.run(10);
  Status lie;
  const auto encoded = [](const Clock& clock) {
    std::string bytes;
    ByteWriter out(bytes);
    clock.encode(out);
    return bytes;
  };
  const std::string clock = encoded(pair.b.host.store->clock());
  lie.tree_complete = lie.clock_whole = true;
  lie.root = pair.b.host.root();
  lie.clock = lie.floor = lie.purged = clock;
  lie.time = pair.wall(pair.b);
  lie.expired = lie.floor_expired = lie.purged_expired = {~std::uint64_t{0}};
  Outbox out;
  pair.a.node->on_message({1}, Channel::control, encode(lie), pair.now(), out);
  for (int i = 0; i < 10; ++i) pair.tick(200ms);
  pair.run(10);
  CHECK(pair.rows() == 4);
  CHECK(pair.a.host.store->floor().expired <= pair.wall(pair.a));
}

TEST_CASE("lines that were agreed on by clocks that were ahead take nothing that is alive") {
  Purging pair;
  pair.purge_with_clocks_ahead();
  const bool both = GENERATE(true, false);  // Or one alone, whose lines are not those of the others then.
  if (!both) pair.b.host.store->forget_expired();
  for (Side* side : {&pair.a, &pair.b}) side->ahead = 0s;
  pair.set(pair.a, "key", 60s);
  REQUIRE(pair.b.host.keyspace->remove("nothing", pair.now().wall));
  pair.set(pair.b, "deleted", 60s);
  pair.run(5);
  REQUIRE(pair.b.host.keyspace->remove("deleted", pair.now().wall));
  pair.run(50);
  CHECK(pair.rows() == 2);
  CHECK(pair.get(pair.a, "key") == "v");
  CHECK(pair.get(pair.b, "key") == "v");
  CHECK(pair.equal());
  CHECK(pair.a.noticed("the clock was set back") != both);
  const Line& mine = pair.a.host.store->purged();
  const Line& theirs = pair.b.host.store->purged();
  CHECK(mine.clock == theirs.clock);
  CHECK((mine.expired <= pair.now().wall) != both);
}

TEST_CASE("where all clocks were ahead once, what expires afterwards goes all the same") {
  Purging pair;
  pair.purge_with_clocks_ahead();
  for (Side* side : {&pair.a, &pair.b}) side->ahead = 0s;
  for (int i = 0; i < 20; ++i) pair.set(pair.a, "short" + std::to_string(i), 5s);
  pair.set(pair.b, "long", 30min);
  CHECK(pair.b.host.store->key_count(pair.wall(pair.b)) == 1);
  pair.run(5);
  CHECK(pair.b.host.store->key_count(pair.wall(pair.b)) == 21);
  CHECK(pair.rows() == 2 * 21);
  pair.run(150);
  CHECK(pair.rows() == 2);
  CHECK(pair.equal());
  CHECK(pair.get(pair.a, "long") == "v");
}

TEST_CASE("what is said while a message is at work does not stand for it") {
  Purging pair;
  const auto hear = [&pair](Side& from, Side& to) {  // Without working on it.
    while (!from.sent.empty()) {
      from.host.commit();
      const Send send = std::move(from.sent.front());
      from.sent.pop_front();
      Outbox out;
      to.node->on_message(send.link, send.channel, send.message, pair.now(), out);
      to.node->push(pair.now(), out);
      to.take(out);
    }
  };
  const auto tick = [&pair](Side& side) {
    Outbox out;
    side.node->on_tick(pair.now(), out);
    side.node->push(pair.now(), out);
    side.take(out);
  };
  pair.begin_repair();
  hear(pair.a, pair.b);
  REQUIRE(pair.b.node->has_work());  // B reads what A is to be told, and does not come to an end.
  pair.a.host.set("key", "v");
  const Dot written{{100}, 1};
  tick(pair.a);
  hear(pair.a, pair.b);
  REQUIRE(pair.b.host.store->clock().covers(written));
  for (int i = 0; i < 20; ++i) {  // B tells its clock, and then that it is still at work.
    pair.time += 200ms;
    tick(pair.b);
    hear(pair.b, pair.a);
    tick(pair.a);
    hear(pair.a, pair.b);
    CHECK(pair.a.host.store->floor().clock.base({100}) == 0);
  }
  pair.run(10);
  CHECK(pair.a.host.store->floor().clock.base({100}) == 1);
}
