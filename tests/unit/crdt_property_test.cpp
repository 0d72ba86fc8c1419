// The laws of rows and clocks over random histories. A failing history names its seed.
#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "crdt/clock.h"
#include "crdt/register_row.h"
#include "crdt/row_body.h"
#include "crdt/stamp.h"

using namespace knit;

namespace {

constexpr std::uint64_t seeds = 300;

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  std::uint64_t below(std::uint64_t limit) { return engine_() % limit; }
  template <class T>
  const T& one_of(const std::vector<T>& things) {
    return things[below(things.size())];
  }
  template <class T>
  void shuffle(std::vector<T>& things) {
    std::shuffle(things.begin(), things.end(), engine_);
  }

 private:
  std::mt19937_64 engine_;
};

HashKeys test_keys() {
  HashKeys keys;
  keys.digest.fill(7);
  return keys;
}

// What one node knows of one row.
struct Replica {
  RegisterRow row;
  Clock known;  // The dots that it has applied.
  Clock clear;

  void receive(const Replica& other, const Clock& floor = {}) {
    const VersionVector before = row.context_may_go(floor) ? row.context() : VersionVector{};
    row.merge(other.row);
    row.forget_context(before, other.row);
    known.join(other.known);
    clear.join(other.clear);
    row.apply_clear(clear);
  }
};

// Some nodes write, delete, put off expiries, clear and talk to each other. Beside them stands a
// model that knows what each write superseded.
class History {
 public:
  enum class Contexts : std::uint8_t { kept, trimmed };

  explicit History(std::uint64_t seed, Contexts contexts = Contexts::kept)
      : random_(seed), nodes_(2 + random_.below(4)) {
    const std::uint64_t steps = 5 + random_.below(60);
    for (std::uint64_t i = 0; i < steps; ++i) {
      const std::size_t index = random_.below(nodes_.size());
      RegisterRow& row = nodes_[index].row;
      if (random_.below(2) == 0 && row.context_may_go(floor_)) row.forget_context();
      step(index);
      if (contexts == Contexts::trimmed && random_.below(8) == 0) raise_floor();
      snapshots_.push_back(random_.one_of(nodes_));
    }
    snapshots_.insert(snapshots_.end(), nodes_.begin(), nodes_.end());
  }

  Random& random() { return random_; }
  const std::vector<Replica>& snapshots() const { return snapshots_; }  // Ends with all final states.

  // The dots, with their expiries, that nothing superseded.
  std::map<Dot, Expiry> expected_live() const {
    std::map<Dot, Expiry> live = written_;
    std::erase_if(live, [this](const auto& entry) {
      return superseded_.contains(entry.first) || cleared_.covers(entry.first);
    });
    return live;
  }

 private:
  void step(std::size_t index) {
    Replica& node = nodes_[index];
    switch (random_.below(15)) {
      case 0:
      case 1:
      case 2: return write(index, Content::value);
      case 3: return write(index, Content::tombstone);
      case 4: return raise_expiry(node);
      case 5: return clear(node);
      case 6:
      case 7:
      case 8: return increment(index);
      case 9: return resolve(index);
      case 10: return node.receive(snapshots_.empty() ? node : random_.one_of(snapshots_), floor_);
      default: return node.receive(random_.one_of(nodes_), floor_);
    }
  }

  // All come to have all, and nothing that was sent before is under way any more.
  void raise_floor() {
    for (Replica& node : nodes_) nodes_.front().receive(node);
    for (Replica& node : nodes_) node.receive(nodes_.front());
    floor_ = nodes_.front().known;
    snapshots_.clear();
  }

  // Somebody who has seen some of the siblings.
  void resolve(std::size_t index) {
    Replica& node = nodes_[index];
    if (!node.row.counter().empty()) return;
    const Dot dot{{100 + index}, node.known.highest({100 + index}) + 1};
    const Stamp stamp{std::max(node.row.greatest_stamp().value + 1, random_.below(50))};
    std::vector<Dot> seen;
    for (const Sibling& sibling : node.row.siblings()) {
      if (random_.below(2) == 0) continue;
      seen.push_back(sibling.dot);
      superseded_.insert(sibling.dot);
    }
    node.row.resolve({dot, stamp, {}, Content::value, "r" + std::to_string(dot.sequence)}, seen);
    node.known.add(dot);
    written_[dot] = {};
  }

