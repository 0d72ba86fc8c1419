#include "history.h"

namespace knit::sim {

WorldOptions options_of(std::uint64_t seed) {
  WorldOptions options;
  options.seed = seed;
  options.hosts = 2 + seed % 4;
  options.keys = seed % 5 == 0 ? 60 : 12;
  options.counters = seed % 3 == 0 ? 0 : 3;  // Without them, clients clear.
  return options;
}

}  // namespace knit::sim
