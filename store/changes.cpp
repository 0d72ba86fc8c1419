#include "store/changes.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <iterator>
#include <memory>
#include <new>
#include <utility>

#include "base/bytes.h"
#include "base/touch.h"

namespace knit {

namespace {

constexpr unsigned home_bits_min = 6;
constexpr unsigned home_bits_split = 12;     // A segment with so many homes is split when it is crowded,
constexpr unsigned depth_max = 16;           // unless it is as narrow as this.
constexpr std::size_t slack_slots_min = 64;  // Behind the last home, for its run. Doubled when that is full.

}  // namespace

std::uint64_t Changes::head_of(std::string_view key) {
  if (key.size() >= sizeof(std::uint64_t)) return ByteReader(key).u64();
  std::string padded(key);
  padded.resize(sizeof(std::uint64_t), '\0');
  return ByteReader(padded).u64();
}

Changes::Change Changes::change(const Entry& entry) {
  if (entry.erased) return {entry.key, std::nullopt};
  return {entry.key, entry.value};
}

void Changes::Iterator::settle() {
  entry_ = nullptr;
  for (; segment_ != nullptr; segment_ = segment_->next, place_ = 0) {
    while (place_ < segment_->slots.size() && segment_->slots[place_].entry == nullptr) ++place_;
    if (place_ == segment_->slots.size()) continue;
    entry_ = segment_->slots[place_].entry;
    return;
  }
  for (; group_ != last_; ++group_, place_ = 0) {
    if (place_ == group_->second.size()) continue;
    entry_ = group_->second[place_].entry;
    return;
  }
}

// The first slot that is not below the key; it may be a free one.
std::size_t Changes::Segment::place_of(std::uint64_t head, std::string_view key) const {
  const auto below = [&](const Slot& slot) {
    return slot.head != head ? slot.head < head : slot.entry->key < key;
  };
  // What is below the key and at its home or behind has no free slot in between. So those slots come first,
  // and their end can be searched for: keys that come in order, as from an exchange, make long runs.
  const auto before = [&](const Slot& slot) { return slot.entry != nullptr && below(slot); };
  const auto first = slots.begin() + static_cast<std::ptrdiff_t>(home_of(head));
  std::ptrdiff_t step = 1;
  auto at = first;
  while (step < slots.end() - at && before(at[step - 1])) {
    at += step;
    step *= 2;
  }
  const auto last = at + std::min(step, slots.end() - at);
  return static_cast<std::size_t>(std::partition_point(at, last, before) - slots.begin());
}

Changes::Entry* Changes::Segment::find(std::size_t place, std::uint64_t head, std::string_view key) const {
  if (place == slots.size()) return nullptr;
  const Slot& slot = slots[place];
  return slot.entry != nullptr && slot.head == head && slot.entry->key == key ? slot.entry : nullptr;
}

// The rest of the run moves on by one, into the free slot behind it. False if there is none: nothing was
// done.
bool Changes::Segment::insert(std::size_t place, Slot slot) {
  std::size_t free = place;
  while (free < slots.size() && slots[free].entry != nullptr) ++free;
  if (free == slots.size()) return false;
  std::move_backward(slots.begin() + static_cast<std::ptrdiff_t>(place),
                     slots.begin() + static_cast<std::ptrdiff_t>(free),
                     slots.begin() + static_cast<std::ptrdiff_t>(free) + 1);
  slots[place] = slot;
  ++entries;
  return true;
}

// The first slot of a group that is not below the key.
std::size_t Changes::place_in(const Group& group, std::string_view key) {
  const auto below = [&](const Slot& slot) { return slot.entry->key < key; };
  if (!group.empty() && below(group.back())) return group.size();
  return static_cast<std::size_t>(std::partition_point(group.begin(), group.end(), below) - group.begin());
}

Changes::Iterator Changes::lower_bound(std::string_view key) const {
  const std::uint64_t head = head_of(key);
  if (layout_ == Layout::spread) {
    if (directory_.empty()) return end();
    const Segment& segment = segment_of(head);
    return {&segment, groups_.end(), groups_.end(), segment.place_of(head, key)};
  }
  const auto group = groups_.lower_bound(head);
  const bool within = group != groups_.end() && group->first == head;
  return {nullptr, group, groups_.end(), within ? place_in(group->second, key) : 0};
}

// The entry of `key`, which is made if there is none.
Changes::Entry& Changes::entry_of(std::string_view key) {
  const std::uint64_t head = head_of(key);
  if (layout_ == Layout::dense) return dense_entry_of(head, key);
  if (directory_.empty()) {
    directory_.push_back(new (allocate<Segment>(1)) Segment());
    directory_.front()->home_bits = home_bits_min;
    lay_out(*directory_.front(), {});
  }
  Segment* segment = &segment_of(head);
  std::size_t place = segment->place_of(head, key);
  if (Entry* entry = segment->find(place, head, key)) return *entry;
  Entry* entry = make_entry(key);
  if (segment->is_crowded()) {
    segment = &make_room(*segment, head);
    place = segment->place_of(head, key);
  }
  while (!segment->insert(place, {head, entry})) {
    segment = &make_room(*segment, head);
    place = segment->place_of(head, key);
  }
  ++entries_;
  return *entry;
}

Changes::Entry& Changes::dense_entry_of(std::uint64_t head, std::string_view key) {
  Group& group = groups_.try_emplace(head, &arena_).first->second;
  const std::size_t place = place_in(group, key);
  if (place < group.size() && group[place].entry->key == key) return *group[place].entry;
  Entry* entry = make_entry(key);
  group.insert(group.begin() + static_cast<std::ptrdiff_t>(place), {head, entry});
  bytes_ += sizeof(Slot);
  ++entries_;
  return *entry;
}

template <class T>
T* Changes::allocate(std::size_t count) {
  bytes_ += count * sizeof(T);
  return static_cast<T*>(arena_.allocate(count * sizeof(T), alignof(T)));
}

Changes::Entry* Changes::make_entry(std::string_view key) {
  Entry* entry = allocate<Entry>(1);
  char* copy = allocate<char>(key.size());
  if (!key.empty()) std::memcpy(copy, key.data(), key.size());
  return new (entry) Entry{{copy, key.size()}, {}, 0, false};
}

std::span<Changes::Slot> Changes::make_slots(std::size_t count) {
  Slot* slots = allocate<Slot>(count);
  std::uninitialized_fill_n(slots, count, Slot{});
  return {slots, count};
}

// The segment in which `head` belongs then.
Changes::Segment& Changes::make_room(Segment& segment, std::uint64_t head) {
  if (segment.is_crowded() && segment.home_bits >= home_bits_split && segment.depth < depth_max) {
    split(segment, head);
  } else {
    if (segment.is_crowded()) ++segment.home_bits;
    lay_out(segment, occupied(segment.slots));
  }
  return segment_of(head);
}

std::vector<Changes::Slot> Changes::occupied(std::span<const Slot> slots) {
  std::vector<Slot> kept;
  kept.reserve(slots.size() / 2);
  std::copy_if(slots.begin(), slots.end(), std::back_inserter(kept),
               [](const Slot& slot) { return slot.entry != nullptr; });
  return kept;
}

// Its second half becomes a segment of its own. `head` is one of its heads.
void Changes::split(Segment& segment, std::uint64_t head) {
  if (segment.depth == depth_) double_directory();
  const std::uint64_t prefix = segment.depth == 0 ? 0 : head >> (64 - segment.depth);
  const std::uint64_t middle = (prefix << 1 | 1) << (63 - segment.depth);
  const std::vector<Slot> all = occupied(segment.slots);
  const auto upper =
      std::partition_point(all.begin(), all.end(), [&](const Slot& s) { return s.head < middle; });
  auto& second = *new (allocate<Segment>(1)) Segment();
  second.depth = ++segment.depth;
  second.next = std::exchange(segment.next, &second);
  const std::size_t first_place = static_cast<std::size_t>(middle >> (64 - depth_));
  const std::size_t places = std::size_t{1} << (depth_ - segment.depth);
  std::fill_n(directory_.begin() + static_cast<std::ptrdiff_t>(first_place), places, &second);
  for (auto [half, slots] : {std::pair(&segment, std::span(all.begin(), upper)),
                             std::pair(&second, std::span(upper, all.end()))}) {
    half->home_bits =
        std::clamp(static_cast<unsigned>(std::bit_width(2 * slots.size())), home_bits_min, home_bits_split);
    lay_out(*half, slots);
  }
}

void Changes::double_directory() {
  std::vector<Segment*> twice;
  twice.reserve(directory_.size() * 2);
  for (Segment* segment : directory_) twice.insert(twice.end(), 2, segment);
  directory_ = std::move(twice);
  ++depth_;
}

// Puts these, which are in order, into the segment, in place of what is there.
void Changes::lay_out(Segment& segment, std::span<const Slot> slots) {
  std::size_t behind = 0;
  for (const Slot& slot : slots) behind = std::max(behind, segment.home_of(slot.head)) + 1;
  const std::size_t homes = std::size_t{1} << segment.home_bits;
  const std::size_t needed = homes + std::max(slack_slots_min, 2 * (std::max(behind, homes) - homes));
  if (segment.slots.size() < needed) {
    segment.slots = make_slots(needed);
  } else {
    std::fill(segment.slots.begin(), segment.slots.end(), Slot{});
  }
  std::size_t next = 0;  // A slot's place is its home, or behind the one before.
  for (const Slot& slot : slots) {
    next = std::max(next, segment.home_of(slot.head));
    segment.slots[next++] = slot;
  }
  segment.entries = slots.size();
}

void Changes::put(std::string_view key, std::string_view value) {
  Entry& entry = entry_of(key);
  if (entry.room < value.size()) {
    entry.value = {allocate<char>(value.size()), value.size()};
    entry.room = value.size();
  }
  // Ours, however it came to be named const.
  auto* place = const_cast<char*>(entry.value.data());
  if (!value.empty()) std::memmove(place, value.data(), value.size());
  entry.value = {place, value.size()};
  entry.erased = false;
}

void Changes::erase(std::string_view key) { entry_of(key).erased = true; }

void Changes::expect(std::span<const std::uint64_t> heads) const {
  if (directory_.empty()) return;
  const auto home = [&](std::uint64_t head) {
    const Segment& segment = segment_of(head);
    return &segment.slots[segment.home_of(head)];
  };
  for (const std::uint64_t head : heads) touch(home(head));
  for (const std::uint64_t head : heads) {
    const Slot& slot = *home(head);
    if (slot.head == head && slot.entry != nullptr) touch(slot.entry);
  }
}

std::optional<Changes::Change> Changes::find(std::string_view key) const {
  const std::uint64_t head = head_of(key);
  const Entry* entry = nullptr;
  if (layout_ == Layout::spread) {
    if (directory_.empty()) return std::nullopt;
    const Segment& segment = segment_of(head);
    entry = segment.find(segment.place_of(head, key), head, key);
  } else if (const auto found = groups_.find(head); found != groups_.end()) {
    const Group& group = found->second;
    const std::size_t place = place_in(group, key);
    if (place < group.size() && group[place].entry->key == key) entry = group[place].entry;
  }
  if (entry == nullptr) return std::nullopt;
  return change(*entry);
}

}  // namespace knit
