// Sessions, as a client of one node sees them; what other nodes add is in cluster/sessions_test.py.
#include <catch2/catch.hpp>
#include <functional>

#include "node/token.h"
#include "unit/node_pair.h"
#include "unit/redis_talk.h"

using namespace knit;
using namespace std::chrono_literals;
using test::Door;
using test::Talk;

namespace {

std::string token_of(Talk& talk) {
  const std::string reply = talk("KNIT TOKEN");
  const std::size_t begin = reply.find("\r\n") + 2;
  return reply.substr(begin, reply.size() - begin - 2);
}

// Of writes that this node will never have.
std::string foreign_token(Door& door) {
  Clock clock;
  clock.add(ActorId{99}, {1, 3});
  return token_text({clock, door.node.members_digest()}, door.node.store().hash_keys());
}

void pass(Door& door, Millis time) {
  door.now.steady += time;
  door.now.wall.millis += static_cast<std::uint64_t>(time.count());
}

const std::string behind = "-BEHIND 3 writes ";

// A server and a peer that does not stream to it.
struct Linked {
  void link() {
    Outbox out;
    door.node.on_link_up({1}, "b", door.now, out);
    take(out);
    peer.node->on_link_up({1}, "", door.now, out);
    peer.take(out);
    run(4);
  }
  static NodeOptions options(const std::string& name) {
    NodeOptions options = test::streaming_to(0);
    options.name = options.address = name;
    return options;
  }
  void take(Outbox& out) {
    for (const Output& output : out) door.take(output);
    out.clear();
  }
  void pump() {
    while (!door.sent.empty() || !peer.sent.empty()) {
      Outbox out;
      const bool to_peer = !door.sent.empty();
      auto& queue = to_peer ? door.sent : peer.sent;
      const Send send = std::move(queue.front());
      queue.pop_front();
      (to_peer ? *peer.node : door.node).on_message({1}, send.channel, send.message, door.now, out);
      to_peer ? peer.take(out) : take(out);
      work();
      pumped();
    }
  }
  void work() {
    Outbox out;
    while (peer.node->has_work()) peer.node->work(door.now, out);
    peer.take(out);
    door.work();
    peer.host.commit();
    door.host.commit();
  }
  void run(int ticks) {
    for (int i = 0; i < ticks; ++i) {
      pass(door, 250ms);
      Outbox out;
      peer.node->on_tick(door.now, out);
      peer.take(out);
      door.node.on_tick(door.now, out);
      take(out);
      work();
      pump();
    }
  }

  std::function<void()> pumped = [] {};
  Door door{{}, options("a")};
  test::Side peer{2, "b", options("b")};
};

}  // namespace

TEST_CASE("a node that is alone has shown nothing that any other lacks") {
  Door door;
  Talk talk(door);
  talk("SET k v");
  const std::string token = token_of(talk);
  CHECK(token.size() == 18);
  CHECK(talk("KNIT WAITFOR " + token + " 0") == "+OK\r\n");
}

TEST_CASE("KNIT WAITFOR answers after its timeout what is missing") {
  Door door;
  Talk talk(door);
  CHECK(talk("KNIT WAITFOR " + foreign_token(door) + " 100").empty());
  CHECK(talk("PING").empty());
  pass(door, 99ms);
  CHECK(talk.go_on().empty());
  pass(door, 1ms);
  const std::string reply = talk.go_on();
  CHECK(reply.starts_with(behind));
  CHECK(reply.ends_with("\r\n+PONG\r\n"));
}

TEST_CASE("a wait for other nodes is ended by CLIENT UNBLOCK, and seen in CLIENT LIST") {
  Door door;
  Talk waiter(door), other(door);
  CHECK(waiter("WAIT 1 0").empty());
  CHECK(other("CLIENT LIST").find("flags=b") != std::string::npos);
  CHECK(other("CLIENT UNBLOCK " + std::to_string(waiter.session.id())) == ":1\r\n");
  CHECK(waiter("PING") == ":0\r\n+PONG\r\n");
}

