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

std::string text_of(const RegisterRow& row) {
  std::string text;
  for (const Sibling& s : row.siblings()) {
    constexpr const char* contents[] = {"deletes", "value", "dropped", "cleared"};
    text += " " + to_string(s.dot) + " (" + contents[static_cast<std::size_t>(s.content)];
    if (!s.expiry.never()) text += " until " + std::to_string(s.expiry.millis);
    text += ")";
  }
  for (const Component& c : row.counter().components())
    text += " component " + to_string(c.created) + " to " + std::to_string(c.last);
  if (!row.context().empty()) text += " context";
  for (const auto& [actor, sequence] : row.context().entries()) text += " " + to_string(Dot{actor, sequence});
  return text;
}

}  // namespace knit::sim
