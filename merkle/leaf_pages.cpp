#include "merkle/leaf_pages.h"

#include <algorithm>
#include <limits>

#include "base/check.h"
#include "base/touch.h"

namespace knit {

namespace {

constexpr std::size_t growth_leaves = 8;

auto at(auto& elements, std::size_t index) { return elements.begin() + static_cast<std::ptrdiff_t>(index); }

Uint128 start_of(Uint128 start) { return start; }
Uint128 start_of(const LeafEntry& leaf) { return leaf.start; }

// Where `wanted` would lie if the starts were spread evenly, as hashes are: mostly a step or two off,
// which spares most of the cache misses of a binary search.
std::size_t guess(Uint128 first, Uint128 last, std::size_t size, Uint128 wanted) {
  const auto span = static_cast<std::uint64_t>((last - first) >> 64);
  const auto offset = static_cast<std::uint64_t>((wanted - first) >> 64);
  if (offset >= span) return size - 1;
  return static_cast<std::size_t>(static_cast<double>(offset) / static_cast<double>(span) *
                                  static_cast<double>(size - 1));
}

// The index of the last element that starts at or below `wanted`. Requires: there is one.
template <class Element>
std::size_t last_at_or_below(const std::vector<Element>& elements, Uint128 wanted) {
  const std::size_t size = elements.size();
  std::size_t low = guess(start_of(elements.front()), start_of(elements.back()), size, wanted);
  std::size_t high = low + 1;
  for (std::size_t step = 1; start_of(elements[low]) > wanted; step *= 2) {
    high = low;
    low -= std::min(low, step);
  }
  for (std::size_t step = 1; high < size && start_of(elements[high]) <= wanted; step *= 2) {
    low = high;
    high = std::min(size, high + step);
  }
  const auto above =
      std::upper_bound(at(elements, low), at(elements, high), wanted,
                       [](Uint128 position, const Element& element) { return position < start_of(element); });
  return static_cast<std::size_t>(above - elements.begin()) - 1;
}

std::uint32_t narrow(std::uint64_t count) {
  check(count <= std::numeric_limits<std::uint32_t>::max(), "a leaf holds fewer than 2^32 rows");
  return static_cast<std::uint32_t>(count);
}

}  // namespace

LeafEntry make_leaf(Uint128 start, const Summary& summary) {
  return {start, summary.sum, narrow(summary.count)};
}

void LeafPage::reserve(std::size_t count) {
  if (count <= leaves.capacity()) return;
  leaves.reserve((count + growth_leaves - 1) / growth_leaves * growth_leaves);
}

void LeafPage::append(const LeafEntry& leaf) {
  reserve(size() + 1);
  leaves.push_back(leaf);
  summary += leaf.summary();
}

void LeafPage::append(const LeafPage& other, std::size_t from, std::size_t to) {
  reserve(size() + to - from);
  for (std::size_t i = from; i < to; ++i) append(other.leaves[i]);
}

std::size_t LeafPages::memory_bytes() const {
  std::size_t bytes = page_starts_.capacity() * sizeof(Uint128) + pages_.capacity() * sizeof(LeafPage);
  for (const LeafPage& page : pages_) bytes += page.memory_bytes();
  return bytes;
}

LeafPages::Place LeafPages::find(Uint128 position) const {
  const std::size_t page = last_at_or_below(page_starts_, position);
  return {page, last_at_or_below(pages_[page].leaves, position)};
}

void LeafPages::expect(std::span<const std::uint64_t> key_hashes) const {
  if (empty()) return;
  for (const std::uint64_t hash : key_hashes) {
    const Uint128 wanted = std::max(Uint128{hash} << 64, page_starts_.front());
    const std::size_t page = last_at_or_below(page_starts_, wanted);
    const Uint128 end = page + 1 < pages_.size() ? page_starts_[page + 1] : ~Uint128{0};
    const auto& leaves = pages_[page].leaves;
    touch(&leaves[guess(page_starts_[page], end, leaves.size(), wanted)]);
  }
}

Uint128 LeafPages::next_start(Place place) const {
  const auto& leaves = pages_[place.page].leaves;
  if (place.leaf + 1 < leaves.size()) return leaves[place.leaf + 1].start;
  return place.page + 1 < pages_.size() ? page_starts_[place.page + 1] : Uint128{0};
}

void LeafPages::adjust(Place place, const Summary& before, const Summary& after) {
  LeafPage& page = pages_[place.page];
  LeafEntry& leaf = page.leaves[place.leaf];
  check(leaf.count >= before.count, "a row that goes was counted when it came");
  leaf.sum += after.sum - before.sum;
  leaf.count = narrow(leaf.count + after.count - before.count);
  for (Summary* sum : {&page.summary, &total_}) {
    sum->sum += after.sum - before.sum;
    sum->count += after.count - before.count;
  }
}

void LeafPages::append(const LeafEntry& leaf) {
  if (pages_.empty() || pages_.back().size() == Tree::page_leaves_max) {
    pages_.emplace_back();
    page_starts_.push_back(leaf.start);
    pages_.back().leaves.reserve(Tree::page_leaves_max);  // A build fills it.
  }
  pages_.back().append(leaf);
  total_ += leaf.summary();
  ++leaves_;
}

void LeafPages::replace(Place place, const std::vector<LeafEntry>& leaves) {
  const LeafPage& old = pages_[place.page];
  LeafPage page;
  page.append(old, 0, place.leaf);
  for (const LeafEntry& leaf : leaves) page.append(leaf);
  page.append(old, place.leaf + 1, old.size());
  check(page.summary == old.summary, "a split neither adds nor loses a row");
  leaves_ += leaves.size() - 1;
  pages_[place.page] = std::move(page);
  if (pages_[place.page].size() > Tree::page_leaves_max) split(place.page);
}

void LeafPages::split(std::size_t index) {
  LeafPage whole = std::move(pages_[index]);
  const std::size_t parts = whole.size() / Tree::page_leaves_max + 1;
  std::vector<LeafPage> pages(parts);
  std::vector<Uint128> starts;
  for (std::size_t i = 0; i < parts; ++i) {
    pages[i].append(whole, whole.size() * i / parts, whole.size() * (i + 1) / parts);
    starts.push_back(pages[i].leaves.front().start);
  }
  pages_[index] = std::move(pages.front());
  pages_.insert(at(pages_, index + 1), std::make_move_iterator(pages.begin() + 1),
                std::make_move_iterator(pages.end()));
  page_starts_.insert(at(page_starts_, index + 1), starts.begin() + 1, starts.end());
}

void LeafPages::unite_with_next(Place place) {
  auto& leaves = pages_[place.page].leaves;
  Summary both = leaves[place.leaf].summary();
  both += leaves[place.leaf + 1].summary();
  leaves[place.leaf] = make_leaf(leaves[place.leaf].start, both);
  leaves.erase(at(leaves, place.leaf + 1));
  --leaves_;
}

void LeafPages::unite_small_pages(std::size_t page) {
  if (page > 0) unite_with_next_page(page - 1);
  if (page < pages_.size()) unite_with_next_page(page);
}

void LeafPages::unite_with_next_page(std::size_t page) {
  if (page + 1 >= pages_.size()) return;
  if (pages_[page].size() + pages_[page + 1].size() > Tree::page_leaves_max / 2) return;
  LeafPage united;
  united.append(pages_[page], 0, pages_[page].size());
  united.append(pages_[page + 1], 0, pages_[page + 1].size());
  pages_[page] = std::move(united);
  pages_.erase(at(pages_, page + 1));
  page_starts_.erase(at(page_starts_, page + 1));
}

}  // namespace knit
