// A scenario as JSON, for whoever plays it on real daemons (tests/cluster/scenario_rig.py).
#pragma once

#include <string>

#include "scenario.h"

namespace knit::swim_sim {

// {"file", "members", "hosts", "seeds": [1], "seconds", "actions": [...], "expectations": [...]}. Nodes count
// from 1, times are in seconds, and what an action or expectation does not name is left out.
std::string describe(const Scenario& scenario);

}  // namespace knit::swim_sim
