#include "merkle/tree.h"

#include <catch2/catch.hpp>
#include <map>
#include <random>

#include "base/check.h"

using namespace knit;

namespace {

// Rows that are nothing but a position and a digest.
class DigestRows final : public RowSource {
 public:
  using Rows = std::map<std::string, Uint128>;

  Result<void> visit_rows(Range range, std::string_view from_row_key,
                          FunctionRef<bool(const RowView&)> visit) const override {
    if (broken) return fail(ErrorCode::io, "broken");
    const std::string start = ordered ? row_key(range.first) : first_row_key_at(range.first);
    for (auto row = rows.lower_bound(std::max(start, std::string(from_row_key))); row != rows.end(); ++row) {
      const Position position = position_of(row->first);
      if (position.key_hash > range.last.key_hash || (ordered && position > range.last)) break;
      if (range.contains(position) && !visit({position, row->first, row->second, {}})) break;
    }
    return {};
  }

  // The row at `position`, `twin` telling rows at the same position apart.
  static std::string row_key(Position position, std::uint8_t twin = 0) {
    std::string key;
    ByteWriter out(key);
    out.u64(position.key_hash);
    out.u16(0);
    out.u8(1);
    out.u64(position.element_hash);
    out.u8(twin);
    return key;
  }

  void change(Tree& tree, const std::string& key, std::optional<Uint128> after) {
    const auto found = rows.find(key);
    const auto before = found == rows.end() ? std::nullopt : std::optional(found->second);
    if (after) {
      rows[key] = *after;
    } else {
      rows.erase(key);
    }
    tree.apply(position_of(key), before, after);
  }

  Summary sum(Range range) const {
    Summary sum;
    for (auto row = rows.lower_bound(first_row_key_at(range.first)); row != rows.end(); ++row) {
      const Position position = position_of(row->first);
      if (position.key_hash > range.last.key_hash) break;
      if (range.contains(position)) sum += Summary{row->second, 1};
    }
    return sum;
  }

  Rows rows;
  bool broken = false;
  bool ordered = true;  // The rows of one key hash are in the order of their positions.
};

Uint128 random128(std::mt19937_64& random) { return (Uint128{random()} << 64) | random(); }

void build(Tree& tree, std::size_t rows_a_step = 1000) {
  while (!tree.complete()) REQUIRE(tree.build_step(rows_a_step));
}

// Walks all leaves: they must touch each other, be aligned, and equal the rows.
std::size_t require_true_leaves(const Tree& tree, const DigestRows& rows) {
  std::size_t leaves = 0;
  std::size_t overfull = 0;
  Summary total;
  Uint128 start = 0;
  do {
    const Tree::Leaf leaf = tree.leaf_at(Position::of(start));
    const Uint128 last = leaf.range.last.number();
    const Uint128 size = last - start + 1;  // 0 for the whole space.
    REQUIRE((leaf.range.first.number() == start));
    REQUIRE(((size & (size - 1)) == 0 && (start & (size - 1)) == 0));
    REQUIRE((leaf.summary == rows.sum(leaf.range)));
    if (leaf.summary.count > Tree::leaf_rows_max && size != 1) ++overfull;
    total += leaf.summary;
    start = last + 1;
    ++leaves;
  } while (start != 0);
  CHECK(leaves == tree.leaves());
  CHECK((total == tree.total()));
  return overfull;
}

Range random_prefix(std::mt19937_64& random, const DigestRows& rows) {
  Position base = Position::of(random128(random));
  if (!rows.rows.empty() && random() % 2 == 0) {
    auto row = rows.rows.lower_bound(first_row_key_at(base));
    if (row != rows.rows.end()) base = position_of(row->first);
  }
  Prefix prefix;
  const unsigned nibbles = static_cast<unsigned>(random() % 33);
  for (unsigned i = 0; i < nibbles; ++i) {
    prefix = prefix.child(static_cast<unsigned>(base.number() >> (124 - 4 * i)) & 15);
  }
  return prefix.range();
}

}  // namespace

