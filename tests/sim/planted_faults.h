// The faults that can be planted (base/fault.h), and within how many histories each is found.
#pragma once

#include <span>
#include <string_view>

#include "base/fault.h"
#include "world.h"

namespace knit::sim {

struct PlantedFault {
  Fault fault;
  std::string_view name;
  std::string_view breaks;  // What of docs/simulator.md.
  unsigned histories_max;
  // If it is there: whether such a history can show it. It may be made more likely to.
  bool (*suits)(WorldOptions& options) = nullptr;
  bool rare = false;  // Takes minutes: run by its name, or in long runs (KNIT_LONG).
};

std::span<const PlantedFault> planted_faults();

}  // namespace knit::sim
