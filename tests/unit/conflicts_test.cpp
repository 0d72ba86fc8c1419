#include "store/conflicts.h"

#include <catch2/catch.hpp>

#include "unit/host.h"
#include "unit/redis_talk.h"

using namespace knit;
using test::Door;
using test::Host;
using test::Talk;

namespace {

// Brings what one host holds under a key to another one, as an exchange would.
void ship(const Host& from, Host& to, std::string_view key) {
  const std::string row_key = string_row_key(key, from.store->hash_keys());
  const auto body = from.store->body_of(row_key);
  REQUIRE(body);
  REQUIRE(to.store->merge_row(row_key, std::string(*body), test::now));
}

void remove(Host& host, std::string_view key) { REQUIRE(host.keyspace->remove(key, test::now)); }

}  // namespace

TEST_CASE("writes that followed each other are no conflict") {
  Host a(1), b(2);
  a.set("k", "one");
  ship(a, b, "k");
  b.set("k", "two");
  ship(b, a, "k");
  remove(a, "k");
  ship(a, b, "k");
  for (const Host* host : {&a, &b}) {
    CHECK(host->store->conflicts().of_writes() == 0);
    CHECK(host->store->conflicts().of_deletes() == 0);
  }
}

TEST_CASE("concurrent writes are counted once on each node that they meet on") {
  Host a(1), b(2);
  a.set("k", "of a");
  b.set("k", "of b");
  ship(a, b, "k");
  ship(a, b, "k");
  ship(b, a, "k");
  ship(b, a, "k");
  for (const Host* host : {&a, &b}) {
    const Conflicts& conflicts = host->store->conflicts();
    CHECK(conflicts.of_writes() == 1);
    REQUIRE(conflicts.recent().size() == 1);
    CHECK(conflicts.recent().front().key == "k");
    CHECK(conflicts.recent().front().winner.value == "of b");
    CHECK(conflicts.recent().front().loser.value == "of a");
  }
}

TEST_CASE("a delete against a write counts as one, two deletes do not") {
  Host a(1), b(2);
  a.set("k", "value");
  ship(a, b, "k");
  remove(a, "k");
  b.set("k", "again");
  ship(b, a, "k");
  CHECK(a.store->conflicts().of_deletes() == 1);
  CHECK(a.store->conflicts().of_writes() == 0);
  a.set("both", "value");
  ship(a, b, "both");
  remove(a, "both");
  remove(b, "both");
  ship(b, a, "both");
  CHECK(a.store->conflicts().of_deletes() == 1);
}

TEST_CASE("the last conflicts are remembered, with the beginning of large values") {
  Host a(1), b(2);
  for (int i = 0; i < 200; ++i) {
    const std::string key = "k" + std::to_string(i);
    a.set(key, std::string(1000, 'a'));
    b.set(key, std::string(2000, 'b'));
    ship(b, a, key);
  }
  const Conflicts& conflicts = a.store->conflicts();
  CHECK(conflicts.of_writes() == 200);
  CHECK(conflicts.recent().size() == Conflicts::recent_max);
  CHECK(conflicts.recent().back().key == "k199");
  CHECK(conflicts.recent().back().winner.value.size() == Conflicts::value_bytes_max);
  CHECK(conflicts.recent().back().winner_bytes + conflicts.recent().back().loser_bytes == 3000);
}

TEST_CASE("KNIT RESOLVE replaces what its context names, and nothing that came since") {
  Door door;
  Talk talk(door);
  Host b(2), c(3);
  talk("SET k mine");
  b.set("k", "of-b");
  ship(b, door.host, "k");
  const std::string seen = talk("KNIT SIBLINGS k");
  const std::size_t at = seen.find("context\r\n");
  REQUIRE(at != std::string::npos);
  const std::size_t begin = seen.find("\r\n", at + 9) + 2;
  const std::string context = seen.substr(begin, seen.find("\r\n", begin) - begin);
  c.set("k", "of-c");
  ship(c, door.host, "k");
  CHECK(talk("KNIT RESOLVE k " + context + " merged") == "+OK\r\n");
  const std::string left = talk("KNIT SIBLINGS k");
  CHECK(left.find("merged") != std::string::npos);
  CHECK(left.find("of-c") != std::string::npos);
  CHECK(left.find("of-b") == std::string::npos);
  CHECK(left.find("mine") == std::string::npos);
  ship(door.host, b, "k");
  CHECK(b.keyspace->siblings("k")->size() == 2);
}

