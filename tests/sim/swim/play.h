// Plays a scenario in the simulator.
#pragma once

#include <string>
#include <vector>

#include "scenario.h"
#include "world.h"

namespace knit::swim_sim {

struct Played {
  std::vector<std::string> failures;  // Each begins with file:line.
  std::uint64_t trace_hash{};
  std::uint64_t events{};
};

Played play(const Scenario& scenario, std::uint64_t seed);

}  // namespace knit::swim_sim
