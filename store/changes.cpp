#include "store/changes.h"

#include <cstring>
#include <new>

namespace knit {

namespace {

constexpr std::size_t slot_bytes = 24;  // In a node that is two thirds full.

}  // namespace

Changes::Wanted::Wanted(std::string_view wanted) : head(0), key(wanted) {
  for (std::size_t i = 0; i < sizeof head; ++i) {
    head = head << 8 | (i < key.size() ? static_cast<unsigned char>(key[i]) : 0);
  }
}

Changes::Change Changes::change(const Entry& entry) {
  if (entry.erased) return {entry.key, std::nullopt};
  return {entry.key, entry.value};
}

char* Changes::allocate(std::size_t bytes, std::size_t alignment) {
  bytes_ += bytes;
  return static_cast<char*>(arena_.allocate(bytes, alignment));
}

// The entry of `key`, which is made if there is none. The log grows at its end.
Changes::Entry& Changes::at(std::string_view key) {
  const Wanted wanted(key);
  const bool beyond = slots_.empty() || Less()(*slots_.rbegin(), wanted);
  const auto place = beyond ? slots_.end() : slots_.lower_bound(wanted);
  if (place != slots_.end() && !Less()(wanted, *place)) return *place->entry;
  char* memory = allocate(sizeof(Entry) + key.size(), alignof(Entry));
  char* copy = memory + sizeof(Entry);
  if (!key.empty()) std::memcpy(copy, key.data(), key.size());
  auto* entry = new (memory) Entry{{copy, key.size()}, {}, 0, false};
  slots_.insert(place, Slot{wanted.head, entry});
  bytes_ += slot_bytes;
  return *entry;
}

void Changes::put(std::string_view key, std::string_view value) {
  Entry& entry = at(key);
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

void Changes::erase(std::string_view key) {
  Entry& entry = at(key);
  entry.erased = true;
}

std::optional<Changes::Change> Changes::find(std::string_view key) const {
  const auto found = slots_.find(Wanted(key));
  if (found == slots_.end()) return std::nullopt;
  return change(*found->entry);
}

}  // namespace knit