  void write(std::size_t index, Content content) {
    Replica& node = nodes_[index];
    const Dot dot{{100 + index}, node.known.highest({100 + index}) + 1};
    const Expiry expiry = random_.below(2) == 0 ? Expiry{} : Expiry{1 + random_.below(100)};
    const Stamp stamp{std::max(node.row.greatest_stamp().value + 1, random_.below(50))};
    const std::string value = content == Content::value ? "v" + std::to_string(dot.sequence) : "";
    for (const Sibling& sibling : node.row.siblings()) superseded_.insert(sibling.dot);
    node.row.write({dot, stamp, expiry, content, value});
    node.known.add(dot);
    written_[dot] = expiry;
  }

  void increment(std::size_t index) {
    Replica& node = nodes_[index];
    const Dot dot{{100 + index}, node.known.highest({100 + index}) + 1};
    const Stamp stamp{std::max(node.row.greatest_stamp().value + 1, random_.below(50))};
    const auto amount = static_cast<std::int64_t>(1 + random_.below(9)) - 5;
    if (amount == 0) return;
    const std::vector<Sibling> before = node.row.siblings();
    REQUIRE(node.row.increment({dot, stamp, Decimal::of(amount)}, {random_.below(100)}) ==
            RegisterRow::Incremented::done);
    node.known.add(dot);
    if (node.row.siblings() == before) return;
    for (const Sibling& sibling : before) superseded_.insert(sibling.dot);
    written_[dot] = {};
  }

  void raise_expiry(Replica& node) {
    const Sibling* winner = node.row.winner();
    if (winner == nullptr || winner->expiry.never()) return;
    const Expiry raised =
        random_.below(4) == 0 ? Expiry{} : Expiry{winner->expiry.millis + 1 + random_.below(50)};
    Expiry& expected = written_[winner->dot];
    expected = std::max(expected, raised);
    node.row.raise_expiry(raised);
  }

  void clear(Replica& node) {
    if (random_.below(3) != 0) return;
    node.clear.join(node.known);
    cleared_.join(node.known);
    node.row.apply_clear(node.clear);
  }

  Random random_;
  std::vector<Replica> nodes_;
  std::vector<Replica> snapshots_;
  std::map<Dot, Expiry> written_;
  std::set<Dot> superseded_;
  Clock cleared_;
  Clock floor_;
};

RegisterRow merged(RegisterRow left, const RegisterRow& right) {
  left.merge(right);
  return left;
}

std::map<Dot, Expiry> live_of(const RegisterRow& row) {
  std::map<Dot, Expiry> live;
  for (const Sibling& sibling : row.siblings()) live[sibling.dot] = sibling.expiry;
  return live;
}

// All that rows must agree on.
std::pair<std::map<Dot, Expiry>, Counter> state_of(const RegisterRow& row) {
  return {live_of(row), row.counter()};
}

// The same without what a clear has covered.
std::map<Dot, Expiry> shown_by(const RegisterRow& row) {
  std::map<Dot, Expiry> shown;
  for (const Sibling& sibling : row.siblings()) {
    if (sibling.content != Content::cleared) shown[sibling.dot] = sibling.expiry;
  }
  return shown;
}

// Calls `test` for each seed, so that a failure names it.
template <class Test>
void for_each_history(Test test) {
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    INFO("seed " << seed);
    History history(seed);
    test(history);
  }
}

std::string encoded(const auto& thing) {
  std::string bytes;
  ByteWriter out(bytes);
  thing.encode(out);
  return bytes;
}

}  // namespace

