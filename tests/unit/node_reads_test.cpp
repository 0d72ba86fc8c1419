#include <catch2/catch.hpp>

#include "unit/node_pair.h"

using namespace knit;
using namespace std::chrono_literals;
using test::Pair;
using test::Side;

namespace {

// Two that do not stream, and do not compare in the time that a test takes: reads alone bring rows.
NodeOptions reading() {
  NodeOptions options;
  options.stream_peers_max = 0;
  options.relay_after = 1h;
  return options;
}

struct Reader : Pair {
  explicit Reader(const NodeOptions& options = reading()) : Pair(options) {
    link({1}, a, b);
    run(8);
    a.jobs.clear();
  }
  Result<JobId> read(const std::vector<std::string_view>& keys, std::size_t replicas = 1,
                     Node::ReadFrom from = Node::ReadFrom::nearest) {
    Outbox out;
    const auto job = a.node->start_read(keys, replicas, from, now(), out);
    a.take(out);
    return job;
  }
  // Its error, if it is over; empty if that went well.
  std::optional<std::string> outcome() const {
    return a.jobs.empty() ? std::nullopt : std::optional(a.jobs.back().error);
  }
};

}  // namespace

TEST_CASE("a read of a peer brings what it has, and gives it what it lacks") {
  Reader pair;
  pair.b.host.set("newer there", "of b");
  pair.a.host.set("newer here", "of a");
  REQUIRE(pair.read({"newer there", "newer here", "newer here"}));
  pair.pump();
  REQUIRE(pair.outcome() == "");
  CHECK(pair.a.host.get("newer there") == "of b");
  CHECK(pair.b.host.get("newer here") == "of a");
  CHECK(pair.a.node->status(pair.now()).rows_mended == 1);
}

TEST_CASE("who is given a row hears of what was cleared before it") {
  Reader pair;
  pair.a.host.set("other", "v");
  REQUIRE(pair.a.host.keyspace->clear(test::now));
  pair.a.host.set("key", "v");
  REQUIRE(pair.read({"key"}));
  pair.pump();
  CHECK(pair.b.host.get("key") == "v");
  CHECK(pair.b.host.store->clear() == pair.a.host.store->clear());
}

TEST_CASE("a read takes a delete for what it is") {
  Reader pair;
  pair.b.host.set("key", "value");
  REQUIRE(pair.read({"key"}));
  pair.pump();
  REQUIRE(pair.a.host.get("key") == "value");
  REQUIRE(pair.b.host.keyspace->remove("key", test::now));
  REQUIRE(pair.read({"key"}));
  pair.pump();
  CHECK(pair.a.host.get("key") == "(nil)");
}

TEST_CASE("a FLUSHALL that a peer has is seen by a read") {
  Reader pair;
  pair.b.host.set("key", "value");
  REQUIRE(pair.read({"key"}));
  pair.pump();
  REQUIRE(pair.b.host.keyspace->clear(test::now));
  REQUIRE(pair.read({"key"}));
  pair.pump();
  CHECK(pair.outcome() == "");
  CHECK(pair.a.host.get("key") == "(nil)");
}

TEST_CASE("a read says so when there are too few replicas, or they do not answer") {
  Reader pair;
  CHECK(pair.a.node->replicas() == 2);
  const auto refused = pair.read({"key"}, 2);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message == "2 of 3 replicas can be reached");
  REQUIRE(pair.read({"key"}));
  pair.a.sent.clear();
  for (int i = 0; i < 6; ++i) pair.tick(200ms);
  CHECK(pair.outcome() == "1 of 2 replicas answered within 1000 ms");
  const std::vector<std::string_view> keys(Node::read_keys_max + 1, "key");
  CHECK_FALSE(pair.read(keys));
}

TEST_CASE("a node that is behind knows how far, and when it is stale") {
  NodeOptions options = reading();
  options.read_lag_max = 3s;
  Reader pair(options);
  pair.run(5);
  CHECK(pair.a.node->lag() == 0ms);
  pair.b.host.set("key", "value");
  pair.run(30);
  // What b wrote a does not get, but b says how long that has been so.
  CHECK(pair.a.node->lag() > 3s);
  CHECK(pair.a.node->is_stale());
  CHECK_FALSE(pair.b.node->is_stale());
  REQUIRE(pair.read({"key"}, 1, Node::ReadFrom::freshest));
  pair.pump();
  CHECK(pair.a.host.get("key") == "value");
}

TEST_CASE("a peer that has no more than this node is no fresher one") {
  Reader pair;
  pair.a.host.set("key", "value");
  REQUIRE(pair.read({"key"}));
  pair.pump();
  const auto job = pair.read({"key"}, 1, Node::ReadFrom::freshest);
  REQUIRE_FALSE(job);
  CHECK(job.error().code == ErrorCode::refused);
}

TEST_CASE("a node that reaches nobody is behind for as long") {
  NodeOptions options = reading();
  options.read_lag_max = 3s;
  Reader pair(options);
  Outbox out;
  pair.a.node->on_link_down({1}, pair.now(), out);
  for (int i = 0; i < 10; ++i) pair.tick(200ms);
  CHECK_FALSE(pair.a.node->is_stale());
  for (int i = 0; i < 10; ++i) pair.tick(200ms);
  CHECK(pair.a.node->is_stale());
}

TEST_CASE("a request for what is no row key ends the link") {
  Reader pair;
  Outbox out;
  pair.b.node->on_message({1}, Channel::exchange, encode(RowRequest{1, std::string(10'000, 'x')}), pair.now(),
                          out);
  pair.b.take(out);
  CHECK(pair.b.closed.size() == 1);
}

TEST_CASE("a read goes on while somebody who was asked may still answer") {
  Reader pair;
  Side c(3, "c", reading());
  pair.link({2}, pair.a, c);
  const auto pass = [&](Side& from, Side& to, LinkId link) {
    while (!from.sent.empty() && from.sent.front().link == link) pair.deliver(from, to);
  };
  const auto pass_on = [&] {
    for (int i = 0; i < 20; ++i) {
      pass(pair.a, pair.b, {1});
      pass(pair.a, c, {2});
      pass(pair.b, pair.a, {1});
      pass(c, pair.a, {2});
    }
  };
  pass_on();
  for (Side* side : {&pair.b, &c}) {
    side->host.set("key", "of " + side->node->options().name);
    side->host.commit();
  }
  for (auto& [row_key, record] : c.host.disk.of(Table::rows))
    test::VirtualDisk::damage(record, record.size() - 1);
  REQUIRE(pair.read({"key"}));  // Of c: both are as near, and it has the higher id.
  REQUIRE(pair.a.sent.size() == 1);
  pair.tick(100ms);  // It was silent for so long, so b is asked, too.
  pass(pair.a, c, {2});
  pass(c, pair.a, {2});
  CHECK_FALSE(pair.outcome());
  pass_on();
  CHECK(pair.outcome() == "");
  CHECK(pair.a.host.get("key") == "of b");
}
