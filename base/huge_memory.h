// Memory for large structures that are read at random: in huge pages where the system has them, since
// otherwise most of such a read is the search for the page.
#pragma once

#include <memory_resource>

namespace knit {

constexpr std::size_t huge_bytes = std::size_t{2} << 20;
constexpr std::size_t huge_bytes_kept = std::size_t{128} << 20;

// From `huge_bytes` on memory is mapped and aligned; what is smaller comes from the heap. What is given back
// is kept, up to `huge_bytes_kept`, because the system would have to clear it anew. Thread safe.
std::pmr::memory_resource& huge_memory();

// Gives the system what is kept.
void release_huge_memory();

}  // namespace knit
