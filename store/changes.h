// Puts and deletes of one table, in key order: what the pending layer is made of.
//
// Slots of 16 bytes, the key's first eight bytes and where the rest is, in one array; keys and values in an
// arena, which is freed as a whole. Two layouts:
//
//  spread  For keys that begin with a hash, as row keys do. A hash table by linear probing whose home
//          slots are proportional to the hash and whose runs are kept in order. So it is in key order
//          as a whole: found in one step, walked in order. (Ordered hash tables: Amble and Knuth, 1974.)
//  dense   For few keys, or such as mostly ascend among those with the same first eight bytes, as those of
//  the log
//          do for each actor. A sorted array for each of these beginnings.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory_resource>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

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
  using Slots = std::pmr::vector<Slot>;
  using Groups = std::map<std::uint64_t, Slots>;  // By head.

 public:
  enum class Layout : std::uint8_t { spread, dense };

  struct Change {
    std::string_view key;
    std::optional<std::string_view> value;  // Empty: the key was erased.
  };
  class Iterator {
   public:
    std::string_view key() const { return slot_->entry->key; }
    Change operator*() const { return change(*slot_->entry); }
    Iterator& operator++() {
      ++slot_;
      settle();
      return *this;
    }
    bool operator==(const Iterator& other) const { return slot_ == other.slot_; }

   private:
    friend class Changes;
    // Walks `slots` from `place`, then the groups from `next`.
    Iterator(const Slots* slots, std::size_t place, Groups::const_iterator next, Groups::const_iterator last)
        : next_(next), last_(last) {
      if (slots == nullptr) return;
      slot_ = slots->data() + place;
      end_ = slots->data() + slots->size();
      settle();
    }
    void settle() {
      for (;;) {
        while (slot_ != end_ && slot_->entry == nullptr) ++slot_;
        if (slot_ != end_) return;
        slot_ = end_ = nullptr;
        if (next_ == last_) return;
        slot_ = next_->second.data();
        end_ = slot_ + next_->second.size();
        ++next_;
      }
    }

    const Slot* slot_ = nullptr;  // Null: the end.
    const Slot* end_ = nullptr;
    Groups::const_iterator next_;
    Groups::const_iterator last_;
  };

  explicit Changes(Layout layout);
  Changes(const Changes&) = delete;
  Changes& operator=(const Changes&) = delete;

  void put(std::string_view key, std::string_view value);
  void erase(std::string_view key);

  Iterator begin() const { return lower_bound({}); }
  Iterator end() const { return {nullptr, 0, groups_.end(), groups_.end()}; }
  Iterator lower_bound(std::string_view key) const;
  std::optional<Change> find(std::string_view key) const;

  // Keys with these first eight bytes are to be found next: waits for all of their memory at once.
  void expect(std::span<const std::uint64_t> heads) const;

  bool empty() const { return entries_ == 0; }
  std::size_t size() const { return entries_; }
  // Of memory, about. A value that was replaced by a longer one still counts: it is still there.
  std::size_t bytes() const {
    return bytes_ + (layout_ == Layout::spread ? slots_.size() : entries_) * sizeof(Slot);
  }

 private:
  static std::uint64_t head_of(std::string_view key);
  static Change change(const Entry& entry);
  std::size_t home_of(std::uint64_t head) const { return static_cast<std::size_t>(head >> shift_); }
  std::size_t place_of(std::uint64_t head, std::string_view key) const;
  static std::size_t place_in(const Slots& group, std::string_view key);
  static bool holds(const Slots& slots, std::size_t place, std::uint64_t head, std::string_view key);
  const Slots* group_of(std::uint64_t head) const;
  Entry& dense_entry_of(std::uint64_t head, std::string_view key);
  Entry& entry_of(std::string_view key);
  bool is_crowded() const;
  Entry* make_entry(std::string_view key);
  void insert(std::size_t place, Slot slot);
  void grow();
  char* allocate(std::size_t bytes, std::size_t alignment);

  Layout layout_;
  std::pmr::monotonic_buffer_resource arena_;
  Slots slots_;    // Spread: 2 ^ (64 - shift_) homes, and what the last run needs behind them.
  Groups groups_;  // Dense.
  unsigned shift_ = 0;
  std::size_t entries_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace knit
