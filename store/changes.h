// Puts and deletes of one table, in key order: what the pending layer is made of.
//
// An ordered set in one arena, which is freed as a whole. A slot of a node is 16 bytes: the key's first eight
// bytes, and where the rest is. Row keys begin with a hash, so a search ends in few, dense nodes.
#pragma once

#include <absl/container/btree_set.h>

#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <optional>
#include <string_view>

namespace knit {

// One thread writes; any may read while nobody writes. Views of a value live until its key is put or erased
// again, views of a key as long as the map.
class Changes {
  struct Entry {
    std::string_view key;
    std::string_view value;
    std::size_t room = 0;  // Where `value` lies.
    bool erased = false;
  };
  struct Wanted {
    explicit Wanted(std::string_view wanted);
    std::uint64_t head;  // The first eight bytes, big endian, padded with zeros.
    std::string_view key;
  };
  struct Slot {
    std::uint64_t head;
    Entry* entry;
    std::string_view key() const { return entry->key; }
  };
  struct Less {
    using is_transparent = void;
    static std::string_view key(const Slot& slot) { return slot.entry->key; }
    static std::string_view key(const Wanted& wanted) { return wanted.key; }
    bool operator()(const auto& a, const auto& b) const {
      return a.head != b.head ? a.head < b.head : key(a) < key(b);
    }
  };
  using Slots = absl::btree_set<Slot, Less, std::pmr::polymorphic_allocator<Slot>>;

 public:
  struct Change {
    std::string_view key;
    std::optional<std::string_view> value;  // Empty: the key was erased.
  };
  class Iterator {
   public:
    explicit Iterator(Slots::const_iterator place) : place_(place) {}
    std::string_view key() const { return place_->key(); }
    Change operator*() const { return change(*place_->entry); }
    Iterator& operator++() {
      ++place_;
      return *this;
    }
    bool operator==(const Iterator&) const = default;

   private:
    Slots::const_iterator place_;
  };

  Changes() : slots_(&arena_) {}
  Changes(const Changes&) = delete;
  Changes& operator=(const Changes&) = delete;

  void put(std::string_view key, std::string_view value);
  void erase(std::string_view key);

  Iterator begin() const { return Iterator(slots_.begin()); }
  Iterator end() const { return Iterator(slots_.end()); }
  Iterator lower_bound(std::string_view key) const { return Iterator(slots_.lower_bound(Wanted(key))); }
  std::optional<Change> find(std::string_view key) const;

  bool empty() const { return slots_.empty(); }
  std::size_t size() const { return slots_.size(); }
  // Of memory, about. A value that was replaced by a longer one still counts: it is still there.
  std::size_t bytes() const { return bytes_; }

 private:
  static Change change(const Entry& entry);
  Entry& at(std::string_view key);
  char* allocate(std::size_t bytes, std::size_t alignment);

  std::pmr::monotonic_buffer_resource arena_;
  Slots slots_;
  std::size_t bytes_ = 0;
};

}  // namespace knit