TEST_CASE("keys that the application resolves are neither read nor written while they have several values") {
  RedisOptions options;
  options.resolved_prefixes = {"cart:"};
  Door door(options);
  Talk talk(door);
  Host b(2);
  for (const char* key : {"cart:1", "other"}) {
    talk("SET " + std::string(key) + " mine");
    b.set(key, "of-b");
    ship(b, door.host, key);
  }
  const std::string refused =
      "-CONFLICT 2 concurrent writes of this key must be resolved first: see KNIT SIBLINGS and KNIT "
      "RESOLVE\r\n";
  for (const char* command :
       {"GET cart:1", "SET cart:1 v", "DEL cart:1", "APPEND cart:1 v", "EXPIRE cart:1 100", "INCR cart:1",
        "INCRBYFLOAT cart:1 1", "GETRANGE cart:1 0 1"})
    CHECK(talk(command) == refused);
  CHECK(talk("EXISTS cart:1") == ":1\r\n");
  CHECK(talk("GET other") == "$4\r\nof-b\r\n");
  CHECK(talk("SET other v") == "+OK\r\n");
  const auto siblings = door.host.keyspace->siblings("cart:1");
  REQUIRE(siblings->size() == 2);
  const std::string context = to_string(siblings->at(0).dot) + "," + to_string(siblings->at(1).dot);
  CHECK(talk("KNIT RESOLVE cart:1 " + context + " both") == "+OK\r\n");
  CHECK(talk("GET cart:1") == "$4\r\nboth\r\n");
  CHECK(talk("DEL cart:1") == ":1\r\n");
}

TEST_CASE("increments beside concurrent values lock no key") {
  RedisOptions options;
  options.resolved_prefixes = {"cart:"};
  Door door(options);
  Talk talk(door);
  Host b(2), c(3);
  talk("INCR cart:1");
  ship(door.host, b, "cart:1");
  ship(door.host, c, "cart:1");
  SECTION("that the values have reset") {
    b.set("cart:1", "of-b");
    c.set("cart:1", "of-c");
    ship(b, door.host, "cart:1");
    ship(c, door.host, "cart:1");
    CHECK(talk("GET cart:1").starts_with("-CONFLICT"));
    const auto siblings = door.host.keyspace->siblings("cart:1");
    REQUIRE(siblings->size() == 2);
    const std::string context = to_string(siblings->at(0).dot) + "," + to_string(siblings->at(1).dot);
    CHECK(talk("KNIT RESOLVE cart:1 " + context + " both") == "+OK\r\n");
    CHECK(talk("GET cart:1") == "$4\r\nboth\r\n");
  }
  SECTION("that the values have not seen") {
    b.set("cart:1", "of-b");
    c.set("cart:1", "of-c");
    talk("INCR cart:1");
    ship(b, door.host, "cart:1");
    ship(c, door.host, "cart:1");
    CHECK_FALSE(talk("GET cart:1").starts_with("-CONFLICT"));
    CHECK(talk("SET cart:1 v") == "+OK\r\n");
    CHECK(talk("GET cart:1") == "$1\r\nv\r\n");
  }
}

TEST_CASE("a delete or an expired value against a write is to be resolved, two that show nothing are not") {
  RedisOptions options;
  options.resolved_prefixes = {""};
  Door door(options);
  Talk talk(door);
  Host b(2);
  talk("SET k v");
  ship(door.host, b, "k");
  remove(b, "k");
  talk("SET k newer");
  ship(b, door.host, "k");
  CHECK(talk("GET k").starts_with("-CONFLICT 2 "));
  talk("SET e v");
  b.set("e", "short", Expiry{test::now.millis + 10});
  ship(b, door.host, "e");
  CHECK(talk("GET e").starts_with("-CONFLICT 2 "));
  door.now.wall.millis += 10;
  CHECK(talk("GET e").starts_with("-CONFLICT 2 "));
  talk("SET d v");
  ship(door.host, b, "d");
  remove(b, "d");
  talk("DEL d");
  ship(b, door.host, "d");
  CHECK(talk("GET d") == "$-1\r\n");
  CHECK(talk("SET d v") == "+OK\r\n");
}

TEST_CASE("a context that cannot be understood, and a counter, are refused") {
  Door door;
  Talk talk(door);
  for (const char* context :
       {"x", "1:1", "0000000000000001:", "0000000000000001:1,", ",", "0000000000000001:01"})
    CHECK(talk("KNIT RESOLVE k " + std::string(context) + " v") ==
          "-ERR expected the context that KNIT SIBLINGS showed\r\n");
  talk("INCR n");
  CHECK(talk("KNIT RESOLVE n 0000000000000001:1 v").find("the key is a counter") != std::string::npos);
}

TEST_CASE("KNIT CONFLICTS counts, and lists as many as are asked for") {
  Door door;
  Talk talk(door);
  Host b(2);
  for (const char* key : {"k1", "k2"}) {
    talk("SET " + std::string(key) + " mine");
    b.set(key, "theirs");
    ship(b, door.host, key);
  }
  const std::string all = talk("KNIT CONFLICTS");
  CHECK(all.find("of_writes\r\n:2\r\n") != std::string::npos);
  CHECK(all.find("k1") < all.size());
  CHECK(all.find("k2") < all.find("k1"));
  const std::string one = talk("KNIT CONFLICTS LIMIT 1");
  CHECK(one.find("k1") == std::string::npos);
  CHECK(talk("KNIT CONFLICTS LIMIT x").starts_with("-ERR value is not an integer"));
  CHECK(talk("KNIT CONFLICTS ALL").starts_with("-ERR syntax error"));
}
