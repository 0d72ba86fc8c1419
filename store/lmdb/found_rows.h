// Where the rows that were looked up last lie in LMDB's map. A search through LMDB's pages waits for
// memory a dozen times in a row; a row that is found here is two steps away.
//
// Places are good for one snapshot: its pages do not change while it is the newest one, and a commit
// makes another. Loop thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "store/lmdb/mapped_memory.h"

namespace knit {

class FoundRows {
 public:
  // 32 MiB, of which only what is used takes memory. Where more rows are read, the older are forgotten.
  static constexpr std::size_t slots_max = std::size_t{1} << 21;

  // Reads see this snapshot from now on. What was found in another one is forgotten.
  void see(std::uint64_t snapshot);

  std::optional<std::string_view> find(std::string_view key) const;
  // A lookup in this snapshot found the value there, in the map. What lies apart from its key is not kept:
  // false.
  bool add(std::string_view key, std::string_view value);
  // This snapshot is read so much that the neighbours of what was looked up are worth adding too.
  bool wants_neighbours() const { return added_ >= neighbours_from; }

  // Rows whose keys begin with these bytes, as big-endian numbers, are to be found next. Waits for all of
  // their memory at once, where each find() would wait for its own.
  void expect(std::span<const std::uint64_t> hashes) const;

  void give_back_memory();  // And forgets all.

  std::size_t slots() const { return buckets_ ? std::size_t{1} << (bits_ + 2) : 0; }

 private:
  static constexpr std::size_t ways = 4;
  static constexpr std::size_t neighbours_from = 4096;

  struct Slot {
    std::uint64_t tag = 0;    // The hash, the generation in place of its low bits.
    std::uint64_t place = 0;  // Address and, in the low bits, size of the value.
  };
  struct alignas(64) Bucket {
    Slot slots[ways];
  };

  void grow();
  Bucket& bucket_of(std::uint64_t hash) const { return buckets_[hash >> (64 - bits_)]; }
  std::uint64_t tag_of(std::uint64_t hash) const { return (hash & ~std::uint64_t{0xffff}) | generation_; }
  const Slot* slot_of(std::uint64_t hash) const;

  std::unique_ptr<Bucket[], UnmapMemory> buckets_;  // 2 ^ bits_ of them, or none.
  unsigned bits_ = 0;
  std::uint64_t snapshot_ = 0;
  std::uint16_t generation_ = 1;  // Never 0: that is an empty slot's.
  std::size_t added_ = 0;         // In this generation.
  std::size_t added_since_growth_ = 0;
};

}  // namespace knit
