#include "node/node.h"

#include <catch2/catch.hpp>
#include <deque>
#include <random>

#include "unit/node_pair.h"

using namespace knit;
using namespace std::chrono_literals;
using test::Host;
using test::Pair;
using test::Side;
using test::streaming_to;

TEST_CASE("two nodes that meet learn who the other is") {
  Pair pair;
  pair.link({1}, pair.a, pair.b);
  pair.run(10);
  const NodeStatus status = pair.a.node->status(pair.now());
  REQUIRE(status.peers.size() == 1);
  CHECK(status.peers[0].name == "b");
  CHECK(status.peers[0].reachable);
  CHECK(status.peers[0].equal);
  CHECK(status.in_sync);
  CHECK_FALSE(pair.a.node->wants_link("b"));
}

TEST_CASE("a difference is noticed and healed within a status interval, without a command") {
  Pair pair;
  pair.link({1}, pair.a, pair.b);
  pair.run(10);
  pair.a.host.set("from a", "1");
  pair.b.host.set("from b", "2");
  pair.a.host.set("both", "a");
  pair.b.host.set("both", "b");
  pair.run(10);
  CHECK(pair.equal());
  CHECK(pair.a.host.get("from b") == "2");
  CHECK(pair.b.host.get("from a") == "1");
  CHECK(pair.a.host.get("both") == pair.b.host.get("both"));
  CHECK(pair.a.node->status(pair.now()).in_sync);
}

TEST_CASE("a FLUSHALL reaches the other node") {
  Pair pair;
  for (int i = 0; i < 100; ++i) pair.a.host.set("key" + std::to_string(i), "v");
  pair.link({1}, pair.a, pair.b);
  pair.run(10);
  REQUIRE(pair.b.host.get("key5") == "v");
  REQUIRE(pair.b.host.keyspace->clear(pair.now().wall));
  pair.run(20);
  CHECK(pair.a.host.get("key5") == "(nil)");
  CHECK(pair.equal());
}

TEST_CASE("a node of another cluster is refused with a line that says so") {
  Pair pair;
  Hello stranger;
  stranger.cluster_id = std::string(16, 'x');
  stranger.node = {9};
  stranger.name = "stranger";
  Outbox out;
  pair.a.node->on_link_up({1}, "", pair.now(), out);
  pair.a.node->on_message({1}, Channel::control, encode(stranger), pair.now(), out);
  pair.a.take(out);
  CHECK(pair.a.closed.size() == 1);
  CHECK(pair.a.noticed("another cluster"));
  CHECK(pair.a.node->status(pair.now()).peers.empty());
}

TEST_CASE("a node that calls itself notices") {
  Pair pair;
  Outbox out;
  pair.a.node->on_link_up({1}, "localhost", pair.now(), out);
  const std::string mine = std::get<Send>(out.front()).message;
  pair.a.node->on_message({1}, Channel::control, mine, pair.now(), out);
  pair.a.take(out);
  CHECK(pair.a.closed.size() == 1);
  CHECK_FALSE(pair.a.node->wants_link("localhost"));
}

TEST_CASE("of two links of a pair both sides keep the same one") {
  Pair pair;
  pair.link({1}, pair.b, pair.a);
  pair.link({2}, pair.a, pair.b);
  pair.pump();
  for (Side* member : {&pair.a, &pair.b}) {
    REQUIRE(member->closed.size() == 1);
    CHECK(member->closed[0].link == LinkId{1});
    CHECK(member->node->status(pair.now()).peers[0].reachable);
  }
}

TEST_CASE("a host that lost its data directory takes its own old place") {
  Pair pair;
  pair.link({1}, pair.a, pair.b);
  pair.run(10);
  Outbox out;
  pair.a.node->on_link_down({1}, pair.now(), out);
  Hello reborn;
  reborn.cluster_id = pair.a.host.store->cluster().id;
  reborn.node = {77};
  reborn.name = reborn.address = "b";
  pair.a.node->on_link_up({2}, "", pair.now(), out);
  pair.a.node->on_message({2}, Channel::control, encode(reborn), pair.now(), out);
  const NodeStatus status = pair.a.node->status(pair.now());
  REQUIRE(status.peers.size() == 1);
  CHECK(status.peers[0].node == NodeId{77});
}

