#include "store/ports.h"

#include <algorithm>

namespace knit {

bool Batch::empty() const {
  return std::all_of(changes.begin(), changes.end(), [](const Changes& c) { return c.empty(); });
}

}  // namespace knit
