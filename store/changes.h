// Puts and deletes of one table, in key order: what the pending layer is made of.
//
// Slots of 16 bytes, the key's first eight bytes and where the rest is; keys, values and slots lie in an
// arena, which is freed as a whole. However much is here, one more never moves more than a few thousand
// slots: the thread that adds them also answers clients. Two layouts:
//
//  spread  For keys that begin with a hash, as row keys do. A hash table by linear probing whose home
//          slots are proportional to the hash and whose runs are kept in order. So it is in key order
//          as a whole: found in one step, walked in order. (Ordered hash tables: Amble and Knuth, 1974.)
//          It comes in segments, for a range of hashes each; one that is full is split, and a directory
//          leads from the first bits of the hash to its segment. (Extendible hashing: Fagin et al., 1979.)
//  dense   For few keys, or such as mostly ascend among those with the same first eight bytes, as those of
//          the log do for each actor. A sorted queue for each of these beginnings.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory_resource>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/arena.h"

namespace knit {

// One thread writes; any may read while nobody writes. Views of a value live until its key is put or erased
// again, views of a key as long as all of it.
class Changes {
  struct Entry {
    std::string_view key;
    std::string_view value;
    std::size_t room = 0;  // Where `value` lies.
    bool erased = false;
  };
  struct Slot {
    std::uint64_t head = 0;  // The first eight bytes of the key, big endian, padded with zeros.
    Entry* entry = nullptr;  // Null: the slot is free.
  };
  struct Segment {  // The heads that share their first `depth` bits.
    unsigned depth = 0;
    unsigned home_bits = 0;
    std::size_t entries = 0;
    std::span<Slot> slots{};  // 2 ^ home_bits homes, and what the last run needs behind them.
    Segment* next = nullptr;  // In key order.

    std::size_t home_of(std::uint64_t head) const {
      return static_cast<std::size_t>((head << depth) >> (64 - home_bits));
    }
    std::size_t place_of(std::uint64_t head, std::string_view key) const;
    Entry* find(std::size_t place, std::uint64_t head, std::string_view key) const;
    bool is_crowded() const { return entries >= (std::size_t{1} << home_bits) / 2; }
    bool insert(std::size_t place, Slot slot);
  };
  using Group = std::pmr::deque<Slot>;
  using Groups = std::map<std::uint64_t, Group>;  // By head.

 public:
  enum class Layout : std::uint8_t { spread, dense };

  struct Change {
    std::string_view key;
    std::optional<std::string_view> value;  // Empty: the key was erased.
  };
  class Iterator {
   public:
    std::string_view key() const { return entry_->key; }
    Change operator*() const { return change(*entry_); }
    Iterator& operator++() {
      ++place_;
      settle();
      return *this;
    }
    bool operator==(const Iterator& other) const { return entry_ == other.entry_; }

   private:
    friend class Changes;
    // Walks `segment` and those behind it from a place in it, then the groups likewise.
    Iterator(const Segment* segment, Groups::const_iterator group, Groups::const_iterator last,
             std::size_t place)
        : segment_(segment), group_(group), last_(last), place_(place) {
      settle();
    }
    void settle();

    const Entry* entry_ = nullptr;  // Null: the end.
    const Segment* segment_;
    Groups::const_iterator group_;
    Groups::const_iterator last_;
    std::size_t place_;
  };

  explicit Changes(Layout layout) : layout_(layout) {}
  Changes(const Changes&) = delete;
  Changes& operator=(const Changes&) = delete;

  void put(std::string_view key, std::string_view value);
  void erase(std::string_view key);

  Iterator begin() const { return lower_bound({}); }
  Iterator end() const { return {nullptr, groups_.end(), groups_.end(), 0}; }
  Iterator lower_bound(std::string_view key) const;
  std::optional<Change> find(std::string_view key) const;

  // Keys with these first eight bytes are to be found next: waits for all of their memory at once.
  void expect(std::span<const std::uint64_t> heads) const;

  bool empty() const { return entries_ == 0; }
  std::size_t size() const { return entries_; }
  // Of memory, about. A value that was replaced by a longer one still counts: it is still there.
  std::size_t bytes() const { return bytes_; }

 private:
  static std::uint64_t head_of(std::string_view key);
  static Change change(const Entry& entry);
  static std::size_t place_in(const Group& group, std::string_view key);
  // Requires: there are segments.
  Segment& segment_of(std::uint64_t head) const {
    return *directory_[depth_ == 0 ? 0 : static_cast<std::size_t>(head >> (64 - depth_))];
  }
  Entry& dense_entry_of(std::uint64_t head, std::string_view key);
  Entry& entry_of(std::string_view key);
  Entry* make_entry(std::string_view key);
  std::span<Slot> make_slots(std::size_t count);
  Segment& make_room(Segment& segment, std::uint64_t head);
  static std::vector<Slot> occupied(std::span<const Slot> slots);
  void split(Segment& segment, std::uint64_t head);
  void double_directory();
  void lay_out(Segment& segment, std::span<const Slot> slots);
  template <class T>
  T* allocate(std::size_t count);

  Layout layout_;
  Arena arena_;
  std::vector<Segment*> directory_;  // Spread: 2 ^ depth_, by the first bits of the head; or none.
  unsigned depth_ = 0;
  Groups groups_;  // Dense.
  std::size_t entries_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace knit