TEST_CASE("a tree of no rows is one empty leaf") {
  DigestRows rows;
  Tree tree(rows);
  CHECK_FALSE(tree.complete());
  CHECK(tree.built_fraction() == 0);
  build(tree);
  CHECK(tree.built_fraction() == 1);
  CHECK(tree.leaves() == 1);
  CHECK((tree.leaf_at({5, 5}).range == Range::all()));
  CHECK((tree.total() == Summary{}));
}

TEST_CASE("every leaf and every prefix equals the sum over its rows, whatever happens") {
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    INFO("seed " << seed);
    std::mt19937_64 random(seed);
    DigestRows rows;
    Tree tree(rows);
    // Few key hashes give large collections, few elements give rows at the same position.
    const std::uint64_t key_spread = seed % 3 == 0 ? 3 : ~std::uint64_t{0};
    const auto random_key = [&] {
      const std::uint64_t key_hash = (random() % key_spread) * (~std::uint64_t{0} / key_spread);
      const std::uint64_t element = seed % 2 == 0 ? random() : 0;
      return DigestRows::row_key({key_hash, element}, static_cast<std::uint8_t>(random() % 40));
    };
    for (int step = 0; step < 6000; ++step) {
      const std::uint64_t dice = random() % 16;
      const bool shrinking = step / 2000 == 1;
      if (dice < (shrinking ? 3 : 8)) {
        rows.change(tree, random_key(), random128(random));
      } else if (!rows.rows.empty()) {
        auto row = rows.rows.lower_bound(random_key());
        if (row == rows.rows.end()) row = rows.rows.begin();
        const std::string key = row->first;
        if (dice < 12) {
          rows.change(tree, key, random128(random));
        } else {
          rows.change(tree, key, std::nullopt);
        }
      }
      if (!tree.complete() && step % 50 == 0 && step > 500) REQUIRE(tree.build_step(20));
      if (tree.complete() && step % 500 == 499) REQUIRE(require_true_leaves(tree, rows) == 0);
      if (step == 4500) tree.restart();
      if (tree.complete() && step % 97 == 0) {
        const Range range = random_prefix(random, rows);
        const auto summary = tree.summary(range);
        REQUIRE(summary);
        REQUIRE((*summary == rows.sum(range)));
      }
    }
    build(tree, 20);
    CHECK(require_true_leaves(tree, rows) == 0);
  }
}

TEST_CASE("a build that is under way holds what it has passed, and ignores what it has not") {
  std::mt19937_64 random(1);
  DigestRows rows;
  for (int i = 0; i < 2000; ++i) rows.rows[DigestRows::row_key({random(), 0})] = random128(random);
  Tree tree(rows);
  REQUIRE(tree.build_step(500));
  REQUIRE_FALSE(tree.complete());
  const Uint128 built_to = tree.built_to().number();
  CHECK(tree.built_fraction() > 0.1);
  CHECK(tree.built_fraction() < 0.5);
  for (int i = 0; i < 500; ++i) rows.change(tree, DigestRows::row_key({random(), 0}), random128(random));
  CHECK((tree.total() == rows.sum({{0, 0}, Position::of(built_to - 1)})));
  CHECK((tree.summary(Range::all()) == tree.total()));
  CHECK((tree.summary({Position::of(built_to), Range::all().last}) == Summary{}));
  build(tree);
  CHECK(require_true_leaves(tree, rows) == 0);
}

TEST_CASE("a build gives the leaves that growing gives") {
  std::mt19937_64 random(7);
  DigestRows rows;
  Tree grown(rows);
  build(grown);
  for (int i = 0; i < 3000; ++i) rows.change(grown, DigestRows::row_key({random(), 0}), random128(random));
  Tree built(rows);
  build(built, 300);
  CHECK(built.leaves() == grown.leaves());
}