TEST_CASE("a name that could command a terminal is refused") {
  Pair pair;
  Hello hello;
  hello.cluster_id = pair.a.host.store->cluster().id;
  hello.node = {9};
  hello.name = "evil\n\x1b[2J";
  Outbox out;
  pair.a.node->on_link_up({1}, "", pair.now(), out);
  pair.a.node->on_message({1}, Channel::control, encode(hello), pair.now(), out);
  pair.a.take(out);
  CHECK(pair.a.closed.size() == 1);
  CHECK_FALSE(pair.a.noticed("evil"));
}

TEST_CASE("who does not begin with a hello, or sends noise, is closed") {
  Pair pair;
  Outbox out;
  pair.a.node->on_link_up({1}, "", pair.now(), out);
  pair.a.node->on_message({1}, Channel::control, encode(Status{}), pair.now(), out);
  pair.a.node->on_link_up({2}, "", pair.now(), out);
  pair.a.node->on_message({2}, Channel::control, "noise", pair.now(), out);
  pair.a.node->on_link_up({3}, "", pair.now(), out);
  pair.a.take(out);
  pair.tick(3s);
  CHECK(pair.a.closed.size() == 3);
}

TEST_CASE("a session whose peer falls silent ends within its deadline, with nothing half applied") {
  Pair pair(0);
  pair.link({1}, pair.a, pair.b);
  pair.run(10);
  for (int i = 0; i < 500; ++i) pair.b.host.set("key" + std::to_string(i), "v");
  pair.begin_repair();
  pair.deliver(pair.a, pair.b);
  REQUIRE(pair.a.node->status(pair.now()).peers[0].exchange_progress);
  const Clock clock = pair.a.host.store->clock();
  pair.a.sent.clear();
  pair.b.sent.clear();
  for (int i = 0; i < 60; ++i) pair.tick(200ms);
  CHECK_FALSE(pair.a.node->status(pair.now()).peers[0].exchange_progress);
  CHECK(pair.a.host.store->clock() == clock);
  CHECK(pair.a.host.proven());
}

TEST_CASE("a session whose long message is still arriving goes on") {
  Pair pair(0);
  pair.link({1}, pair.a, pair.b);
  pair.run(10);
  pair.b.host.set("k", "v");
  pair.begin_repair();
  REQUIRE(pair.a.node->status(pair.now()).peers[0].exchange_progress);
  for (int i = 0; i < 100; ++i) {
    pair.tick(200ms);
    pair.a.node->on_progress({1}, pair.now());
  }
  CHECK(pair.a.node->status(pair.now()).peers[0].exchange_progress);
}

TEST_CASE("a comparison lists what differs and changes nothing") {
  Pair pair(0);
  pair.link({1}, pair.a, pair.b);
  pair.run(10);
  pair.a.host.set("mine", "1");
  pair.b.host.set("theirs", "2");
  Outbox out;
  const auto job = pair.a.node->start_diff("b", pair.now(), out);
  REQUIRE(job);
  pair.a.take(out);
  while (pair.a.jobs.empty() && (pair.deliver(pair.a, pair.b) || pair.deliver(pair.b, pair.a))) {
  }
  REQUIRE(pair.a.jobs.size() == 1);
  CHECK(pair.a.jobs[0].job == *job);
  CHECK(pair.a.jobs[0].error.empty());
  CHECK(pair.a.jobs[0].differences_found == 2);
  CHECK(pair.a.host.get("theirs") == "(nil)");
}

TEST_CASE("a repair that is asked for is reported when it is done") {
  Pair pair(0);
  pair.link({1}, pair.a, pair.b);
  pair.run(10);
  pair.b.host.set("theirs", "2");
  Outbox out;
  REQUIRE(pair.a.node->start_repair("b", pair.now(), out));
  pair.a.take(out);
  pair.pump();
  REQUIRE(pair.a.jobs.size() == 1);
  REQUIRE(pair.a.jobs[0].exchange);
  CHECK(pair.a.jobs[0].exchange->outcome == Exchange::Outcome::repaired);
  CHECK(pair.a.jobs[0].exchange->stats.rows_changed == 1);
  CHECK(pair.a.host.get("theirs") == "2");
  CHECK(pair.a.node->start_repair("nobody", pair.now(), out).error().code == ErrorCode::not_found);
}

