#include "base/huge_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <new>
#include <vector>

namespace knit {

namespace {

std::size_t whole_pages(std::size_t bytes) { return (bytes + huge_bytes - 1) / huge_bytes * huge_bytes; }

void* map(std::size_t size) {
  void* mapped =
      ::mmap(nullptr, size + huge_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) throw std::bad_alloc();
  // Cut off what stands before and behind the aligned part.
  const auto start = reinterpret_cast<std::uintptr_t>(mapped);
  const std::uintptr_t aligned = whole_pages(start);
  if (aligned > start) ::munmap(mapped, aligned - start);
  auto* memory = static_cast<char*>(mapped) + (aligned - start);
  if (const std::size_t rest = start + huge_bytes - aligned; rest > 0) ::munmap(memory + size, rest);
  ::madvise(memory, size, MADV_HUGEPAGE);  // Where it is refused, small pages do.
  return memory;
}

class HugeMemory final : public std::pmr::memory_resource {
 public:
  void release() {
    const std::lock_guard lock(mutex_);
    for (const Kept& kept : kept_) ::munmap(kept.memory, kept.size);
    kept_.clear();
    kept_bytes_ = 0;
  }

 private:
  struct Kept {
    void* memory;
    std::size_t size;
  };

  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    if (bytes < huge_bytes) return ::operator new(bytes, std::align_val_t(alignment));
    const std::size_t size = whole_pages(bytes);
    const std::lock_guard lock(mutex_);
    const auto found =
        std::find_if(kept_.begin(), kept_.end(), [&](const Kept& k) { return k.size == size; });
    if (found == kept_.end()) return map(size);
    void* memory = found->memory;
    kept_bytes_ -= size;
    kept_.erase(found);
    return memory;
  }

  void do_deallocate(void* memory, std::size_t bytes, std::size_t alignment) override {
    if (bytes < huge_bytes) return ::operator delete(memory, bytes, std::align_val_t(alignment));
    const std::size_t size = whole_pages(bytes);
    const std::lock_guard lock(mutex_);
    if (kept_bytes_ + size > huge_bytes_kept) {
      ::munmap(memory, size);
      return;
    }
    kept_.push_back({memory, size});
    kept_bytes_ += size;
  }

  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override { return this == &other; }

  std::mutex mutex_;
  std::vector<Kept> kept_;
  std::size_t kept_bytes_ = 0;
};

HugeMemory& the_memory() {
  static HugeMemory memory;
  return memory;
}

}  // namespace

std::pmr::memory_resource& huge_memory() { return the_memory(); }

void release_huge_memory() { the_memory().release(); }

}  // namespace knit
