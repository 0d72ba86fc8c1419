// Memory for much that goes at once: taken piece by piece, given back as a whole.
#pragma once

#include <cstddef>
#include <memory_resource>
#include <vector>

namespace knit {

constexpr std::size_t huge_page_bytes = std::size_t{2} << 20;
constexpr std::size_t arena_bytes_kept = std::size_t{256} << 20;  // Of what arenas take and give back.

// One thread; different arenas may have different ones. What is deallocated is kept until the arena's end.
// Never waits longer than for the clearing of a small page, however much is in it: it takes huge pages that
// were prepared, and small ones while there are none.
class Arena final : public std::pmr::memory_resource {
 public:
  Arena() = default;
  ~Arena() override;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

 private:
  struct Chunk {
    char* memory;
    std::size_t bytes;
  };
  // Requires: alignment is at most that of operator new.
  void* do_allocate(std::size_t bytes, std::size_t alignment) override;
  void do_deallocate(void*, std::size_t, std::size_t) override {}
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override { return this == &other; }
  void begin_chunk(std::size_t bytes);
  char* add(Chunk chunk);

  std::vector<Chunk> chunks_;
  std::vector<char*> huge_pages_;
  char* next_ = nullptr;  // What is free of the newest chunk.
  char* end_ = nullptr;
  std::size_t next_chunk_bytes_ = 1024;
};

// Sees to it that the next arenas find so many bytes of huge pages, if the system has them, and frees the
// small ones that were given back. For a thread nobody waits for: to clear a fresh huge page may take ten
// milliseconds.
void prepare_arena_memory(std::size_t bytes);

// Gives the system what no arena has.
void release_arena_memory();

}  // namespace knit
