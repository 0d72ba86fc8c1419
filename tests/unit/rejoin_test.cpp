// A node that was forgotten, or went back to an old copy, drops what was purged without it before any row
// goes to and fro: node/node_floor.cpp, and the mode `fence` of merkle/exchange_work.cpp.
#include <catch2/catch.hpp>
#include <deque>
#include <map>
#include <random>

#include "unit/exchange_play.h"
#include "unit/node_pair.h"

using namespace knit;
using namespace std::chrono_literals;
using test::Host;
using test::Pair;
using test::Side;

namespace {

// Nodes and links between them. Time goes by, and messages arrive, in an order of chance.
struct Crowd {
  Crowd(unsigned seed, std::uint64_t size) : random(seed) {
    for (std::uint64_t id = 1; id <= size; ++id)
      sides.emplace_back(id, "n" + std::to_string(id), test::streaming_to(8));
  }
  // From here on all know that all others are there.
  void restart_all(NodeOptions options) {
    unlink_all();
    for (const Side& side : sides) options.peers.push_back(side.node->options().address);
    for (Side& side : sides) {
      options.name = options.address = side.node->options().address;
      side.node.emplace(options, *side.host.store, side.host.store->identity().node.value);
    }
  }
  Side& any() { return sides[random() % sides.size()]; }
  Now now() const { return {{test::now.millis + static_cast<std::uint64_t>(time.count())}, time}; }
  static void show(Host& host, Host& known) {
    host.take_rows_of(known);
    REQUIRE(host.store->join_clock(known.store->clock(), test::now));
  }
  void let(Side& side, auto act) {
    Outbox out;
    act(out);
    while (side.node->has_work()) side.node->work(now(), out);
    side.node->push(now(), out);
    side.take(out);
    side.host.commit();
  }
  void link(Side& dialer, Side& other) {
    const LinkId id{++last_link};
    links[id] = {&dialer, &other};
    const std::string address = other.node->options().address;
    let(dialer, [&](Outbox& out) { dialer.node->on_link_up(id, address, now(), out); });
    let(other, [&](Outbox& out) { other.node->on_link_up(id, "", now(), out); });
  }
  void unlink_all() {
    for (const auto& [id, ends] : std::exchange(links, {})) {
      for (Side* side : {ends.first, ends.second}) {
        let(*side, [&](Outbox& out) { side->node->on_link_down(id, now(), out); });
        side->sent.clear();
      }
    }
  }
  void link_all() {
    for (auto dialer = sides.begin(); dialer != sides.end(); ++dialer) {
      for (auto other = dialer + 1; other != sides.end(); ++other) link(*dialer, *other);
    }
  }
  void run(int steps) {
    for (int step = 0; step < steps && !equal(); ++step) {
      Side& from = any();
      if (from.sent.empty()) {
        time += 10ms;
        let(from, [&](Outbox& out) { from.node->on_tick(now(), out); });
        continue;
      }
      const Send send = std::move(from.sent.front());
      from.sent.pop_front();
      const auto& [one, other] = links.at(send.link);
      Side& to = one == &from ? *other : *one;
      let(to, [&](Outbox& out) { to.node->on_message(send.link, send.channel, send.message, now(), out); });
    }
  }
  bool equal() const {
    const Host& first = sides[0].host;
    return std::all_of(sides.begin(), sides.end(), [&](const Side& side) {
      return side.host.store->clock() == first.store->clock() && side.host.root() == first.root();
    });
  }

  std::mt19937 random;
  Millis time{1000};
  std::deque<Side> sides;
  std::map<LinkId, std::pair<Side*, Side*>> links;
  std::uint64_t last_link = 0;
};

}  // namespace

