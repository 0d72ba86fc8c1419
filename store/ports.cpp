#include "store/ports.h"

#include <algorithm>

namespace knit {

bool Batch::empty() const {
  return std::all_of(changes.begin(), changes.end(), [](const Changes& c) { return c.empty(); });
}

std::size_t Batch::bytes() const {
  std::size_t sum = 0;
  for (const Changes& table : changes) sum += table.bytes();
  return sum;
}

}  // namespace knit
