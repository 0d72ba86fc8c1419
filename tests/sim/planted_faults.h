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
  bool (*suits)(const WorldOptions& options) = nullptr;  // Only such histories are run, if it is there.
};

std::span<const PlantedFault> planted_faults();

}  // namespace knit::sim
