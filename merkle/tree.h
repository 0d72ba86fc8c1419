// The Merkle tree over all rows of a node: a cache of the rows, in memory, never the truth.
//
// It is kept as its leaves alone, in the order of positions. A leaf covers an aligned range of
// positions (a power of two, in binary prefixes) and holds the sum of its rows' digests modulo
// 2^128 and their number. An overwrite adds new - old: O(1), no sibling read. Inner nodes are sums
// of leaves, so the fan-out is a choice of whoever asks. Leaves split one at a time when more than
// leaf_rows_max rows lie in one, below a single key too (by H(element)).
//
// One thread. Invariants, once complete():
//  1. The leaves cover all positions, each exactly once.
//  2. Each leaf equals the sum over the rows of its range.
// While it is being built both hold for the positions below built_to().
//
// Leaves lie in pages of up to page_leaves_max, each with a summary of its own. At leaf_rows_max 16 a
// leaf holds 11 rows on average and a row costs about 3.5 bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "merkle/range.h"
#include "merkle/replica.h"

namespace knit {

// Of the rows of a range.
struct Summary {
  Uint128 sum{};
  std::uint64_t count{};
  bool operator==(const Summary&) const = default;
  Summary& operator+=(const Summary& other) {
    sum += other.sum;
    count += other.count;
    return *this;
  }
};

class Tree {
 public:
  static constexpr std::size_t leaf_rows_max = 16;
  static constexpr std::size_t page_leaves_max = 128;

  // `rows` must outlive the tree. It is read when a leaf splits, when a range cuts through a leaf,
  // and during the build. Starts incomplete.
  explicit Tree(const RowSource& rows);
  ~Tree();

  // A row changed from `before` to `after` (empty: was not there, or is not any more). To be called after
  // `rows` shows the change and before `rows` shows another, or anything is asked. Ignored for positions that
  // are not built yet. A leaf whose rows cannot be read stays overfull, and correct, until a later insert.
  void apply(Position position, std::optional<Uint128> before, std::optional<Uint128> after);

  // Forgets everything; the build begins anew.
  void restart();
  // Adds the next rows, at most about rows_max of them. Call until complete(). Rows may change between
  // steps. On an error nothing was added. Expects the rows of one key hash that do not fit into a step
  // in the order of their positions, as the elements of one collection are.
  Result<void> build_step(std::size_t rows_max);
  bool complete() const;
  Position built_to() const;      // The first position that is not built. Requires: not complete().
  double built_fraction() const;  // Of the positions, 0 to 1.

  Summary total() const;                       // O(1).
  Result<Summary> summary(Range range) const;  // O(pages); reads rows where `range` cuts a leaf.

  // Rows whose keys have these hashes are to be changed next: waits for all of their leaves at once.
  void expect(std::span<const std::uint64_t> key_hashes) const;

  // The leaf that holds `position`, for a proof of invariant 2. Requires: complete().
  struct Leaf {
    Range range;
    Summary summary;
  };
  Leaf leaf_at(Position position) const;

  std::size_t leaves() const;
  std::size_t memory_bytes() const;  // All that it holds, allocator overhead aside.

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// What nodes compare to see whether they agree: all rows, and what clears cover.
Uint128 root_digest(const Tree& tree, const Clock& clear, const HashKeys& keys);

}  // namespace knit
