// Memory that was mapped, given back with its owner.
#pragma once

#include <sys/mman.h>

#include <cstddef>

namespace knit {

struct UnmapMemory {
  std::size_t bytes = 0;
  void operator()(void* memory) const { ::munmap(memory, bytes); }
};

}  // namespace knit