TEST_CASE("when both sides ask at once, both are answered") {
  Pair pair;
  pair.link({1}, pair.a, pair.b);
  pair.run(10);
  pair.a.host.set("x", "1");
  Outbox out;
  REQUIRE(pair.a.node->start_repair("b", pair.now(), out));
  pair.a.take(out);
  REQUIRE(pair.b.node->start_diff("a", pair.now(), out));
  pair.b.take(out);
  pair.run(10);
  CHECK(pair.a.jobs.size() == 1);
  CHECK(pair.b.jobs.size() == 1);
}

TEST_CASE("an isolated node neither hears nor is heard, and catches up afterwards") {
  Pair pair;
  pair.link({1}, pair.a, pair.b);
  pair.run(10);
  Outbox out;
  REQUIRE(pair.a.node->isolate("", true, pair.now(), out));
  pair.b.host.set("k", "v");
  pair.run(10);
  CHECK(pair.a.host.get("k") == "(nil)");
  REQUIRE(pair.a.node->isolate("", false, pair.now(), out));
  pair.a.take(out);
  REQUIRE(pair.a.closed.size() == 1);  // What was sent on it is lost.
  pair.b.node->on_link_down({1}, pair.now(), out);
  pair.link({2}, pair.a, pair.b);
  pair.run(10);
  CHECK(pair.a.host.get("k") == "v");
  CHECK(pair.a.node->isolate("nobody", true, pair.now(), out).error().code == ErrorCode::not_found);
}

TEST_CASE("a peer that knows later writes of mine makes me take a fresh actor") {
  Pair pair;
  pair.link({1}, pair.a, pair.b);
  pair.run(10);
  pair.a.host.set("k", "mine");
  const ActorId before = pair.a.host.store->identity().actor;
  Clock later;
  later.add({before, 1});
  later.add({before, 2});
  REQUIRE(pair.b.host.store->join_clock(later, test::now));
  pair.run(10);
  CHECK(pair.a.host.store->identity().actor != before);
  CHECK(pair.a.noticed("old copy"));
  CHECK(pair.b.host.get("k") == "mine");
}

TEST_CASE("a write above a gap that nobody can fill is fetched, however much else is streamed") {
  Pair pair;
  Side &a = pair.a, &b = pair.b;
  Host gone(3);
  const auto key = [](int i) { return "key" + std::to_string(i); };
  for (int i = 1; i <= 5; ++i) gone.set(key(i), "v");
  for (Side* side : {&a, &b}) {
    side->host.take_rows_of(gone);
    REQUIRE(side->host.store->join_clock(gone.store->clock(), test::now));
  }
  pair.link({1}, a, b);
  pair.run(10);
  REQUIRE(pair.equal());
  for (int i = 6; i <= 10; ++i) gone.set(key(i), "v");
  const std::string row_key = string_row_key(key(10), gone.store->hash_keys());
  REQUIRE(a.host.store->merge_row(row_key, *gone.store->body_of(row_key), test::now));
  for (int i = 0; i < 150 && b.host.get(key(10)) != "v"; ++i) {
    a.host.set("other", std::to_string(i));
    pair.run(1);
  }
  CHECK(b.host.get(key(10)) == "v");
}

TEST_CASE("a verification tells how many rows were proven") {
  Pair pair;
  for (int i = 0; i < 100; ++i) pair.a.host.set("key" + std::to_string(i), "v");
  REQUIRE(pair.a.node->start_verify());
  pair.run(1);
  REQUIRE(pair.a.jobs.size() == 1);
  REQUIRE(pair.a.jobs[0].verification);
  CHECK(pair.a.jobs[0].verification->rows == 100);
  CHECK(pair.a.jobs[0].verification->wrong_leaves == 0);
}

