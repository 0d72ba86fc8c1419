#include "merkle/tree.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/check.h"
#include "base/fault.h"
#include "merkle/leaf_pages.h"

namespace knit {

namespace {

constexpr Uint128 top = ~Uint128{0};

struct PlacedDigest {
  Uint128 position{};
  Uint128 digest{};
};

Summary one_row(const std::optional<Uint128>& digest) { return digest ? Summary{*digest, 1} : Summary{}; }

bool by_position(const PlacedDigest& a, const PlacedDigest& b) { return a.position < b.position; }

// Rows of one key hash may come in another order than that of their positions.
void sort_by_position(std::vector<PlacedDigest>& rows) {
  if (!std::is_sorted(rows.begin(), rows.end(), by_position)) {
    std::sort(rows.begin(), rows.end(), by_position);
  }
}

constexpr int position_bits = 128;

int zeros_below(Uint128 number) {
  const auto low = static_cast<std::uint64_t>(number);
  return low != 0 ? std::countr_zero(low) : 64 + std::countr_zero(static_cast<std::uint64_t>(number >> 64));
}

// Requires: number is not 0.
int highest_bit(Uint128 number) {
  const auto high = static_cast<std::uint64_t>(number >> 64);
  return high != 0 ? 127 - std::countl_zero(high) : 63 - std::countl_zero(static_cast<std::uint64_t>(number));
}

// The end of the largest aligned power-of-two range that starts at `start` and ends at or below
// `limit`. Requires: start <= limit.
Uint128 aligned_end(Uint128 start, Uint128 limit) {
  const Uint128 room = limit - start;  // Of positions behind the first.
  const int bits = std::min(zeros_below(start), room == top ? position_bits : highest_bit(room + 1));
  return start + (bits == position_bits ? top : (Uint128{1} << bits) - 1);
}

// Cuts rows into leaves, from left to right. Each is the largest aligned range that starts where the
// last one ended and holds at most leaf_rows_max rows: the leaves of a binary trie.
class LeafCutter {
 public:
  // `rows` are all that lie between `start` and `known_to`, by position.
  LeafCutter(const std::vector<PlacedDigest>& rows, Uint128 start, Uint128 known_to)
      : rows_(rows), start_(start), known_to_(known_to) {}

  // Where the leaf that starts at start() ends if the rows alone decide; empty if they are too few to say.
  std::optional<Uint128> end_by_rows() const {
    if (next_ + Tree::leaf_rows_max >= rows_.size()) return std::nullopt;
    const Uint128 first_outside = rows_[next_ + Tree::leaf_rows_max].position;
    // More rows than that at one position stay together: it cannot be split.
    return first_outside > start_ ? aligned_end(start_, first_outside - 1) : start_;
  }
  Uint128 end_by_knowledge() const { return end_by_rows().value_or(aligned_end(start_, known_to_)); }

  LeafEntry cut(Uint128 end) {
    Summary summary;
    for (; next_ < rows_.size() && rows_[next_].position <= end; ++next_) {
      summary += Summary{rows_[next_].digest, 1};
    }
    const LeafEntry leaf = make_leaf(start_, summary);
    finished_ = end == top;
    start_ = end + 1;
    return leaf;
  }
  Uint128 start() const { return start_; }
  bool finished() const { return finished_ || start_ > known_to_; }
  bool at_top() const { return finished_; }

 private:
  const std::vector<PlacedDigest>& rows_;
  std::size_t next_ = 0;
  Uint128 start_;
  Uint128 known_to_;
  bool finished_ = false;
};

// The next rows of a build: all that lie between where it starts and known_to.
struct Chunk {
  std::vector<PlacedDigest> rows;
  Uint128 known_to{};
  bool nothing_known{};  // Not even the first position: more rows must be read at once.
};

struct ChunkReader {
  std::vector<PlacedDigest> rows;
  std::size_t visits_left;
  std::optional<Uint128> stopped_at;  // The position of the first row that was not taken.

