#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "crdt/register_row.h"

using namespace knit;

namespace {

constexpr ActorId a{1}, b{2};
constexpr WallTime now{1000};

using Incremented = RegisterRow::Incremented;

Incremented add(RegisterRow& row, Dot dot, std::int64_t amount, WallTime at = now) {
  return row.increment({dot, row.greatest_stamp().next(), Decimal::of(amount)}, at);
}

void set(RegisterRow& row, Dot dot, std::string value, Expiry expiry = {}) {
  row.write({dot, row.greatest_stamp().next(), expiry, Content::value, std::move(value)});
}

void remove(RegisterRow& row, Dot dot) {
  row.write({dot, row.greatest_stamp().next(), {}, Content::tombstone, {}});
}

std::string shown(const RegisterRow& row, WallTime at = now) {
  const auto found = row.shown(at);
  return found ? found->text() : "(nil)";
}

RegisterRow merged(RegisterRow left, const RegisterRow& right) {
  left.merge(right);
  return left;
}

std::string encoded(const RegisterRow& row) {
  std::string bytes;
  ByteWriter out(bytes);
  row.encode(out);
  return bytes;
}

bool decodes(const std::string& bytes) {
  ByteReader in(bytes);
  RegisterRow::decode(in);
  return in.done();
}

HashKeys keys() {
  HashKeys keys;
  keys.digest.fill(7);
  return keys;
}

}  // namespace

TEST_CASE("a counter without a register begins at 0, and concurrent increments all count") {
  RegisterRow mine, theirs;
  add(mine, {a, 1}, 5);
  add(mine, {a, 2}, -2);
  add(theirs, {b, 1}, 10);
  CHECK(shown(mine) == "3");
  CHECK(mine.counter().components().size() == 1);
  CHECK(shown(merged(mine, theirs)) == "13");
  CHECK(shown(merged(merged(mine, theirs), mine)) == "13");
}

TEST_CASE("increments add to a register that holds a number, and hide behind one that does not") {
  RegisterRow mine;
  set(mine, {a, 1}, "40");
  RegisterRow theirs = mine;
  add(mine, {a, 2}, 2);
  CHECK(shown(mine) == "42");
  set(theirs, {b, 1}, "word");
  CHECK(shown(merged(mine, theirs)) == "word");
  set(theirs, {b, 2}, "1.25");
  CHECK(shown(merged(mine, theirs)) == "3.25");
}

TEST_CASE("a write resets what it saw, and what is added meanwhile elsewhere stays") {
  RegisterRow mine;
  add(mine, {a, 1}, 5);
  RegisterRow theirs = mine;
  add(mine, {a, 2}, 1);
  remove(theirs, {b, 1});
  CHECK(shown(theirs) == "(nil)");
  CHECK(shown(merged(mine, theirs)) == "1");
  mine.write({{a, 3}, {100}, {}, Content::value, "100"});
  CHECK(mine.counter().empty());
  CHECK(shown(merged(mine, theirs)) == "100");
  CHECK(shown(merged(theirs, mine)) == "100");
}

TEST_CASE("a component that others have reset is dropped at its owner's next increment") {
  RegisterRow mine;
  add(mine, {a, 1}, 5);
  RegisterRow theirs = mine;
  remove(theirs, {b, 1});
  mine.merge(theirs);
  REQUIRE(mine.counter().components().size() == 1);
  add(mine, {a, 2}, 7);
  REQUIRE(mine.counter().components().size() == 1);
  CHECK(mine.counter().components()[0].created == Dot{a, 2});
  CHECK(shown(mine) == "7");
  CHECK(shown(merged(theirs, mine)) == "7");
  CHECK(merged(theirs, mine).counter().components().size() == 1);
}

TEST_CASE("what a peer knows of a sealed component stays when its owner resets what he knows") {
  RegisterRow peer, late_peer;
  add(late_peer, {a, 1}, 5);
  RegisterRow mine = late_peer;
  add(mine, {a, 2}, 7);
  peer.merge(mine);
  mine = {};                    // The row was lost,
  mine.merge_at(a, late_peer);  // and a peer tells an old state of it.
  SECTION("by a write") { set(mine, {a, 3}, "100"); }
  SECTION("by an increment, after somebody else has reset it") {
    RegisterRow other = late_peer;
    remove(other, {b, 1});
    mine.merge(other);
    add(mine, {a, 3}, 100);
  }
  CHECK(shown(mine) == "100");
  CHECK(shown(merged(mine, peer)) == "107");
  CHECK(shown(merged(peer, mine)) == "107");
}