TEST_CASE("exchanges that change nothing become rare, and news is exchanged at once all the same") {
  Pair pair;
  Side c(3, "c");
  for (int i = 0; i < 5; ++i) pair.b.host.set("key" + std::to_string(i), "v");
  pair.b.host.commit();
  pair.b.host.disk.damage_row(2);
  CHECK_FALSE(pair.b.host.proven());
  pair.b.host.work();
  REQUIRE(pair.b.host.store->has_damage());
  // b has met c, which is gone: it cannot know that nobody has the damaged row, so a may not join its clock.
  pair.link({9}, c, pair.b);
  while (pair.deliver(c, pair.b)) {
  }
  Outbox out;
  pair.b.node->on_link_down({9}, pair.now(), out);
  pair.b.take(out);
  pair.b.sent.clear();

  pair.link({1}, pair.a, pair.b);
  pair.run(10);
  const auto exchanges = [&] { return pair.a.node->status(pair.now()).exchanges; };
  const std::uint64_t first = exchanges();
  pair.run(300);
  const std::uint64_t minute = exchanges();
  CHECK(minute - first < 12);
  pair.run(3000);
  CHECK(exchanges() - minute < 30);
  CHECK(exchanges() > minute);
  pair.a.host.set("news", "from a");
  pair.run(6);
  CHECK(pair.b.host.get("news") == "from a");
  pair.b.host.set("news", "from b");
  pair.run(6);
  CHECK(pair.a.host.get("news") == "from b");
}

TEST_CASE("work that fails is tried again, ever more slowly") {
  Pair pair;
  pair.a.host.set("k", "v");
  pair.a.host.commit();
  pair.a.host.disk.scans_fail = true;
  pair.a.host.store->distrust_tree();
  pair.run(3000);
  const auto failures = std::count_if(pair.a.notices.begin(), pair.a.notices.end(), [](const auto& notice) {
    return notice.find("background work failed") != std::string::npos;
  });
  CHECK(failures > 5);
  CHECK(failures < 20);
  pair.a.host.disk.scans_fail = false;
  pair.run(600);
  CHECK_FALSE(pair.a.host.store->has_work());
}

TEST_CASE("a row that lies under a key which is not its own is healed and forgotten, whatever was hit") {
  for (std::size_t byte = 0; byte < 15; ++byte) {
    Pair pair;
    for (int i = 0; i < 9; ++i) pair.a.host.set("key" + std::to_string(i), "v");
    pair.link({1}, pair.a, pair.b);
    pair.run(10);
    pair.b.host.commit();
    REQUIRE(pair.equal());
    auto& rows = pair.b.host.disk.of(Table::rows);
    auto hit = rows.extract(std::next(rows.begin(), 4));
    REQUIRE(hit.key().size() == 15);
    hit.key()[byte] ^= 2;
    rows.insert(std::move(hit));
    CHECK_FALSE(pair.b.host.proven());
    pair.run(50);
    CHECK(pair.b.host.proven());
    CHECK(pair.equal());
    CHECK_FALSE(pair.b.host.store->has_damage());
    pair.b.host.commit();
    CHECK(rows.size() == 9);
  }
}

namespace {

// Seconds in which both nodes work as far as their budgets let them, every 10 ms. Answers how many rows b had
// after each of them.
std::vector<std::uint64_t> work_for(Pair& pair, int seconds) {
  std::vector<std::uint64_t> rows;
  for (int hundredth = 1; hundredth <= 100 * seconds; ++hundredth) {
    pair.time += 10ms;
    for (auto [from, to] : {std::pair(&pair.a, &pair.b), std::pair(&pair.b, &pair.a)}) {
      Outbox out;
      if (hundredth % 20 == 0) from->node->on_tick(pair.now(), out);
      while (from->node->has_work() && from->node->work_wait(pair.now()) == 0ms) {
        from->node->work(pair.now(), out);
      }
      from->take(out);
      from->host.commit();
      for (const Send& send : std::exchange(from->sent, {})) {
        to->node->on_message(send.link, send.channel, send.message, pair.now(), out);
      }
      to->take(out);
    }
    if (hundredth % 100 == 0) rows.push_back(pair.b.host.store->tree().total().count);
  }
  return rows;
}

}  // namespace

