// The leaves of a tree, in pages: how they are stored, found, added and taken away. Knows nothing of
// rows; the tree decides what a leaf covers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "merkle/tree.h"

namespace knit {

// Where a leaf starts, and what it holds. It ends where the next one starts. 36 bytes without padding:
// there are many, and what an overwrite reads and changes of one mostly lies in one cache line.
#pragma pack(push, 4)
struct LeafEntry {
  Uint128 start{};
  Uint128 sum{};
  std::uint32_t count{};

  Summary summary() const { return {sum, count}; }
};
#pragma pack(pop)

LeafEntry make_leaf(Uint128 start, const Summary& summary);

// A run of leaves. Capacity grows by a few leaves at a time, because memory matters more here than the copy.
struct LeafPage {
  std::vector<LeafEntry> leaves;
  Summary summary;

  std::size_t size() const { return leaves.size(); }
  void append(const LeafEntry& leaf);
  void append(const LeafPage& other, std::size_t from, std::size_t to);
  std::size_t memory_bytes() const { return leaves.capacity() * sizeof(LeafEntry); }

 private:
  void reserve(std::size_t count);
};

// All leaves, ascending by start, no page empty.
class LeafPages {
 public:
  // Names a leaf until leaves are added or taken away.
  struct Place {
    std::size_t page{};
    std::size_t leaf{};
  };

  bool empty() const { return pages_.empty(); }
  std::size_t size() const { return leaves_; }
  const Summary& total() const { return total_; }
  const std::vector<LeafPage>& pages() const { return pages_; }
  std::size_t memory_bytes() const;

  Place find(Uint128 position) const;  // Requires: a leaf starts at or below `position`.
  // Leaves at these hashes are to be found next: waits for all of their memory at once.
  void expect(std::span<const std::uint64_t> key_hashes) const;
  Uint128 start(Place place) const { return pages_[place.page].leaves[place.leaf].start; }
  Summary summary(Place place) const { return pages_[place.page].leaves[place.leaf].summary(); }
  Uint128 page_start(std::size_t page) const { return page_starts_[page]; }
  // The start of the next leaf; 0 if there is none.
  Uint128 next_start(Place place) const;
  // Adds `after` and takes `before` away, each empty or one row.
  void adjust(Place place, const Summary& before, const Summary& after);

  void append(const LeafEntry& leaf);  // Requires: it starts above all others.
  // Puts `leaves` in the place of one. Requires: they cover the same positions and hold the same rows.
  void replace(Place place, const std::vector<LeafEntry>& leaves);
  // Unites a leaf with the next one. Requires: both are in the same page.
  void unite_with_next(Place place);
  // Keeps pages from running empty one by one: small ones take small neighbours in. Moves places.
  void unite_small_pages(std::size_t page);
  void clear() { *this = LeafPages{}; }

 private:
  void split(std::size_t page);
  void unite_with_next_page(std::size_t page);

  std::vector<Uint128> page_starts_;  // Of pages_, close together for the search.
  std::vector<LeafPage> pages_;
  std::size_t leaves_ = 0;
  Summary total_;
};

}  // namespace knit
