#include "store/changes.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "base/bytes.h"
#include "base/huge_memory.h"
#include "base/touch.h"

namespace knit {

namespace {

constexpr unsigned first_bits = 6;
constexpr std::size_t slack_slots = 64;  // Behind the last home, for its run. Doubled when that is full.

}  // namespace

Changes::Changes(Layout layout) : layout_(layout), arena_(&huge_memory()), slots_(&huge_memory()) {}

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

// The first slot of a spread table that is not below the key; it may be a free one.
std::size_t Changes::place_of(std::uint64_t head, std::string_view key) const {
  if (slots_.empty()) return 0;
  const auto below = [&](const Slot& slot) {
    return slot.head != head ? slot.head < head : slot.entry->key < key;
  };
  // What is below the key and at its home or behind has no free slot in between. So those slots come first,
  // and their end can be searched for: keys that come in order, as from an exchange, make runs of thousands.
  const auto before = [&](const Slot& slot) { return slot.entry != nullptr && below(slot); };
  auto first = slots_.begin() + static_cast<std::ptrdiff_t>(home_of(head));
  std::ptrdiff_t step = 1;
  while (step < slots_.end() - first && before(first[step - 1])) {
    first += step;
    step *= 2;
  }
  const auto last = first + std::min(step, slots_.end() - first);
  return static_cast<std::size_t>(std::partition_point(first, last, before) - slots_.begin());
}

// The first slot of a group of a dense table that is not below the key.
std::size_t Changes::place_in(const Slots& group, std::string_view key) {
  const auto below = [&](const Slot& slot) { return slot.entry->key < key; };
  if (!group.empty() && below(group.back())) return group.size();
  return static_cast<std::size_t>(std::partition_point(group.begin(), group.end(), below) - group.begin());
}

bool Changes::holds(const Slots& slots, std::size_t place, std::uint64_t head, std::string_view key) {
  if (place == slots.size()) return false;
  const Slot& slot = slots[place];
  return slot.entry != nullptr && slot.head == head && slot.entry->key == key;
}

const Changes::Slots* Changes::group_of(std::uint64_t head) const {
  const auto found = groups_.find(head);
  return found == groups_.end() ? nullptr : &found->second;
}

Changes::Iterator Changes::lower_bound(std::string_view key) const {
  const std::uint64_t head = head_of(key);
  if (layout_ == Layout::spread) return {&slots_, place_of(head, key), groups_.end(), groups_.end()};
  static const Slots none;
  const auto group = groups_.lower_bound(head);
  if (group == groups_.end() || group->first != head) return {&none, 0, group, groups_.end()};
  return {&group->second, place_in(group->second, key), std::next(group), groups_.end()};
}

// The entry of `key`, which is made if there is none.
Changes::Entry& Changes::entry_of(std::string_view key) {
  const std::uint64_t head = head_of(key);
  if (layout_ == Layout::dense) return dense_entry_of(head, key);
  std::size_t place = place_of(head, key);
  if (holds(slots_, place, head, key)) return *slots_[place].entry;
  if (is_crowded()) {
    grow();
    place = place_of(head, key);
  }
  const Slot slot{head, make_entry(key)};
  insert(place, slot);
  ++entries_;
  return *slot.entry;
}

Changes::Entry& Changes::dense_entry_of(std::uint64_t head, std::string_view key) {
  Slots& group = groups_.try_emplace(head, slots_.get_allocator()).first->second;
  const std::size_t place = place_in(group, key);
  if (holds(group, place, head, key)) return *group[place].entry;
  const Slot slot{head, make_entry(key)};
  group.insert(group.begin() + static_cast<std::ptrdiff_t>(place), slot);
  ++entries_;
  return *slot.entry;
}

bool Changes::is_crowded() const {
  return slots_.empty() || entries_ >= (std::size_t{1} << (64 - shift_)) / 2;
}

Changes::Entry* Changes::make_entry(std::string_view key) {
  char* memory = allocate(sizeof(Entry) + key.size(), alignof(Entry));
  char* copy = memory + sizeof(Entry);
  if (!key.empty()) std::memcpy(copy, key.data(), key.size());
  return new (memory) Entry{{copy, key.size()}, {}, 0, false};
}

// The rest of the run moves on by one, into the free slot behind it.
void Changes::insert(std::size_t place, Slot slot) {
  while (place < slots_.size() && slots_[place].entry != nullptr) std::swap(slots_[place++], slot);
  if (place == slots_.size()) slots_.resize(slots_.size() + slack_slots);
  slots_[place] = slot;
}

void Changes::grow() {
  const unsigned bits = slots_.empty() ? first_bits : 64 - shift_ + 1;
  shift_ = 64 - bits;
  Slots old((std::size_t{1} << bits) + slack_slots, Slot{}, slots_.get_allocator());
  old.swap(slots_);
  std::size_t next = 0;  // In order: a slot's place is its home, or behind the one before.
  for (const Slot& slot : old) {
    if (slot.entry == nullptr) continue;
    next = std::max(next, home_of(slot.head));
    insert(next++, slot);
  }
}

char* Changes::allocate(std::size_t bytes, std::size_t alignment) {
  bytes_ += bytes;
  return static_cast<char*>(arena_.allocate(bytes, alignment));
}

void Changes::put(std::string_view key, std::string_view value) {
  Entry& entry = entry_of(key);
  if (entry.room < value.size()) {
    entry.value = {allocate(value.size(), 1), value.size()};
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
  if (layout_ != Layout::spread || slots_.empty()) return;
  for (const std::uint64_t head : heads) touch(&slots_[home_of(head)]);
  for (const std::uint64_t head : heads) {
    const Slot& slot = slots_[home_of(head)];
    if (slot.head == head && slot.entry != nullptr) touch(slot.entry);
  }
}

std::optional<Changes::Change> Changes::find(std::string_view key) const {
  const std::uint64_t head = head_of(key);
  const bool dense = layout_ == Layout::dense;
  const Slots* slots = dense ? group_of(head) : &slots_;
  if (slots == nullptr) return std::nullopt;
  const std::size_t place = dense ? place_in(*slots, key) : place_of(head, key);
  if (!holds(*slots, place, head, key)) return std::nullopt;
  return change(*(*slots)[place].entry);
}

}  // namespace knit
