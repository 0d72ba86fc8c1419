// Waiting for memory, several places at once.
#pragma once

namespace knit {

// Reads a byte for the sake of its cache line. A prefetch instruction would not do: processors drop it
// where the page's address is not known yet, which is most of the wait.
inline void touch(const void* place) { static_cast<void>(*static_cast<const volatile char*>(place)); }

}  // namespace knit
