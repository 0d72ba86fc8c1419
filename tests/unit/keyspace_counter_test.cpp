// Counters as clients see them, on one node and between several.
#include <catch2/catch.hpp>
#include <limits>
#include <string>

#include "host.h"

using namespace knit;
using namespace knit::test;

namespace {

constexpr auto lowest = std::numeric_limits<std::int64_t>::min();
constexpr auto highest = std::numeric_limits<std::int64_t>::max();
constexpr WallTime later{now.millis + 1000};

std::string add(Host& host, std::string_view key, std::int64_t amount, WallTime at = now) {
  const auto sum = host.keyspace->add(key, amount, at);
  return sum ? std::to_string(*sum) : sum.error().message;
}

std::string add_decimal(Host& host, std::string_view key, std::string_view amount) {
  const auto sum = host.keyspace->add_decimal(key, amount, now);
  return sum ? *sum : sum.error().message;
}

void meet(Host& one, Host& other) {
  one.take_rows_of(other);
  other.take_rows_of(one);
  CHECK((one.root() == other.root()));
}

std::size_t components(Host& host, std::string_view key) {
  return host.store->read(key)->row.counter().components().size();
}

}  // namespace

TEST_CASE("an increment begins at 0 and answers the sum") {
  Host host(1);
  CHECK(add(host, "k", 1) == "1");
  CHECK(add(host, "k", 41) == "42");
  CHECK(add(host, "k", -50) == "-8");
  CHECK(host.get("k") == "-8");
  CHECK(components(host, "k") == 1);
  CHECK(host.keyspace->size(now) == 1);
  CHECK(host.keyspace->scan(0, 10, now)->keys == std::vector<std::string>{"k"});
  CHECK(host.proven());
}

TEST_CASE("an increment of nothing makes a key, and changes none") {
  Host host(1);
  CHECK(add(host, "k", 0) == "0");
  CHECK(host.get("k") == "0");
  const Clock clock = host.store->clock();
  CHECK(add(host, "k", 0) == "0");
  CHECK(host.store->clock() == clock);
}

TEST_CASE("what is no integer is not incremented, nor beyond 64 bits") {
  Host host(1);
  for (const char* text : {"word", "", "1.5", " 1", "01", "+1", "-0", "9223372036854775808"}) {
    INFO(text);
    host.set("k", text);
    CHECK(add(host, "k", 1) == "value is not an integer or out of range");
    CHECK(host.get("k") == text);
  }
  host.set("k", std::to_string(highest));
  CHECK(add(host, "k", 1) == "increment or decrement would overflow");
  CHECK(add(host, "k", lowest) == "-1");
  CHECK(add(host, "k", highest) == std::to_string(highest - 1));
  host.set("k", std::to_string(lowest));
  CHECK(add(host, "k", -1) == "increment or decrement would overflow");
}

TEST_CASE("decimal increments are exact") {
  Host host(1);
  CHECK(add_decimal(host, "k", "0.1") == "0.1");
  CHECK(add_decimal(host, "k", "0.2") == "0.3");
  CHECK(add_decimal(host, "k", "-0.3") == "0");
  CHECK(add_decimal(host, "k", "5.0e3") == "5000");
  CHECK(add(host, "k", 1) == "5001");
  CHECK(add_decimal(host, "k", "0.00000000000000001") == "5001.00000000000000001");
  CHECK(add(host, "k", 1) == "value is not an integer or out of range");
}

TEST_CASE("decimal increments beyond 128 bits are plain writes, and infinity is refused") {
  Host host(1);
  CHECK(add(host, "k", 1) == "1");
  CHECK(add_decimal(host, "k", "1e27") == "1000000000000000000000000000");
  CHECK(host.get("k") == "1000000000000000000000000000");
  CHECK(components(host, "k") == 0);
  CHECK(add_decimal(host, "k", "inf") == "increment would produce NaN or Infinity");
  for (const char* text : {"word", "", "nan", " 1", "1 "})
    CHECK(add_decimal(host, "k", text) == "value is not a valid float");
  host.set("k", "word");
  CHECK(add_decimal(host, "k", "1") == "value is not a valid float");
}

TEST_CASE("amounts beyond 128 bits become the register's value") {
  Host host(1);
  CHECK(add_decimal(host, "k", "3e21") == "3000000000000000000000");
  CHECK(add_decimal(host, "k", "-3e21") == "0");
  CHECK(add_decimal(host, "k", "3e21") == "3000000000000000000000");
  CHECK(components(host, "k") == 0);
  CHECK(add_decimal(host, "k", "-3e21") == "0");
  CHECK(add(host, "k", 7) == "7");
}

TEST_CASE("writes and deletes reset a counter, on this node and on its peers") {
  Host host(1), peer(2);
  add(host, "k", 5);
  add(peer, "k", 7);
  meet(host, peer);
  CHECK(host.get("k") == "12");
  host.set("k", "100");
  add(peer, "k", 1);
  meet(host, peer);
  CHECK(host.get("k") == "101");
  CHECK(peer.get("k") == "101");
  CHECK(peer.keyspace->remove("k", now).value());
  CHECK(peer.get("k") == "(nil)");
  CHECK(peer.keyspace->size(now) == 0);
  meet(host, peer);
  CHECK(host.get("k") == "(nil)");
  CHECK_FALSE(host.keyspace->remove("k", now).value());
  CHECK(add(host, "k", 3) == "3");
  CHECK(host.proven());
  CHECK(peer.proven());
}

