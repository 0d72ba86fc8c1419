// Invariants of our own code. Never for what a peer, a client or a disk controls.
#pragma once

#include <source_location>

namespace knit {

[[noreturn]] void check_failed(const char* fact, std::source_location where);

// Ends the process when `fact` does not hold, in release builds too: a node that lost an invariant
// must not gossip it. One fact a call.
inline void check(bool fact, const char* text = "invariant",
                  std::source_location where = std::source_location::current()) {
  if (!fact) [[unlikely]] {
    check_failed(text, where);
  }
}

}  // namespace knit
