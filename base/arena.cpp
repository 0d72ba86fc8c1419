#include "base/arena.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <new>
#include <utility>

#include "base/check.h"

namespace knit {

namespace {

constexpr std::size_t chunk_bytes_max = huge_page_bytes / 2;  // Of small pages.
constexpr std::size_t apart_from = chunk_bytes_max / 16;      // What is so large does not share a chunk.

// Null if there is none. Its pages are there: nobody waits for them any more.
char* map_huge_page() {
  constexpr std::size_t size = 2 * huge_page_bytes;
  void* mapped = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  // Cut off what stands before and behind the aligned part.
  auto* memory = static_cast<char*>(mapped);
  const std::size_t before = huge_page_bytes - reinterpret_cast<std::uintptr_t>(mapped) % huge_page_bytes;
  ::munmap(memory, before);
  memory += before;
  if (before < huge_page_bytes) ::munmap(memory + huge_page_bytes, huge_page_bytes - before);
  ::madvise(memory, huge_page_bytes, MADV_HUGEPAGE);  // Where it is refused, small pages do.
  for (std::size_t at = 0; at < huge_page_bytes; at += 4096) static_cast<volatile char*>(memory)[at] = 0;
  return memory;
}

// What arenas gave back, and what was prepared for them.
class KeptMemory {
 public:
  char* take_huge() {
    const std::lock_guard lock(mutex_);
    return pop(huge_);
  }
  void keep_huge(char* page) {
    const std::lock_guard lock(mutex_);
    huge_.push_back(page);
  }
  char* take_small() {
    const std::lock_guard lock(mutex_);
    return pop(small_);
  }
  bool keep_small(char* chunk) {
    const std::lock_guard lock(mutex_);
    if (small_.size() == arena_bytes_kept / chunk_bytes_max) return false;
    small_.push_back(chunk);
    return true;
  }

  void prepare(std::size_t bytes) {
    while (wants_huge(bytes)) {
      char* page = map_huge_page();
      if (page == nullptr) break;
      const std::lock_guard lock(mutex_);
      huge_.push_back(page);
      ++made_;
    }
    free_small();
  }
  void release() {
    while (char* page = take_huge()) {
      ::munmap(page, huge_page_bytes);
      const std::lock_guard lock(mutex_);
      --made_;
    }
    free_small();
  }

 private:
  static char* pop(std::vector<char*>& kept) {
    if (kept.empty()) return nullptr;
    char* memory = kept.back();
    kept.pop_back();
    return memory;
  }
  bool wants_huge(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    return huge_.size() < bytes / huge_page_bytes && made_ < arena_bytes_kept / huge_page_bytes;
  }
  void free_small() {
    while (char* chunk = take_small()) ::operator delete(chunk);
  }

  std::mutex mutex_;
  std::vector<char*> huge_;
  std::vector<char*> small_;  // Of chunk_bytes_max each.
  std::size_t made_ = 0;      // Huge pages, those in arenas too.
};

KeptMemory& kept_memory() {
  static auto* const memory = new KeptMemory;  // For ever: nobody asks in which order things end.
  return *memory;
}

}  // namespace

Arena::~Arena() {
  for (char* page : huge_pages_) kept_memory().keep_huge(page);
  for (const Chunk& chunk : chunks_) {
    if (chunk.bytes != chunk_bytes_max || !kept_memory().keep_small(chunk.memory))
      ::operator delete(chunk.memory);
  }
}

char* Arena::add(Chunk chunk) {
  chunks_.push_back(chunk);
  return chunk.memory;
}

void Arena::begin_chunk(std::size_t bytes) {
  while (next_chunk_bytes_ < bytes) next_chunk_bytes_ *= 2;
  const bool full = next_chunk_bytes_ == chunk_bytes_max;
  if (char* page = full ? kept_memory().take_huge() : nullptr) {
    huge_pages_.push_back(page);
    next_ = page;
    end_ = page + huge_page_bytes;
    return;
  }
  char* kept = full ? kept_memory().take_small() : nullptr;
  if (kept == nullptr) kept = static_cast<char*>(::operator new(next_chunk_bytes_));
  next_ = add({kept, next_chunk_bytes_});
  end_ = next_ + next_chunk_bytes_;
  next_chunk_bytes_ = std::min(next_chunk_bytes_ * 2, chunk_bytes_max);
}

void* Arena::do_allocate(std::size_t bytes, std::size_t alignment) {
  check(alignment <= __STDCPP_DEFAULT_NEW_ALIGNMENT__, "nothing here needs more");
  const auto misplaced = reinterpret_cast<std::uintptr_t>(next_) % alignment;
  const std::size_t gap = misplaced == 0 ? 0 : alignment - misplaced;
  if (gap + bytes <= static_cast<std::size_t>(end_ - next_)) {
    next_ += gap;
  } else if (bytes >= apart_from) {
    return add({static_cast<char*>(::operator new(bytes)), bytes});
  } else {
    begin_chunk(bytes);
  }
  return std::exchange(next_, next_ + bytes);
}

void prepare_arena_memory(std::size_t bytes) { kept_memory().prepare(bytes); }

void release_arena_memory() { kept_memory().release(); }

}  // namespace knit