TEST_CASE("an expiry of a counter is written with its sum") {
  Host host(1), peer(2);
  add(host, "k", 5);
  meet(host, peer);
  add(peer, "k", 1);
  CHECK(host.keyspace->set_expiry("k", {later.millis}, now).value());
  CHECK(host.get("k") == "5");
  CHECK(components(host, "k") == 0);
  CHECK(add(host, "k", 10) == "15");
  CHECK(host.get("k", later) == "(nil)");
  CHECK(host.keyspace->size({later.millis + 2000}) == 0);
  meet(host, peer);
  CHECK(host.get("k") == "16");
  CHECK(host.get("k", later) == "1");
  CHECK(host.keyspace->set_expiry("k", {}, now).value());
  CHECK(host.get("k", later) == "16");
  CHECK(host.keyspace->set_expiry("k", {}, now).value());
}

TEST_CASE("an increment of an expired key begins at 0") {
  Host host(1);
  host.set("k", "10", {later.millis});
  CHECK(add(host, "k", 1) == "11");
  CHECK(add(host, "k", 1, later) == "1");
  CHECK(host.keyspace->find("k", later)->value().never());
}

TEST_CASE("NX, XX, GET and KEEPTTL see a counter") {
  Host host(1);
  add(host, "k", 5);
  SetOptions options;
  options.condition = SetOptions::Condition::if_absent;
  options.want_old = true;
  const auto refused = host.keyspace->set("k", "v", options, now);
  CHECK_FALSE(refused->written);
  CHECK(refused->old == "5");
}

TEST_CASE("a clear takes counters away, and increments since then stay") {
  Host host(1), peer(2);
  add(host, "k", 5);
  add(peer, "k", 7);
  host.take_rows_of(peer);
  REQUIRE(host.keyspace->clear(now));
  CHECK(host.get("k") == "(nil)");
  CHECK(add(host, "k", 1) == "1");
  host.work();
  CHECK(host.proven());
  REQUIRE(peer.store->merge_clear(host.store->clear(), now));
  CHECK(peer.get("k") == "(nil)");
  peer.work();
  meet(host, peer);
  CHECK(peer.get("k") == "1");
}

TEST_CASE("counters survive restarts, and go on in the same component") {
  Host host(1);
  add(host, "k", 5);
  host.commit();
  host.open();
  CHECK(add(host, "k", 1) == "6");
  CHECK(components(host, "k") == 1);
  host.commit();
  host.open();
  CHECK(host.get("k") == "6");
  CHECK(host.keyspace->size(now) == 1);
}

TEST_CASE("a restored copy counts what both lives have added") {
  Host host(1), peer(2);
  add(host, "old", 10);
  add(host, "both", 1);
  host.commit();
  const VirtualDisk backup = host.disk;
  add(host, "old", 100);
  add(host, "new", 5);
  host.commit();
  peer.take_rows_of(host);
  REQUIRE(peer.store->join_clock(host.store->clock(), now));

  host.store.reset();
  host.disk = backup;
  host.open();
  CHECK(add(host, "old", 1) == "11");
  CHECK(add(host, "old", 1) == "12");
  CHECK(add(host, "new", 3) == "3");
  host.set("both", "7");
  CHECK(add(host, "both", 2) == "9");
  REQUIRE(host.store->reincarnate({777}, later));
  CHECK(host.get("old") == "12");
  CHECK(host.get("new") == "3");
  CHECK(host.get("both") == "9");
  meet(host, peer);
  CHECK(host.get("old") == "112");
  CHECK(host.get("new") == "8");
  CHECK(host.get("both") == "9");
  CHECK(add(host, "old", 1) == "113");
  const auto row = host.store->read("old");
  for (const Component& c : row->row.counter().components()) {
    CHECK((c.created.actor == ActorId{777} || c.added % (Decimal::one * 10) == 0));
  }
  CHECK(host.proven());
}

TEST_CASE("a counter that was lost here is not continued from an earlier state of a peer") {
  Host host(1), early(2), late(3);
  add(host, "k", 5);
  early.take_rows_of(host);
  add(host, "k", 3);
  late.take_rows_of(host);
  host.commit();
  host.store.reset();
  host.disk.lose_row(0);
  host.open();
  host.take_rows_of(early);
  CHECK(add(host, "k", 1) == "6");
  meet(host, late);
  CHECK(host.get("k") == "9");
  CHECK(late.get("k") == "9");
}

TEST_CASE("the clock covers the changes of counters that came with their rows") {
  Host host(1), peer(2);
  add(host, "other", 1);
  add(host, "k", 5);
  peer.take_rows_of(host);
  for (const auto& key : {"other", "k"}) CHECK(peer.get(key) != "(nil)");
  REQUIRE(peer.keyspace->clear(now));
  for (const auto& key : {"other", "k"}) CHECK(peer.get(key) == "(nil)");
}
