#include "history.h"

#include <algorithm>

namespace knit::sim {

namespace {

// Longer than any history by far: the first exchange is scheduled at a random moment within the interval, and
// must not come while streams have to do without.
constexpr Millis no_exchange{1'000'000'000'000};

}  // namespace

WorldOptions options_of(std::uint64_t seed) {
  WorldOptions options;
  options.seed = seed;
  options.hosts = 2 + seed % 4;
  options.keys = seed % 5 == 0 ? 60 : 12;
  options.commit_chance = seed % 7 < 3 ? 0.01 : 0.2;
  options.counters = seed % 3;  // Without them, clients clear.
  options.exchange_interval = seed % 2 == 0 ? Millis(2000) : no_exchange;
  options.narrow_streams = seed % 13 < 8;
  options.loses_host = options.hosts > 2 && seed % 17 < 8;
  if (seed % 4 != 0) options.log = {std::uint64_t{200} << (seed % 11), Millis(500 << (seed % 8))};
  options.causal = seed % 7 > 3;
  if (seed % 6 == 4) options.skew_max = Millis(2000);
  if (seed % 6 == 5) options.skew_max = Millis(3'600'000);
  if (options.counters == 1) options.count_chance = 0.6;
  options.members = seed % 11 < 5;
  if (options.members) {
    options.faults_for = Millis(30'000);
    // By a clock that is far ahead, who is alone lets expire what all others keep when they come back.
    options.skew_max = std::min(options.skew_max, Millis(2000));
  }
  options.rot = options.counters == 2;  // What rot takes away cannot be counted exactly.
  return options;
}

}  // namespace knit::sim