TEST_CASE("who rejoins keeps what its peer has lost to damage, also when a part of it is there again") {
  Host late(1), peer(2), author(3);
  for (int i = 0; i < 1000; ++i) author.set("of many" + std::to_string(i), "v");
  author.set("key", "of the author");
  late.set("key", "of the late one");
  Host part(4);
  part.take_rows_of(late);
  late.take_rows_of(author);
  peer.take_rows_of(late);
  REQUIRE(peer.store->join_clock(late.store->clock(), test::now));
  peer.commit();
  const auto damage = [&] {
    peer.disk.of(Table::rows).at(string_row_key("key", peer.store->hash_keys())).back() ^= 1;
  };
  std::optional<int> damaged_at;  // So many messages.
  const auto notice = [&] {
    damage();
    REQUIRE_FALSE(peer.store->read("key"));
    peer.work();
  };
  SECTION("and nobody notices before rows are compared") {
    damaged_at = GENERATE(range(0, 3));
    Host fourth(5);
    fourth.set("key", "of a fourth one");
    late.take_rows_of(fourth);
  }
  SECTION("and nothing replaces it") { notice(); }
  SECTION("and an older copy replaces it") {
    notice();
    peer.take_rows_of(part);
  }
  SECTION("and it is replaced, and all is committed before a restart") {
    notice();
    peer.take_rows_of(part);
    peer.commit();
    peer.open();
  }
  SECTION("and it is replaced in the journal before a restart") {
    notice();
    peer.take_rows_of(part);
    REQUIRE(peer.journal.sync());
    peer.open();
  }
  const std::size_t siblings = late.store->read("key")->row.siblings().size();
  exchange_play::SessionOptions options;
  options.initiator.mode = ExchangeMode::fence;
  options.initiator.fence = peer.store->clock();
  options.between = [&] {
    if (damaged_at && (*damaged_at)-- == 0) damage();
  };
  REQUIRE_FALSE(exchange_play::run(*late.store, *peer.store, options).error);
  REQUIRE(late.store->read("key"));
  CHECK(late.store->read("key")->row.siblings().size() == siblings);
  CHECK(peer.store->has_damage());
  peer.work();
  late.set("other", "so that clocks are told");
  options.initiator.mode = ExchangeMode::repair;
  REQUIRE_FALSE(exchange_play::run(*late.store, *peer.store, options).error);
  CHECK(peer.store->read("key")->row.siblings().size() == siblings);
  CHECK_FALSE(peer.store->has_damage());  // Who has all that was here has shown its rows.
}

// The peer was an old copy too, and rejoins elsewhere between the fence and the exchange.
TEST_CASE("a fence counts for the floor alone by which rows were dropped") {
  for (int messages = 0; messages < 40; ++messages) {
    INFO("the peer rejoins after " << messages << " messages");
    Pair pair;
    Host third(3);
    Host &late = pair.a.host, &peer = pair.b.host;
    third.set("deleted", "v");
    late.take_rows_of(third);
    peer.take_rows_of(third);
    REQUIRE(late.store->join_clock(third.store->clock(), test::now));
    third.set("other", "v");
    peer.take_rows_of(third);
    REQUIRE(peer.store->join_clock(third.store->clock(), test::now));
    REQUIRE(peer.store->raise_floor({third.store->clock(), {}}));
    pair.link({1}, pair.a, pair.b);
    for (int i = 0; i < messages; ++i) {
      if (!pair.deliver(pair.a, pair.b) && !pair.deliver(pair.b, pair.a)) pair.tick(50ms);
    }
    if (late.store->clock().covers(peer.store->floor().clock)) break;
    REQUIRE(third.keyspace->remove("deleted", test::now));
    const std::string row_key = string_row_key("deleted", peer.store->hash_keys());
    REQUIRE(peer.store->keep_what_is_in(row_key, {}, third.store->clock()));
    REQUIRE(peer.store->join_clock(third.store->clock(), test::now));
    REQUIRE(peer.store->raise_floor({third.store->clock(), {}}));
    pair.run(40);
    CHECK(pair.equal());
    CHECK(late.get("deleted") == "(nil)");
    CHECK(peer.get("deleted") == "(nil)");
  }
}