TEST_CASE("the tree descends into a collection of 100,000 elements below one key") {
  std::mt19937_64 random(3);
  DigestRows rows;
  for (int i = 0; i < 1000; ++i) rows.rows[DigestRows::row_key({random(), 0})] = random128(random);
  for (int i = 0; i < 100'000; ++i) rows.rows[DigestRows::row_key({77, random()})] = random128(random);
  Tree tree(rows);
  build(tree);
  CHECK(tree.leaves() > 100'000 / Tree::leaf_rows_max);
  for (const auto& [key, digest] : rows.rows) {
    REQUIRE(tree.leaf_at(position_of(key)).summary.count <= Tree::leaf_rows_max);
  }
  const Range half{{77, 0}, {77, ~std::uint64_t{0} / 2}};
  CHECK((tree.summary(half) == rows.sum(half)));

  Tree growing(rows);
  DigestRows::Rows all;
  std::swap(all, rows.rows);
  build(growing);
  for (const auto& [key, digest] : all) rows.change(growing, key, digest);
  CHECK(growing.leaves() == tree.leaves());
  for (const auto& [key, digest] : all) rows.change(growing, key, std::nullopt);
  CHECK(growing.leaves() < 1000);  // They went with the collection.
}

TEST_CASE("many rows at one position stay in one leaf") {
  DigestRows rows;
  for (int i = 0; i < 200; ++i) rows.rows[DigestRows::row_key({9, 9}, static_cast<std::uint8_t>(i))] = 1;
  Tree tree(rows);
  build(tree, 10);
  CHECK(tree.leaf_at({9, 9}).summary.count == 200);
  CHECK((tree.leaf_at({9, 9}).range == Range{{9, 9}, {9, 9}}));
}

TEST_CASE("rows of one key hash count whatever their order") {
  DigestRows rows;
  rows.ordered = false;
  std::mt19937_64 random(5);
  for (std::uint64_t key = 0; key < 50; ++key) {
    for (int i = 0; i < 30; ++i) {
      std::string row_key = DigestRows::row_key({key, random()});
      row_key[10] = static_cast<char>(random() % 2);  // The kind stands in front of the element.
      rows.rows[row_key] = random128(random);
    }
  }
  Tree tree(rows);
  build(tree, 45);
  CHECK(require_true_leaves(tree, rows) == 0);
}

TEST_CASE("a leaf whose rows cannot be read stays overfull and correct, and is split later") {
  std::mt19937_64 random(2);
  DigestRows rows;
  Tree tree(rows);
  build(tree);
  rows.broken = true;
  for (int i = 0; i < 30; ++i) rows.change(tree, DigestRows::row_key({random(), 0}), random128(random));
  CHECK(tree.leaves() == 1);
  CHECK((tree.total() == rows.sum(Range::all())));
  CHECK_FALSE(tree.summary({{0, 0}, {~std::uint64_t{0} / 2, 0}}));
  rows.broken = false;
  for (int i = 0; i < 30; ++i) rows.change(tree, DigestRows::row_key({random(), 0}), random128(random));
  CHECK(require_true_leaves(tree, rows) == 0);
}

TEST_CASE("a build step that cannot read changes nothing") {
  DigestRows rows;
  rows.rows[DigestRows::row_key({1, 1})] = 5;
  rows.broken = true;
  Tree tree(rows);
  CHECK_FALSE(tree.build_step(10));
  rows.broken = false;
  build(tree);
  CHECK((tree.total() == Summary{5, 1}));
}

TEST_CASE("rows that came by inserts take less than 4 bytes each") {
  std::mt19937_64 random(4);
  constexpr int rows_grown = 100'000;
  DigestRows rows;
  Tree tree(rows);
  build(tree);
  for (int i = 0; i < rows_grown; ++i)
    rows.change(tree, DigestRows::row_key({random(), 0}), random128(random));
  CHECK(tree.memory_bytes() < 4 * rows_grown);
}

TEST_CASE("the root digest tells sums, counts and clears apart") {
  const HashKeys keys;
  DigestRows rows;
  Tree tree(rows);
  build(tree);
  const Uint128 empty = root_digest(tree, {}, keys);
  Clock clear;
  clear.add({{1}, 1});
  CHECK((root_digest(tree, clear, keys) != empty));
  rows.change(tree, DigestRows::row_key({1, 1}), Uint128{0});
  CHECK((root_digest(tree, {}, keys) != empty));
}
