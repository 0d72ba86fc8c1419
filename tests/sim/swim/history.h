// A random history, as its seed has it: members come, go and are hindered in all ways at once; then all is
// healed, and within a bound all lists must be equal and say what is true.
#pragma once

#include <cstdint>

#include "play.h"

namespace knit::swim_sim {

Played run_history(std::uint64_t seed);

}  // namespace knit::swim_sim
