// One history, as its seed has it.
#pragma once

#include <cstdint>

#include "world.h"

namespace knit::sim {

// Histories differ in the number of hosts and keys, and in whether there are counters or clears.
WorldOptions options_of(std::uint64_t seed);

}  // namespace knit::sim
