#include "store/lmdb/found_rows.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "base/touch.h"

namespace knit {

namespace {

constexpr unsigned bits_first = 9;
constexpr unsigned bits_step = 2;
constexpr std::size_t hash_bytes = 8;
constexpr std::size_t value_bytes_max = 0xffff;
constexpr unsigned address_bits = 48;  // Of a process's own memory, on all that we run on.

std::uint64_t hash_of(std::string_view key) { return ByteReader(key).u64(); }

std::string_view value_at(std::uint64_t place) {
  return {reinterpret_cast<const char*>(place >> 16), static_cast<std::size_t>(place & 0xffff)};
}

}  // namespace

void FoundRows::see(std::uint64_t snapshot) {
  if (snapshot == snapshot_) return;
  snapshot_ = snapshot;
  added_ = added_since_growth_ = 0;
  generation_++;
  if (generation_ != 0) return;
  generation_ = 1;  // All numbers were used: the slots of old would come to life again.
  buckets_.reset();
}

void FoundRows::give_back_memory() {
  buckets_.reset();
  added_ = added_since_growth_ = 0;
}

// Fresh memory is zero, and takes none until it is written. In small pages: clearing a huge one would hold up
// the loop.
void FoundRows::grow() {
  const unsigned bits = buckets_ ? bits_ + bits_step : bits_first;
  const std::size_t bytes = sizeof(Bucket) << bits;
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return;
  buckets_ = std::unique_ptr<Bucket[], UnmapMemory>(static_cast<Bucket*>(memory), UnmapMemory{bytes});
  bits_ = bits;
  added_since_growth_ = 0;
}

const FoundRows::Slot* FoundRows::slot_of(std::uint64_t hash) const {
  const std::uint64_t tag = tag_of(hash);
  for (const Slot& slot : bucket_of(hash).slots) {
    if (slot.tag == tag) return &slot;
  }
  return nullptr;
}

std::optional<std::string_view> FoundRows::find(std::string_view key) const {
  if (!buckets_ || key.size() < hash_bytes) return std::nullopt;
  const Slot* slot = slot_of(hash_of(key));
  if (slot == nullptr) return std::nullopt;
  const std::string_view value = value_at(slot->place);
  if (std::memcmp(value.data() - key.size(), key.data(), key.size()) != 0) return std::nullopt;
  return value;
}

bool FoundRows::add(std::string_view key, std::string_view value) {
  const auto address = reinterpret_cast<std::uintptr_t>(value.data());
  if (key.size() < hash_bytes || value.size() > value_bytes_max || address >> address_bits != 0) return false;
  // LMDB keeps a small value right behind its key, a large one in pages of its own.
  if (address % 4096 < key.size() || std::memcmp(value.data() - key.size(), key.data(), key.size()) != 0)
    return false;
  if (added_since_growth_ >= slots() / 4 * 3 && slots() < slots_max) grow();
  if (!buckets_) return false;
  const std::uint64_t hash = hash_of(key);
  Bucket& bucket = bucket_of(hash);
  const std::uint64_t tag = tag_of(hash);
  // Slots of this generation fill a bucket from its front, so a row that is there is met before a free slot.
  const auto place = std::find_if(bucket.slots, bucket.slots + ways, [&](const Slot& slot) {
    return slot.tag == tag || (slot.tag & 0xffff) != generation_;
  });
  Slot& slot = place != bucket.slots + ways ? *place : bucket.slots[hash % ways];
  if (slot.tag != tag) {
    added_++;
    added_since_growth_++;
  }
  slot = {tag, std::uint64_t{address} << 16 | value.size()};
  return true;
}

void FoundRows::expect(std::span<const std::uint64_t> hashes) const {
  if (!buckets_) return;
  for (const std::uint64_t hash : hashes) touch(&bucket_of(hash));
  for (const std::uint64_t hash : hashes) {
    const Slot* slot = slot_of(hash);
    if (slot == nullptr) continue;
    touch(value_at(slot->place).data());
    touch(value_at(slot->place).data() + slot->place % (1 << 16) - 1);
  }
}

}  // namespace knit