TEST_CASE("a component that was dropped does not come back") {
  RegisterRow mine;
  add(mine, {a, 1}, 5);
  const RegisterRow old = mine;
  set(mine, {a, 2}, "1");
  RegisterRow third = mine;
  third.merge(old);
  CHECK(third == mine);
  RegisterRow late = old;
  late.merge(mine);
  CHECK(late == mine);
}

TEST_CASE("an increment expires with the key") {
  RegisterRow row;
  set(row, {a, 1}, "10", {2000});
  add(row, {a, 2}, 1);
  CHECK(row.shown(now)->expiry == Expiry{2000});
  CHECK(shown(row, {1999}) == "11");
  CHECK(shown(row, {2000}) == "(nil)");
  CHECK(row.shown_until() == Expiry{2000});
}

TEST_CASE("an increment of an expired key begins at 0 and never expires, also where the expiry is put off") {
  RegisterRow mine;
  set(mine, {a, 1}, "10", {2000});
  add(mine, {a, 2}, 1);
  RegisterRow theirs = mine;
  theirs.raise_expiry({9000});
  add(mine, {a, 3}, 4, {3000});
  CHECK(shown(mine, {3000}) == "4");
  CHECK(mine.shown({3000})->expiry.never());
  CHECK(mine.counter().components().size() == 1);
  CHECK(shown(merged(mine, theirs), {3000}) == "4");
}

TEST_CASE("a key is shown until the last of its parts expires") {
  RegisterRow mine, theirs;
  set(mine, {a, 1}, "10", {2000});
  add(theirs, {b, 1}, 5);
  mine.merge(theirs);
  CHECK(shown(mine) == "15");
  CHECK(mine.shown(now)->expiry.never());
  CHECK(shown(mine, {2000}) == "5");
  CHECK(mine.shown_until()->never());
}

TEST_CASE("increments that cancel each other leave a key that shows 0") {
  RegisterRow row;
  add(row, {a, 1}, 5);
  add(row, {a, 2}, -5);
  CHECK(shown(row) == "0");
}

TEST_CASE("a component does not continue beyond 128 bits, and a sum saturates") {
  RegisterRow mine, theirs;
  const Decimal most{~Uint128{0}, false};
  CHECK(mine.increment({{a, 1}, {}, most}, now) == Incremented::done);
  const RegisterRow before = mine;
  CHECK(add(mine, {a, 2}, 1) == Incremented::too_great);
  CHECK(mine == before);
  add(theirs, {b, 1}, 1);
  CHECK(shown(merged(mine, theirs)) == shown(mine));
}

TEST_CASE("a row takes only so many components") {
  RegisterRow row;
  for (std::uint64_t i = 1; i <= components_max; ++i) REQUIRE(add(row, {{i}, 1}, 1) == Incremented::done);
  const RegisterRow before = row;
  CHECK(add(row, {{components_max + 1}, 1}, 1) == Incremented::too_many);
  CHECK(row == before);
  CHECK(add(row, {{1}, 2}, 1) == Incremented::done);
  CHECK(shown(row) == std::to_string(components_max + 1));
  CHECK(decodes(encoded(row)));
}

TEST_CASE("a clear takes away what it covers and leaves a counter that has grown since") {
  RegisterRow row;
  add(row, {a, 1}, 5);
  Clock clear;
  clear.add({a, 1});
  RegisterRow grown = row;
  add(grown, {a, 2}, 1);
  CHECK(row.apply_clear(clear));
  CHECK(row.empty());
  CHECK_FALSE(grown.apply_clear(clear));
  CHECK(shown(grown) == "6");
}

TEST_CASE("what a clear with gaps has taken away does not come back in an earlier state") {
  RegisterRow early;
  add(early, {a, 2}, 5);
  RegisterRow late = early;
  add(late, {a, 7}, 1);
  Clock clear;
  clear.add({a, 7});
  CHECK(late.apply_clear(clear));
  CHECK_FALSE(late.empty());
  CHECK(shown(late) == "(nil)");
  early.apply_clear(clear);
  CHECK(shown(early) == "5");
  CHECK(shown(merged(late, early)) == "(nil)");
  CHECK(shown(merged(early, late)) == "(nil)");
}