TEST_CASE("merging rows is commutative, associative and idempotent") {
  for_each_history([](History& history) {
    for (int i = 0; i < 20; ++i) {
      const RegisterRow& x = history.random().one_of(history.snapshots()).row;
      const RegisterRow& y = history.random().one_of(history.snapshots()).row;
      const RegisterRow& z = history.random().one_of(history.snapshots()).row;
      REQUIRE(merged(x, y) == merged(y, x));
      REQUIRE(merged(merged(x, y), z) == merged(x, merged(y, z)));
      REQUIRE(merged(x, x) == x);
      REQUIRE(merged(merged(x, y), y) == merged(x, y));
    }
  });
}

TEST_CASE("a merge says that it changed the row exactly when it did") {
  for_each_history([](History& history) {
    for (int i = 0; i < 20; ++i) {
      RegisterRow row = history.random().one_of(history.snapshots()).row;
      const RegisterRow before = row;
      const bool changed = row.merge(history.random().one_of(history.snapshots()).row);
      REQUIRE(changed == (row != before));
    }
  });
}

TEST_CASE("the order and the number of deliveries do not matter") {
  for_each_history([](History& history) {
    std::vector<Replica> deliveries = history.snapshots();
    Replica first;
    for (const Replica& state : deliveries) first.receive(state);
    deliveries.insert(deliveries.end(), history.snapshots().begin(), history.snapshots().end());
    history.random().shuffle(deliveries);
    Replica second;
    for (const Replica& state : deliveries) second.receive(state);
    // Where a clear came early its siblings may be forgotten that are still kept where it came late.
    REQUIRE(shown_by(first.row) == shown_by(second.row));
    const Replica late = second;
    second.receive(first);
    first.receive(late);
    REQUIRE(first.row == second.row);
    REQUIRE((first.row.digest("k", test_keys()) == second.row.digest("k", test_keys())));
  });
}

TEST_CASE("no dot is lost that nothing superseded, none comes back, and the latest expiry stands") {
  for_each_history([](History& history) {
    Replica all;
    for (const Replica& state : history.snapshots()) all.receive(state);
    REQUIRE(shown_by(all.row) == history.expected_live());
  });
}

TEST_CASE("contexts that go where all have all change nothing of what is shown") {
  for (std::uint64_t seed = 1; seed <= 4 * seeds; ++seed) {
    INFO("seed " << seed);
    History history(seed, History::Contexts::trimmed);
    std::vector<Replica> states = history.snapshots();
    Replica one, other;
    for (const Replica& state : states) one.receive(state);
    history.random().shuffle(states);
    for (const Replica& state : states) other.receive(state);
    REQUIRE(shown_by(one.row) == history.expected_live());
    REQUIRE(shown_by(other.row) == history.expected_live());
    const Replica late = other;
    other.receive(one);
    one.receive(late);
    REQUIRE(state_of(one.row) == state_of(other.row));
  }
}

TEST_CASE("the winner is the sibling with the greatest stamp, actor and sequence") {
  for_each_history([](History& history) {
    for (const Replica& state : history.snapshots()) {
      const Sibling* winner = state.row.winner();
      REQUIRE((winner == nullptr) == shown_by(state.row).empty());
      for (const Sibling& s : state.row.siblings()) {
        if (s.content == Content::cleared) continue;
        REQUIRE(std::tie(winner->stamp, winner->dot) >= std::tie(s.stamp, s.dot));
      }
      for (const std::uint64_t now : {0, 50, 100, 1000}) {
        const bool shows =
            winner != nullptr && winner->content == Content::value && now < winner->expiry.millis;
        REQUIRE((state.row.visible({now}) != nullptr) == shows);
      }
    }
  });
}

TEST_CASE("there is news exactly when a merge changes the live siblings or the counter") {
  for_each_history([](History& history) {
    for (int i = 0; i < 20; ++i) {
      const RegisterRow& mine = history.random().one_of(history.snapshots()).row;
      const RegisterRow& theirs = history.random().one_of(history.snapshots()).row;
      const bool changes = state_of(merged(theirs, mine)) != state_of(theirs);
      REQUIRE(has_news(mine.version(), theirs.version()) == changes);
    }
  });
}

