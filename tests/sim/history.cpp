#include "history.h"

namespace knit::sim {

WorldOptions options_of(std::uint64_t seed) {
  WorldOptions options;
  options.seed = seed;
  options.hosts = 2 + seed % 4;
  options.keys = seed % 5 == 0 ? 60 : 12;
  options.commit_chance = seed % 7 < 3 ? 0.01 : 0.2;
  options.counters = seed % 3;  // Without them, clients clear.
  return options;
}

}  // namespace knit::sim