TEST_CASE("WAIT and WAITAOF count nobody where there is nobody") {
  Door door;
  Talk talk(door);
  talk("SET k v");
  CHECK(talk("WAIT 0 0") == ":0\r\n");
  CHECK(talk("WAITAOF 1 0 0") == "*2\r\n:1\r\n:0\r\n");
  CHECK(talk("WAIT 1 20").empty());
  pass(door, 20ms);
  CHECK(talk.go_on() == ":0\r\n");
  CHECK(talk("WAITAOF 2 0 0").starts_with("-ERR value is out of range"));
  CHECK(talk("WAITAOF 0 -1 0").starts_with("-ERR value is out of range"));
  CHECK(talk("WAIT 1 -1").starts_with("-ERR timeout is negative"));
}

TEST_CASE("in a session commands on keys wait for what the token names, others do not") {
  Door door;
  Talk talk(door);
  talk("SET k v");
  CHECK(talk("KNIT SESSION ON " + foreign_token(door) + " TIMEOUT 50") == "+OK\r\n");
  CHECK(talk("PING") == "+PONG\r\n");
  CHECK(talk("GET k").empty());
  pass(door, 50ms);
  CHECK(talk.go_on().starts_with(behind));
  CHECK(talk("SET k w").empty());
  pass(door, 50ms);
  CHECK(talk.go_on().starts_with(behind));
  CHECK(talk("KNIT SESSION OFF") == "+OK\r\n");
  CHECK(talk("GET k") == "$1\r\nv\r\n");
}

TEST_CASE("a session goes on when the writes that its token names have come") {
  Door door;
  Talk talk(door);
  talk("SET k v");
  talk("KNIT SESSION ON " + foreign_token(door));
  CHECK(talk("GET k").empty());
  Clock clock = door.host.store->clock();
  clock.add(ActorId{99}, {1, 3});
  REQUIRE(door.host.store->join_clock(clock, door.now.wall));
  CHECK(talk.go_on() == "$1\r\nv\r\n");
}

TEST_CASE("what streams do not bring is fetched, for KNIT WAITFOR and for a session alike") {
  Linked linked;
  linked.link();
  Door& door = linked.door;
  linked.peer.host.set("k", "v");
  Outbox out;
  pass(door, 1s);
  linked.peer.node->on_tick(door.now, out);  // Its clock is told.
  linked.peer.take(out);
  linked.pump();
  REQUIRE(door.node.lacks(linked.peer.host.store->clock()) == 1);
  Talk talk(door);
  const std::string token = token_text(linked.peer.node->token(), door.node.store().hash_keys());
  std::string expected;
  SECTION("KNIT WAITFOR") {
    expected = "+OK\r\n";
    CHECK(talk("KNIT WAITFOR " + token + " 1000").empty());
  }
  SECTION("KNIT SESSION") {
    expected = "$1\r\nv\r\n";
    talk("KNIT SESSION ON " + token);
    CHECK(talk("GET k").empty());
  }
  pass(door, 49ms);
  CHECK_FALSE(talk.session.may_run());
  CHECK(door.sent.empty());
  pass(door, 1ms);
  door.server.now = door.now;
  CHECK(talk.session.may_run());
  CHECK(talk.go_on().empty());
  CHECK(door.sent.size() == 1);
  linked.pump();
  CHECK(talk.go_on() == expected);
}

TEST_CASE("WAIT does not count who has the dots of this node's other life") {
  Linked linked;
  Door& door = linked.door;
  Talk talk(door);
  talk("SET k v");
  Clock other_life;
  other_life.add(door.host.store->identity().actor, {1, 500});
  REQUIRE(linked.peer.host.store->join_clock(other_life, test::now));
  CHECK(talk("WAIT 1 0").empty());
  std::string reply;
  linked.pumped = [&] {
    if (reply.empty()) reply = talk.go_on();
    if (!reply.empty()) CHECK(linked.peer.host.get("k") == "v");
  };
  linked.link();
  linked.run(40);
  CHECK(reply == ":1\r\n");
}