TEST_CASE("a clear does not make a sealed component look dropped") {
  RegisterRow owner;
  add(owner, {a, 1}, 5);
  RegisterRow sealed, grown = owner;
  sealed.merge_at(a, owner);
  set(sealed, {b, 1}, "0");
  add(grown, {a, 2}, 1);
  Clock clear;
  clear.add({a, 1});
  sealed.apply_clear(clear);
  grown.apply_clear(clear);
  CHECK(shown(merged(sealed, grown)) == "1");
  CHECK(shown(merged(grown, sealed)) == "1");
}

TEST_CASE("a dropped component stays dropped beside a clear that does not cover its last change") {
  RegisterRow row;
  add(row, {a, 1}, 5);
  add(row, {a, 4}, 1);
  const RegisterRow old = row;
  remove(row, {a, 9});
  Clock clear;
  clear.add({a, 1});
  clear.add({a, 9});
  row.apply_clear(clear);
  CHECK_FALSE(row.empty());
  RegisterRow other = old;
  other.apply_clear(clear);
  CHECK(shown(merged(row, other)) == "(nil)");
}

TEST_CASE("who must be told of his own component does not add to it any more") {
  RegisterRow owner;
  add(owner, {a, 1}, 5);
  const RegisterRow early = owner;
  add(owner, {a, 2}, 3);
  const RegisterRow late = owner;
  owner = {};  // The disk lost it.
  owner.merge_at(a, early);
  CHECK(shown(owner) == "5");
  CHECK(owner.counter().components()[0].sealed);
  add(owner, {a, 3}, 1);
  CHECK(shown(merged(owner, late)) == "9");
  CHECK(shown(merged(late, owner)) == "9");
  RegisterRow known = late;
  known.merge_at(a, early);
  CHECK(known == late);
}

TEST_CASE("who lost two of his components and is told of the later one does not deny the earlier one") {
  RegisterRow owner;
  add(owner, {a, 1}, 5);
  const RegisterRow first = owner;
  owner = {};  // The disk lost it, and no peer that has it could be reached.
  add(owner, {a, 2}, 3);
  const RegisterRow second = owner;
  owner = {};  // Once more.
  owner.merge_at(a, second);
  add(owner, {a, 3}, 1);
  CHECK(shown(merged(owner, merged(first, second))) == "9");
  CHECK(shown(merged(merged(first, second), owner)) == "9");
}

TEST_CASE("increments that another life of the actor may have issued too move to the new actor") {
  RegisterRow row;
  add(row, {a, 1}, 5);
  const RegisterRow at_start = row;
  add(row, {a, 2}, 1);
  RegisterRow other_life = at_start;
  add(other_life, {a, 2}, 100);
  CHECK(row.reissue(a, 1, {b, 1}, at_start.counter().components()[0]));
  CHECK_FALSE(row.reissue(a, 1, {b, 2}));
  CHECK(shown(row) == "6");
  CHECK(shown(merged(row, other_life)) == "106");

  RegisterRow fresh;
  add(fresh, {a, 3}, 4);
  CHECK(fresh.reissue(a, 2, {b, 3}));
  CHECK(fresh.counter().components()[0].created == Dot{b, 3});
  CHECK(shown(fresh) == "4");
}

TEST_CASE("components that are not canonical are refused") {
  RegisterRow row;
  add(row, {a, 3}, 5);
  const std::string good = encoded(row);
  REQUIRE(decodes(good));
  const auto with = [&](std::size_t from_end, char byte) {
    std::string bytes = good;
    bytes[bytes.size() - from_end] = byte;
    return bytes;
  };
  CHECK(decodes(with(4, 9)));
  CHECK_FALSE(decodes(with(1, 1)));  // More is reset than was subtracted.
  CHECK_FALSE(decodes(with(2, 6)));  // More is reset than was added.
  CHECK(decodes(with(5, 0)));        // Five units of 1e-17.
  std::string none = with(5, 0);
  none[none.size() - 4] = 0;
  CHECK_FALSE(decodes(none));           // Whole amounts, stored in units.
  CHECK(decodes(with(5, 3)));           // Sealed.
  CHECK_FALSE(decodes(with(5, 4)));     // An unknown form.
  CHECK_FALSE(decodes(good + '\0'));    // Something behind it.
  CHECK_FALSE(decodes(with(8, '\0')));  // No sequence.
  for (std::size_t size = 0; size < good.size(); ++size) CHECK_FALSE(decodes(good.substr(0, size)));
}