TEST_CASE("a session keeps to its budget of rows, and its pauses are no silence") {
  NodeOptions options = streaming_to(0);
  options.exchange_rows_per_second = 100;
  options.rows_per_step = 32;
  options.exchange_deadline = 2s;
  Pair pair(options);
  for (int i = 0; i < 1000; ++i) pair.a.host.set("key" + std::to_string(i), "v");
  pair.link({1}, pair.a, pair.b);
  const auto rows = work_for(pair, 25);
  for (std::size_t second = 1; second < rows.size(); ++second) {
    CHECK(rows[second] - rows[second - 1] <= 100 + 50 + 2);  // And what was saved up.
  }
  CHECK(rows[7] < 1000);
  CHECK(rows.back() == 1000);
  CHECK(pair.equal());
  const NodeStatus status = pair.b.node->status(pair.now());
  for (const ExchangeReport& report : status.last_exchanges) CHECK(report.error == "");
}

TEST_CASE("a session keeps to its budget of bytes") {
  NodeOptions options = streaming_to(0);
  options.exchange_bytes_per_second = 20'000;
  Pair pair(options);
  for (int i = 0; i < 300; ++i) pair.a.host.set("key" + std::to_string(i), std::string(1000, 'v'));
  pair.link({1}, pair.a, pair.b);
  const auto rows = work_for(pair, 40);
  CHECK(rows[9] == 0);  // One message, for which 15 seconds must be saved.
  CHECK(rows.back() == 300);
  CHECK(pair.equal());
}

TEST_CASE("how long a session has been running can be asked") {
  NodeOptions options = streaming_to(0);
  options.exchange_rows_per_second = 10;
  options.rows_per_step = 32;
  Pair pair(options);
  for (int i = 0; i < 1000; ++i) pair.a.host.set("key" + std::to_string(i), "v");
  pair.link({1}, pair.a, pair.b);
  work_for(pair, 12);
  const NodeStatus status = pair.b.node->status(pair.now());
  REQUIRE(status.peers[0].exchange_duration);
  CHECK(*status.peers[0].exchange_duration > 0s);
  CHECK(*status.peers[0].exchange_duration < 12s);
}

TEST_CASE("sessions with several peers share the work") {
  NodeOptions options = streaming_to(0);
  options.peers = {"elsewhere"};  // Nobody is alone: that would give it a floor that the others lie below.
  options.rows_per_step = 32;
  Pair pair(options);
  Side c(3, "c", options);
  for (int i = 0; i < 400; ++i) {
    pair.b.host.set("b" + std::to_string(i), "v");
    c.host.set("c" + std::to_string(i), "v");
  }
  pair.link({1}, pair.a, pair.b);
  pair.link({2}, pair.a, c);
  const auto rows_of = [&](std::size_t peer) {
    const auto stats = pair.a.node->status(pair.now()).peers.at(peer).exchange_stats;
    return stats ? stats->rows_received : 0;
  };
  std::uint64_t most_apart = 0;
  std::uint64_t least_seen = 0;
  for (int turn = 0; turn < 20'000 && least_seen < 300; ++turn) {
    Outbox out;
    if (turn % 100 == 0) {
      pair.time += 200ms;
      for (Side* member : {&pair.a, &pair.b, &c}) {
        member->node->on_tick(pair.now(), out);
        member->take(out);
      }
    }
    if (pair.a.node->has_work()) pair.a.node->work(pair.now(), out);
    pair.a.take(out);
    pair.a.host.commit();
    for (const Send& send : std::exchange(pair.a.sent, {})) {
      Side& to = send.link == LinkId{1} ? pair.b : c;
      to.node->on_message(send.link, send.channel, send.message, pair.now(), out);
      to.take(out);
    }
    for (Side* member : {&pair.b, &c}) {
      while (member->node->has_work()) member->node->work(pair.now(), out);
      member->take(out);
      member->host.commit();
      for (const Send& send : std::exchange(member->sent, {})) {
        pair.a.node->on_message(send.link, send.channel, send.message, pair.now(), out);
      }
      pair.a.take(out);
    }
    const auto [fewer, more] = std::minmax({rows_of(1), rows_of(2)});
    least_seen = std::max(least_seen, fewer);
    if (fewer > 0) most_apart = std::max(most_apart, more - fewer);
  }
  CHECK(least_seen >= 300);
  CHECK(most_apart < 100);
}