// Each waits for another one to fence, which takes nothing from who lacks what it guards itself: a ring.
TEST_CASE("any number of nodes that lie below each other become equal") {
  for (unsigned seed = 1; seed <= 150; ++seed) {
    INFO("seed " << seed);
    Crowd crowd(seed, 3 + seed % 4);
    for (Side& side : crowd.sides) {
      side.host.set("of " + side.node->options().name, "v");
      REQUIRE(side.host.store->raise_floor({side.host.store->clock(), {}}));
    }
    for (Side& side : crowd.sides) {  // Some know some of the others, one way.
      Host& known = crowd.any().host;
      if (&side.host == &known || crowd.random() % 2 == 0) continue;
      crowd.show(side.host, known);
      if (crowd.random() % 2 == 0) REQUIRE(side.host.store->raise_floor(known.store->floor()));
    }
    crowd.link_all();
    crowd.run(40'000);
    CHECK(crowd.equal());
  }
}

// Its journal lost the delete, but not what came behind it, nor the floor: that does not rise when it
// rejoins.
TEST_CASE("a damaged node that rejoins is not believed to show what it did before") {
  for (unsigned seed = 1; seed <= 60; ++seed) {
    INFO("seed " << seed);
    Crowd crowd(seed, 3);
    Host &whole = crowd.sides[0].host, &damaged = crowd.sides[1].host, &late = crowd.sides[2].host;
    Host author(9);
    author.set("deleted", "v");
    for (Host* host : {&damaged, &late}) crowd.show(*host, author);
    REQUIRE(author.keyspace->remove("deleted", test::now));
    const Clock deleted = author.store->clock();
    author.set("other", "v");
    const Line floor{author.store->clock(), {}};
    Host purged(8);  // What the author has become since.
    purged.take_rows_of(author);
    const std::string row_key = string_row_key("deleted", purged.store->hash_keys());
    REQUIRE(purged.store->keep_what_is_in(row_key, {}, floor.clock));
    crowd.show(whole, purged);
    REQUIRE(whole.store->join_clock(floor.clock, test::now));
    damaged.take_rows_of(purged);  // Of the last write.
    for (Host* host : {&whole, &damaged}) REQUIRE(host->store->raise_floor(floor));
    REQUIRE_FALSE(damaged.store->clock().covers(deleted));
    crowd.link(crowd.sides[1], crowd.sides[2]);
    crowd.run(static_cast<int>(crowd.random() % 400));
    crowd.link(crowd.sides[0], crowd.sides[1]);
    crowd.run(static_cast<int>(crowd.random() % 400));
    crowd.link(crowd.sides[0], crowd.sides[2]);
    crowd.run(20'000);
    CHECK(crowd.equal());
    for (Side& side : crowd.sides) CHECK(side.host.get("deleted") == "(nil)");
  }
}

// One that rejoins has the delete, and drops its tombstone; one that does not has what was written later.
TEST_CASE("what was dropped in a rejoin that broke off does not come back from who lies above in all else") {
  for (unsigned seed = 1; seed <= 200; ++seed) {
    INFO("seed " << seed);
    Crowd crowd(seed, 3);
    Side &whole = crowd.sides[0], &rejoins = crowd.sides[1], &late = crowd.sides[2];
    Host author(9);
    author.set("deleted", "v");
    crowd.show(late.host, author);
    REQUIRE(author.keyspace->remove("deleted", test::now));
    crowd.show(rejoins.host, author);
    const std::string row_key = string_row_key("deleted", author.store->hash_keys());
    REQUIRE(author.store->keep_what_is_in(row_key, {}, author.store->clock()));  // Purged.
    author.set("other", "v");
    late.host.take_rows_of(author);
    crowd.show(whole.host, author);
    REQUIRE(whole.host.store->raise_floor({author.store->clock(), {}}));
    crowd.link(whole, rejoins);
    crowd.run(static_cast<int>(crowd.random() % 120));
    crowd.unlink_all();
    crowd.link(rejoins, late);
    crowd.run(static_cast<int>(crowd.random() % 1000));
    crowd.link(whole, late);
    crowd.link(whole, rejoins);
    crowd.run(20'000);
    CHECK(crowd.equal());
    for (Side& side : crowd.sides) CHECK(side.host.get("deleted") == "(nil)");
  }
}

TEST_CASE("what a node had lost when an exchange began is promised to nobody by that exchange") {
  int healed_between = 0;
  for (const bool begins : {true, false}) {
    for (std::size_t at = 0; at < 4; ++at) {
      INFO("healed before message " << at);
      Host author(1), host(2), peer(3);
      author.set("key", "v");
      const Clock written = author.store->clock();
      host.take_rows_of(author);
      REQUIRE(host.store->join_clock(written, test::now));
      host.commit();
      host.disk.damage_row(0);
      REQUIRE_FALSE(host.store->read("key"));
      host.work();
      std::size_t messages = 0;
      exchange_play::SessionOptions options;
      options.between = [&] {
        if (messages++ != at) return;
        author.set("other", "so that clocks are told");
        REQUIRE_FALSE(exchange_play::run(*author.store, *host.store).error);
        REQUIRE(host.get("key") == "v");
        healed_between += host.store->has_damage() ? 0 : 1;
      };
      Host& first = begins ? host : peer;
      Host& second = begins ? peer : host;
      REQUIRE_FALSE(exchange_play::run(*first.store, *second.store, options).error);
      if (peer.store->clock().covers(written)) CHECK(peer.get("key") == "v");
    }
  }
  CHECK(healed_between > 2);
}

TEST_CASE("a damaged row whose key cannot be read is not named to who rejoins") {
  Host late(1), peer(2);
  peer.set("key", "v");
  peer.set("other", "v");
  late.take_rows_of(peer);
  peer.commit();
  auto& rows = peer.disk.of(Table::rows);
  auto row = rows.extract(rows.begin());
  row.key().back() = '\xff';
  rows.insert(std::move(row));
  CHECK_FALSE(peer.proven());
  peer.work();
  REQUIRE(peer.store->has_damage());
  exchange_play::SessionOptions options;
  options.initiator.mode = ExchangeMode::fence;
  options.initiator.fence = peer.store->clock();
  const auto session = exchange_play::run(*late.store, *peer.store, options);
  CHECK_FALSE(session.error);
  CHECK(session.initiator->outcome() == Exchange::Outcome::compared);
}

// Else they would wait for an answer until their deadline.
TEST_CASE("who rejoins tells those with whom an exchange runs that it has ended") {
  int heard = 0;  // By those who had not ended it themselves meanwhile.
  for (unsigned seed = 1; seed <= 40; ++seed) {
    INFO("seed " << seed);
    Crowd crowd(seed, 3);
    Side &whole = crowd.sides[0], &rejoins = crowd.sides[1], &late = crowd.sides[2];
    Host author(9);
    author.set("first", "v");
    crowd.show(rejoins.host, author);
    REQUIRE(rejoins.host.store->raise_floor({author.store->clock(), {}}));
    author.set("second", "v");
    crowd.show(whole.host, author);
    REQUIRE(whole.host.store->raise_floor({author.store->clock(), {}}));
    crowd.link(rejoins, late);
    crowd.run(static_cast<int>(crowd.random() % 60));
    crowd.link(whole, rejoins);
    crowd.run(20'000);
    CHECK(crowd.equal());
    CHECK_FALSE(late.noticed("no progress"));
    heard += late.noticed("ended early: this node rejoins") ? 1 : 0;
  }
  CHECK(heard > 0);
}

// The older copy comes from one that has not the delete yet, which then all have but who lost it.
TEST_CASE("what superseded an older copy of a damaged row is not purged before that is healed") {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    INFO("seed " << seed);
    Crowd crowd(seed, 3);
    Host &damaged = crowd.sides[1].host, &late = crowd.sides[2].host;
    damaged.set("deleted", "v");
    crowd.show(late, damaged);
    REQUIRE(damaged.keyspace->remove("deleted", test::now));
    crowd.show(crowd.sides[0].host, damaged);
    damaged.commit();
    damaged.disk.damage_row(0);
    REQUIRE_FALSE(damaged.store->read("deleted"));
    damaged.work();
    damaged.take_rows_of(late);
    REQUIRE(damaged.get("deleted") == "v");
    crowd.show(late, crowd.sides[0].host);
    NodeOptions options = test::streaming_to(8);
    options.exchange_sessions_max = 0;  // What heals it waits.
    crowd.restart_all(options);
    crowd.link_all();
    crowd.run(5000);
    crowd.restart_all(test::streaming_to(8));
    crowd.link_all();
    crowd.run(20'000);
    CHECK(crowd.equal());
    for (Side& side : crowd.sides) CHECK(side.host.get("deleted") == "(nil)");
  }
}
