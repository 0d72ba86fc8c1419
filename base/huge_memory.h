// Memory for large structures that are read at random: in huge pages where the system has them, since
// otherwise most of such a read is the search for the page.
#pragma once

#include <memory_resource>

namespace knit {

// From `huge_bytes` on memory is mapped, aligned, and given back to the system at once; what is smaller
// comes from the heap. Thread safe.
std::pmr::memory_resource& huge_memory();

constexpr std::size_t huge_bytes = std::size_t{2} << 20;

}  // namespace knit