TEST_CASE("digests are equal exactly when the live siblings and the counters are") {
  for_each_history([](History& history) {
    for (int i = 0; i < 20; ++i) {
      const RegisterRow& x = history.random().one_of(history.snapshots()).row;
      const RegisterRow& y = history.random().one_of(history.snapshots()).row;
      const bool same = x.digest("k", test_keys()) == y.digest("k", test_keys());
      REQUIRE(same == (state_of(x) == state_of(y)));
      REQUIRE(x.digest("k", test_keys()) != x.digest("l", test_keys()));
    }
  });
}

TEST_CASE("every row of every history comes back from its bytes") {
  for_each_history([](History& history) {
    for (const Replica& state : history.snapshots()) {
      const std::string bytes = encoded(state.row);
      ByteReader in(bytes);
      REQUIRE(RegisterRow::decode(in) == state.row);
      REQUIRE(in.done());
      ByteReader again(bytes);
      REQUIRE(RegisterRow::decode_version(again) == state.row.version());
      REQUIRE(again.done());
    }
  });
}

TEST_CASE("a row of one sibling shows in place what the whole row shows, every other one nothing") {
  for_each_history([](History& history) {
    for (const Replica& state : history.snapshots()) {
      const std::string body = encode_body("name", state.row);
      const auto only = decode_only_sibling(body);
      const auto& siblings = state.row.siblings();
      REQUIRE(only.has_value() == (siblings.size() == 1 && siblings[0].content != Content::cleared &&
                                   state.row.counter().empty()));
      if (!only) continue;
      REQUIRE(only->content == siblings[0].content);
      REQUIRE(only->expiry == siblings[0].expiry);
      REQUIRE((only->value == siblings[0].value));
      REQUIRE_FALSE(decode_only_sibling(body + '\1').has_value());
      REQUIRE_FALSE(decode_only_sibling(std::string_view(body).substr(0, body.size() - 1)).has_value());
    }
  });
}

TEST_CASE("a row read without its values is the same in all else") {
  for_each_history([](History& history) {
    for (const Replica& state : history.snapshots()) {
      const std::string body = encode_body("name", state.row);
      const auto heads = decode_body_heads(body);
      REQUIRE(heads.has_value());
      REQUIRE(heads->row.version() == state.row.version());
      REQUIRE(heads->row.greatest_stamp() == state.row.greatest_stamp());
      const Sibling* winner = state.row.winner();
      REQUIRE((heads->row.winner() == nullptr) == (winner == nullptr));
      if (winner == nullptr) continue;
      REQUIRE(heads->row.winner()->content == winner->content);
      REQUIRE(heads->row.winner()->value.empty());
    }
  });
}

TEST_CASE("a row with a damaged byte is refused or is another row, whole") {
  for_each_history([](History& history) {
    for (const Replica& state : history.snapshots()) {
      std::string bytes = encoded(state.row);
      const std::size_t place = history.random().below(bytes.size());
      bytes[place] = static_cast<char>(history.random().below(256));
      ByteReader in(bytes);
      const RegisterRow row = RegisterRow::decode(in);
      if (!in.done()) continue;
      const std::string again = encoded(row);
      ByteReader second(again);
      REQUIRE(RegisterRow::decode(second) == row);
      REQUIRE(second.done());
    }
  });
}

namespace {

std::set<Dot> random_dots(Random& random) {
  std::set<Dot> dots;
  const std::uint64_t count = random.below(40);
  for (std::uint64_t i = 0; i < count; ++i) dots.insert({{1 + random.below(3)}, 1 + random.below(20)});
  return dots;
}

Clock clock_of(const std::set<Dot>& dots, Random& random) {
  std::vector<Dot> shuffled(dots.begin(), dots.end());
  shuffled.insert(shuffled.end(), dots.begin(), dots.end());
  random.shuffle(shuffled);
  Clock clock;
  for (const Dot dot : shuffled) clock.add(dot);
  return clock;
}

std::set<Dot> dots_of(const Clock& clock) {
  std::set<Dot> dots;
  for (std::uint64_t actor = 0; actor <= 4; ++actor) {
    for (std::uint64_t sequence = 1; sequence <= 25; ++sequence) {
      if (clock.covers(Dot{{actor}, sequence})) dots.insert({{actor}, sequence});
    }
  }
  return dots;
}

VersionVector bases_of(const Clock& clock) {
  VersionVector bases;
  for (const auto& [actor, entry] : clock.entries()) bases.add({actor, entry.base});
  return bases;
}

std::uint64_t contiguous_of(const std::set<Dot>& dots, ActorId actor) {
  std::uint64_t base = 0;
  while (dots.contains({actor, base + 1})) ++base;
  return base;
}

}  // namespace

