#include "trace.h"

#include <cstdio>
#include <cstdlib>

#include "crdt/dot.h"

namespace knit::sim {

bool tracing() {
  static const bool is_set = std::getenv("KNIT_SIM_TRACE") != nullptr;
  return is_set;
}

void trace(const std::string& line) {
  if (tracing()) std::fprintf(stderr, "%s\n", line.c_str());
}

std::string text_of(const Clock& clock) {
  std::string text;
  for (const auto& [actor, entry] : clock.entries()) {
    const std::uint64_t highest = clock.highest(actor);
    text += " " + to_string(actor) + ":" + std::to_string(entry.base);
    if (highest != entry.base) text += ".." + std::to_string(highest);
  }
  return text;
}

}  // namespace knit::sim