  bool visit(const RowView& row) {
    const Uint128 position = row.position.number();
    if (visits_left == 0) {
      stopped_at = position;
      return false;
    }
    --visits_left;
    rows.push_back({position, row.digest});
    return true;
  }
};

constexpr Uint128 key_hash_of(Uint128 position) { return position >> 64; }

Result<Chunk> read_chunk(const RowSource& source, Uint128 from, std::size_t rows_max) {
  ChunkReader reader{{}, rows_max, std::nullopt};
  reader.rows.reserve(std::min<std::size_t>(rows_max, 1 << 16));
  auto read = source.visit_rows({Position::of(from), Position::of(top)}, {},
                                [&](const RowView& row) { return reader.visit(row); });
  if (!read) return tl::unexpected(std::move(read.error()));
  Chunk chunk{std::move(reader.rows), top, false};
  sort_by_position(chunk.rows);
  if (!reader.stopped_at) return chunk;
  // Of a key hash that the chunk cuts, rows in front may still be missing: it is left for the next
  // step, unless the chunk began inside it.
  const Uint128 group = key_hash_of(*reader.stopped_at) << 64;
  const Uint128 unknown_from = group > from ? group : *reader.stopped_at;
  chunk.nothing_known = unknown_from <= from;
  chunk.known_to = unknown_from - 1;
  std::erase_if(chunk.rows, [&](const PlacedDigest& row) { return row.position >= unknown_from; });
  return chunk;
}

}  // namespace

struct Tree::State {
  const RowSource& rows;
  LeafPages leaves;
  Uint128 built_to = 0;
  bool complete = false;