TEST_CASE("what a node writes whose clock is ahead comes by exchanges alone, and can be overwritten") {
  Pair pair;
  pair.b.ahead = 1h;
  pair.link({1}, pair.a, pair.b);
  pair.run(10);
  CHECK(pair.a.noticed("the clock of b is 3600000 ms ahead of ours"));
  const WallTime in_an_hour{test::now.millis + 3'600'000};
  REQUIRE(pair.b.host.keyspace->set("key", "of b", {}, in_an_hour));
  pair.run(5);
  CHECK(pair.a.host.get("key") == "(nil)");
  const PeerStatus seen = pair.a.node->status(pair.now()).peers.at(0);
  CHECK(seen.clock_ahead == 3'600'000);
  CHECK_FALSE(seen.keeps_time);
  CHECK(pair.b.node->status(pair.now()).peers.at(0).keeps_time);
  pair.run(50);
  REQUIRE(pair.a.host.get("key") == "of b");
  CHECK(pair.a.node->status(pair.now()).peers.at(0).stream.batches_received == 0);
  pair.a.host.set("key", "of a");
  pair.run(2);
  CHECK(pair.b.host.get("key") == "of a");
  pair.b.ahead = 0ms;
  pair.b.host.set("other", "of b");
  pair.run(20);
  CHECK(pair.a.noticed("the clock of b is right again"));
  CHECK(pair.equal());
}

TEST_CASE("in causal order a write waits for what its author had seen, but not for ever, and once") {
  NodeOptions options;
  options.causal = true;
  options.causal_wait = 1s;
  options.exchange_sessions_max = 0;  // Nothing else brings what is missing.
  Pair pair(options);
  pair.link({1}, pair.a, pair.b);
  pair.run(5);
  Clock seen;
  seen.add({777}, {1, 5});
  REQUIRE(pair.b.host.store->join_clock(seen, test::now));
  pair.b.host.set("key", "caused");
  pair.run(4);
  CHECK(pair.a.host.get("key") == "(nil)");
  CHECK(pair.a.node->status(pair.now()).out_of_order == 0);
  pair.run(3);
  CHECK(pair.a.host.get("key") == "caused");
  CHECK(pair.a.node->status(pair.now()).out_of_order == 1);
  pair.b.host.set("key", "again");
  pair.run(1);
  CHECK(pair.a.host.get("key") == "again");
  CHECK(pair.a.node->status(pair.now()).out_of_order == 1);
}

TEST_CASE("in causal order what is read for one round and seen of a later one waits for that") {
  NodeOptions options;
  options.causal = true;
  options.causal_wait = 1h;
  options.exchange_sessions_max = 0;
  options.stream.batch_bytes = 300;
  Pair pair(options);
  pair.link({1}, pair.a, pair.b);
  pair.run(5);
  const auto shown = [&](const std::string& key) {
    const std::string text = pair.a.host.get(key);
    return text == "(nil)" ? -1 : std::stoi(text);
  };
  int furthest_behind = 0;
  for (int i = 0; i < 300; ++i) {  // While a round is under way.
    pair.b.host.set("question", std::to_string(i));
    for (int key = 0; key < 5; ++key) pair.b.host.set("key" + std::to_string(key), std::string(200, 'v'));
    pair.b.host.set("answer", std::to_string(i));
    if (i % 10 == 0) pair.tick(10ms);
    pair.deliver(pair.b, pair.a);
    pair.deliver(pair.a, pair.b);
    REQUIRE(shown("answer") <= shown("question"));
    furthest_behind = std::max(furthest_behind, i - shown("answer"));
  }
  CHECK(furthest_behind > 1);
  pair.run(10);
  CHECK(shown("answer") == 299);
  CHECK(pair.a.node->status(pair.now()).out_of_order == 0);
}

TEST_CASE("in causal order a backlog larger than what may be held is taken as it comes") {
  NodeOptions options;
  options.causal = true;
  options.causal_wait = 1h;
  Pair pair(options);
  pair.link({1}, pair.a, pair.b);
  pair.run(5);
  for (int i = 0; i < 300; ++i) pair.b.host.set("key" + std::to_string(i), std::string(2000, 'v'));
  pair.run(3);
  CHECK(pair.equal());
  CHECK(pair.a.node->status(pair.now()).out_of_order > 0);
}