TEST_CASE("WAIT does not wait for a write that was undone") {
  Linked linked;
  linked.link();
  Door& door = linked.door;
  Talk talk(door);
  talk("SET k v");
  linked.run(60);
  REQUIRE(linked.peer.host.get("k") == "v");
  door.host.journal.full = true;
  talk.session.feed("SET k newer\r\n");
  talk.session.run();
  door.host.commit();
  talk.session.on_undone("-MISCONF full\r\n");
  CHECK(talk.released() == "-MISCONF full\r\n");
  CHECK(talk("WAIT 1 0") == ":1\r\n");
}

TEST_CASE("a wait may be as long as a number is") {
  Door door;
  Talk talk(door);
  CHECK(talk("WAIT 1 9223372036854775807").empty());
  pass(door, 1h);
  CHECK(talk.go_on().empty());
}

TEST_CASE("who stops answers those who wait for other nodes, and those who come after") {
  Linked linked;
  linked.link();
  Talk reader(linked.door), job(linked.door), waiter(linked.door);
  CHECK(reader("KNIT GET k QUORUM 2").empty());
  CHECK(job("KNIT DIFF b").empty());
  CHECK(waiter("WAIT 2 0").empty());
  linked.door.server.stopping = true;
  for (Talk* talk : {&reader, &job, &waiter}) talk->session.on_stop();
  CHECK(reader.go_on() == "-NOQUORUM the daemon stops\r\n");
  CHECK(job.go_on() == "-ERR the daemon stops\r\n");
  CHECK(waiter.go_on() == ":1\r\n");  // Nothing was written: the peer has all of it.
  CHECK(reader("KNIT GET k QUORUM 2") == "-NOQUORUM the daemon stops\r\n");
  CHECK(job("KNIT VERIFY") == "-ERR the daemon stops\r\n");
  CHECK(waiter("WAIT 2 0") == ":1\r\n");
}

TEST_CASE("tokens and options that cannot be understood are refused") {
  Door door;
  Talk talk(door);
  CHECK(talk("KNIT WAITFOR nonsense 0") == "-ERR this is no token of this cluster\r\n");
  CHECK(talk("KNIT SESSION ON nonsense") == "-ERR this is no token of this cluster\r\n");
  CHECK(talk("KNIT SESSION MAYBE") == "-ERR syntax error\r\n");
  CHECK(talk("KNIT SESSION ON TIMEOUT 0") == "-ERR timeout must not be zero\r\n");
  CHECK(talk("KNIT SESSION OFF now") == "-ERR syntax error\r\n");
}

TEST_CASE("a node that has met none of its seeds does not know what others have") {
  NodeOptions options;
  options.peers = {"127.0.0.1:7399"};
  Door door({}, options);
  Talk talk(door);
  CHECK(talk("KNIT WAITFOR " + token_of(talk) + " 10").empty());
  pass(door, 10ms);
  CHECK(talk.go_on().starts_with("-BEHIND this node has not caught up with its peers"));
  CHECK(talk("KNIT SESSION ON " + token_of(talk) + " TIMEOUT 10") == "+OK\r\n");
  CHECK(talk("GET k").empty());
  pass(door, 10ms);
  CHECK(talk.go_on().starts_with("-BEHIND this node has not caught up with its peers"));
}

TEST_CASE("a node that is its own only seed is alone") {
  NodeOptions options;
  options.address = "127.0.0.1:7399";
  options.peers = {options.address};
  Door door({}, options);
  Talk talk(door);
  CHECK(talk("KNIT WAITFOR " + token_of(talk) + " 10") == "+OK\r\n");
}