  bool built(Uint128 position) const { return complete || position < built_to; }
  Uint128 end_of(LeafPages::Place place) const {
    const Uint128 next = leaves.next_start(place);
    return (next == 0 && !complete ? built_to : next) - 1;
  }
  void split(LeafPages::Place place);
  void unite(LeafPages::Place place);
  bool unite_pair(LeafPages::Place left);
  void add_leaves(const Chunk& chunk);
  Result<Summary> read_summary(Uint128 first, Uint128 last) const;
  Result<Summary> page_part(std::size_t page, Uint128 first, Uint128 last) const;
};

Tree::Tree(const RowSource& rows) : state_(std::make_unique<State>(State{rows, {}, 0, false})) {}
Tree::~Tree() = default;

void Tree::expect(std::span<const std::uint64_t> key_hashes) const { state_->leaves.expect(key_hashes); }

void Tree::apply(Position position, std::optional<Uint128> before, std::optional<Uint128> after) {
  const Uint128 number = position.number();
  if (!state_->built(number)) return;
  const LeafPages::Place place = state_->leaves.find(number);
  state_->leaves.adjust(place, one_row(before), one_row(after));
  if (before.has_value() == after.has_value()) return;
  const std::uint64_t count = state_->leaves.summary(place).count;
  // A leaf that could not be split is tried again at every leaf_rows_max-th insert only.
  if (after && count > leaf_rows_max && count % leaf_rows_max == 1) state_->split(place);
  if (before && count < leaf_rows_max / 4) state_->unite(place);
}

void Tree::State::split(LeafPages::Place place) {
  const Uint128 first = leaves.start(place);
  const Uint128 last = end_of(place);
  if (first == last) return;
  std::vector<PlacedDigest> found;
  Summary sum;
  const auto read = rows.visit_rows({Position::of(first), Position::of(last)}, {}, [&](const RowView& row) {
    found.push_back({row.position.number(), row.digest});
    sum += Summary{row.digest, 1};
    return true;
  });
  // If the rows show more than was applied here, a split now would count that twice.
  if (!read || sum != leaves.summary(place)) return;
  sort_by_position(found);
  if (planted(Fault::row_lost_by_split)) found.pop_back();
  std::vector<LeafEntry> parts;
  LeafCutter cutter(found, first, last);
  while (!cutter.finished()) parts.push_back(cutter.cut(cutter.end_by_knowledge()));
  leaves.replace(place, parts);
}

// Leaves that ran empty go again, or a collection that comes and goes would leave its leaves behind.
void Tree::State::unite(LeafPages::Place place) {
  for (bool united = true; united;) {
    united = unite_pair(place);
    if (!united && place.leaf > 0) {
      const LeafPages::Place left{place.page, place.leaf - 1};
      united = unite_pair(left);
      if (united) place = left;
    }
  }
  leaves.unite_small_pages(place.page);
}

bool Tree::State::unite_pair(LeafPages::Place left) {
  const LeafPages::Place right{left.page, left.leaf + 1};
  if (right.leaf >= leaves.pages()[left.page].size()) return false;
  const Uint128 start = leaves.start(left);
  const Uint128 size = leaves.start(right) - start;
  const bool twins = (start & size) == 0 && end_of(right) - leaves.start(right) == size - 1;
  if (!twins || leaves.summary(left).count + leaves.summary(right).count > leaf_rows_max / 2) return false;
  leaves.unite_with_next(left);
  return true;
}

void Tree::restart() {
  state_->leaves.clear();
  state_->built_to = 0;
  state_->complete = false;
}

Result<void> Tree::build_step(std::size_t rows_max) {
  if (state_->complete) return {};
  // Enough to finish a leaf, however small the step.
  for (std::size_t rows = std::max(rows_max, 2 * leaf_rows_max);; rows *= 2) {
    auto chunk = read_chunk(state_->rows, state_->built_to, rows);
    if (!chunk) return tl::unexpected(std::move(chunk.error()));
    if (chunk->nothing_known) continue;
    state_->add_leaves(*chunk);
    return {};
  }
}

void Tree::State::add_leaves(const Chunk& chunk) {
  LeafCutter cutter(chunk.rows, built_to, chunk.known_to);
  const bool all_known = chunk.known_to == top;
  bool added = false;
  // The last leaf of a chunk would end where our knowledge ends, so it is left to the next step, unless
  // there is nothing else.
  while (!cutter.finished()) {
    const auto end = cutter.end_by_rows();
    if (!end && !all_known && added) break;
    const bool by_rows = end.has_value();
    leaves.append(cutter.cut(by_rows ? *end : cutter.end_by_knowledge()));
    added = added || by_rows;
  }
  built_to = cutter.start();
  complete = cutter.at_top();
}

bool Tree::complete() const { return state_->complete; }

Position Tree::built_to() const { return Position::of(state_->built_to); }

double Tree::built_fraction() const {
  return state_->complete ? 1.0 : std::ldexp(static_cast<double>(state_->built_to), -128);
}

Summary Tree::total() const { return state_->leaves.total(); }

Result<Summary> Tree::State::read_summary(Uint128 first, Uint128 last) const {
  Summary sum;
  auto read = rows.visit_rows({Position::of(first), Position::of(last)}, {}, [&](const RowView& row) {
    sum += Summary{row.digest, 1};
    return true;
  });
  if (!read) return tl::unexpected(std::move(read.error()));
  return sum;
}

Result<Summary> Tree::State::page_part(std::size_t page, Uint128 first, Uint128 last) const {
  Summary sum;
  const Uint128 page_first = leaves.page_start(page);
  const std::size_t from = first <= page_first ? 0 : leaves.find(first).leaf;
  for (LeafPages::Place place{page, from}; place.leaf < leaves.pages()[page].size(); ++place.leaf) {
    const Uint128 leaf_first = leaves.start(place);
    if (leaf_first > last) break;
    const Uint128 leaf_last = end_of(place);
    if (leaf_last < first) continue;  // Only behind what is built.
    const Summary leaf = leaves.summary(place);
    if ((first <= leaf_first && leaf_last <= last) || leaf.count == 0) {
      sum += leaf;
      continue;
    }
    auto part = read_summary(std::max(first, leaf_first), std::min(last, leaf_last));
    if (!part) return part;
    sum += *part;
  }
  return sum;
}

Result<Summary> Tree::summary(Range range) const {
  const Uint128 first = range.first.number();
  const Uint128 last = range.last.number();
  const LeafPages& leaves = state_->leaves;
  Summary sum;
  if (leaves.empty()) return sum;
  for (std::size_t page = leaves.find(first).page; page < leaves.pages().size(); ++page) {
    if (leaves.page_start(page) > last) break;
    const LeafPages::Place last_leaf{page, leaves.pages()[page].size() - 1};
    if (first <= leaves.page_start(page) && state_->end_of(last_leaf) <= last) {
      sum += leaves.pages()[page].summary;
      continue;
    }
    auto part = state_->page_part(page, first, last);
    if (!part) return part;
    sum += *part;
  }
  return sum;
}

Tree::Leaf Tree::leaf_at(Position position) const {
  check(state_->complete, "leaves cover all positions once the tree is complete");
  const LeafPages::Place place = state_->leaves.find(position.number());
  const Range range{Position::of(state_->leaves.start(place)), Position::of(state_->end_of(place))};
  return {range, state_->leaves.summary(place)};
}

std::size_t Tree::leaves() const { return state_->leaves.size(); }

std::size_t Tree::memory_bytes() const { return sizeof(State) + state_->leaves.memory_bytes(); }

Uint128 root_digest(const Tree& tree, const Clock& clear, const HashKeys& keys) {
  std::string bytes;
  ByteWriter out(bytes);
  out.u128(tree.total().sum);
  out.u64(tree.total().count);
  clear.encode(out);
  return siphash128(bytes, keys.digest);
}

}  // namespace knit