TEST_CASE("a clock is the set of dots that were added, in whatever order") {
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    INFO("seed " << seed);
    Random random(seed);
    const std::set<Dot> dots = random_dots(random);
    const Clock clock = clock_of(dots, random);
    REQUIRE(dots_of(clock) == dots);
    REQUIRE(clock == clock_of(dots, random));
    for (std::uint64_t actor = 1; actor <= 3; ++actor) {
      REQUIRE(clock.base({actor}) == contiguous_of(dots, {actor}));
    }
  }
}

TEST_CASE("joining clocks is the union of their dots, and covers is inclusion") {
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    INFO("seed " << seed);
    Random random(seed);
    const std::set<Dot> left = random_dots(random);
    const std::set<Dot> right = random_dots(random);
    std::set<Dot> both = left;
    both.insert(right.begin(), right.end());
    const Clock left_clock = clock_of(left, random);
    const Clock right_clock = clock_of(right, random);
    Clock joined = left_clock;
    joined.join(right_clock);
    REQUIRE(joined == clock_of(both, random));
    REQUIRE((joined.covers(left_clock) && joined.covers(right_clock)));
    REQUIRE(left_clock.covers(right_clock) ==
            std::includes(left.begin(), left.end(), right.begin(), right.end()));
  }
}

TEST_CASE("a clock comes back from its bytes, and equal clocks have equal digests") {
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    INFO("seed " << seed);
    Random random(seed);
    const std::set<Dot> dots = random_dots(random);
    const Clock clock = clock_of(dots, random);
    const std::string bytes = encoded(clock);
    ByteReader in(bytes);
    REQUIRE(Clock::decode(in) == clock);
    REQUIRE(in.done());
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      ByteReader cut(std::string_view(bytes).substr(0, size));
      Clock::decode(cut);
      REQUIRE_FALSE(cut.done());
    }
    REQUIRE(clock.digest(test_keys().digest) == clock_of(dots, random).digest(test_keys().digest));
  }
}

TEST_CASE("version vectors join like sets, cover like sets and come back from their bytes") {
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    INFO("seed " << seed);
    Random random(seed);
    const VersionVector left = bases_of(clock_of(random_dots(random), random));
    const VersionVector right = bases_of(clock_of(random_dots(random), random));
    VersionVector joined = left;
    joined.join(right);
    for (std::uint64_t actor = 0; actor <= 4; ++actor) {
      REQUIRE(joined.sequence({actor}) == std::max(left.sequence({actor}), right.sequence({actor})));
    }
    REQUIRE((joined.covers(left) && joined.covers(right)));
    REQUIRE(left.covers(right) == (joined == left));
    const std::string bytes = encoded(joined);
    ByteReader in(bytes);
    REQUIRE(VersionVector::decode(in) == joined);
    REQUIRE(in.done());
  }
}

TEST_CASE("a hybrid clock rises with each stamp and is never dragged further ahead than allowed") {
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    INFO("seed " << seed);
    Random random(seed);
    const Millis ahead(100);
    HybridClock clock(ahead);
    std::uint64_t latest = 0;
    Stamp last;
    for (int i = 0; i < 100; ++i) {
      const WallTime now{10'000 + random.below(1000)};
      latest = std::max(latest, now.millis);
      if (random.below(2) == 0) {
        clock.observe({Stamp::at({random.below(20'000)}).value + random.below(5)}, now);
      } else {
        const Stamp issued = clock.issue(now, {});
        REQUIRE(issued > last);
        last = issued;
      }
      REQUIRE(clock.last().time().millis <= latest + 100);
    }
  }
}
