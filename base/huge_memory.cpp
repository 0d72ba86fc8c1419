#include "base/huge_memory.h"

#include <sys/mman.h>

#include <cstdint>
#include <new>

namespace knit {

namespace {

std::size_t whole_pages(std::size_t bytes) { return (bytes + huge_bytes - 1) / huge_bytes * huge_bytes; }

class HugeMemory final : public std::pmr::memory_resource {
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    if (bytes < huge_bytes) return ::operator new(bytes, std::align_val_t(alignment));
    const std::size_t size = whole_pages(bytes);
    void* mapped =
        ::mmap(nullptr, size + huge_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) throw std::bad_alloc();
    // Cut off what stands before and behind the aligned part.
    const auto start = reinterpret_cast<std::uintptr_t>(mapped);
    const std::uintptr_t aligned = (start + huge_bytes - 1) / huge_bytes * huge_bytes;
    if (aligned > start) ::munmap(mapped, aligned - start);
    auto* memory = static_cast<char*>(mapped) + (aligned - start);
    if (const std::size_t rest = start + huge_bytes - aligned; rest > 0) ::munmap(memory + size, rest);
    ::madvise(memory, size, MADV_HUGEPAGE);  // Where it is refused, small pages do.
    return memory;
  }

  void do_deallocate(void* memory, std::size_t bytes, std::size_t alignment) override {
    if (bytes < huge_bytes) return ::operator delete(memory, bytes, std::align_val_t(alignment));
    ::munmap(memory, whole_pages(bytes));
  }

  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override { return this == &other; }
};

}  // namespace

std::pmr::memory_resource& huge_memory() {
  static HugeMemory memory;
  return memory;
}

}  // namespace knit