TEST_CASE("the digest of a row tells its components from siblings") {
  RegisterRow with, without;
  set(with, {a, 1}, "1");
  without = with;
  CHECK((with.digest("k", keys()) == without.digest("k", keys())));
  add(with, {a, 2}, 1);
  CHECK((with.digest("k", keys()) != without.digest("k", keys())));
  const auto before = with.digest("k", keys());
  RegisterRow other = with;
  remove(other, {b, 1});
  with.merge(other);
  CHECK((with.digest("k", keys()) != before));
}

namespace {

// Nodes that increment, write, and talk, with a model that knows each increment and what each write saw.
class CounterHistory {
 public:
  explicit CounterHistory(std::uint64_t seed) : random_(seed), nodes_(2 + random_() % 4) {
    const std::uint64_t steps = 10 + random_() % 80;
    for (std::uint64_t i = 0; i < steps; ++i) {
      now_.millis += random_() % 10;
      step(random_() % nodes_.size());
    }
  }

  void check_nodes() const {
    for (const Node& node : nodes_) REQUIRE(shown(node.row, now_) == expected(node));
  }
  void meet() {
    for (Node& node : nodes_) {
      for (const Node& other : nodes_) receive(node, other);
    }
    for (const Node& node : nodes_) REQUIRE(node.row == nodes_.front().row);
  }
  bool components_are_few() const {
    for (const Node& node : nodes_) {
      if (node.row.counter().components().size() > 2 * nodes_.size()) return false;
    }
    return true;
  }

 private:
  struct Node {
    RegisterRow row;
    std::set<Dot> seen;
    std::set<Dot> reset;
  };
  struct Added {
    std::int64_t amount{};
    Expiry expiry;
  };

  void step(std::size_t index) {
    Node& node = nodes_[index];
    const Dot dot{{1 + index}, ++sequences_[index]};
    switch (random_() % 8) {
      case 0:
        node.row.write({dot, node.row.greatest_stamp().next(), random_expiry(), Content::value,
                        std::to_string(random_() % 50)});
        node.reset = node.seen;
        break;
      case 1: remove_at(node, dot); break;
      case 2:
      case 3:
      case 4:
      case 5: increment(node, dot); break;
      default: receive(node, nodes_[random_() % nodes_.size()]);
    }
  }
  Expiry random_expiry() { return random_() % 2 == 0 ? Expiry{} : Expiry{now_.millis + random_() % 60}; }
  void remove_at(Node& node, Dot dot) {
    if (random_() % 3 != 0) return;
    remove(node.row, dot);
    node.reset = node.seen;
  }
  void increment(Node& node, Dot dot) {
    const auto amount = static_cast<std::int64_t>(1 + random_() % 20);
    const auto found = node.row.shown(now_);
    if (!found) node.reset = node.seen;
    added_[dot] = {amount, found ? found->expiry : Expiry{}};
    REQUIRE(add(node.row, dot, amount, now_) == Incremented::done);
    node.seen.insert(dot);
  }
  static void receive(Node& node, const Node& other) {
    node.row.merge(other.row);
    node.seen.insert(other.seen.begin(), other.seen.end());
    node.reset.insert(other.reset.begin(), other.reset.end());
  }
  std::string expected(const Node& node) const {
    std::int64_t sum = 0;
    bool live = false;
    for (const Dot dot : node.seen) {
      const Added& added = added_.at(dot);
      if (node.reset.contains(dot) || added.expiry.passed(now_)) continue;
      sum += added.amount;
      live = true;
    }
    const Sibling* base = node.row.visible(now_);
    if (base == nullptr && !live) return "(nil)";
    return std::to_string(sum + (base != nullptr ? std::stoll(base->value) : 0));
  }

  std::mt19937_64 random_;
  WallTime now_{1000};
  std::vector<Node> nodes_;
  std::map<std::size_t, std::uint64_t> sequences_;
  std::map<Dot, Added> added_;
};

}  // namespace

TEST_CASE("a counter shows exactly the increments that were seen and that no write which was seen had seen") {
  for (std::uint64_t seed = 1; seed <= 1000; ++seed) {
    INFO("seed " << seed);
    CounterHistory history(seed);
    history.check_nodes();
    REQUIRE(history.components_are_few());
    history.meet();
    history.check_nodes();
  }
}
