// What happens in a history, on stderr, for whoever looks for the cause of a violation. With KNIT_SIM_TRACE
// set; else nothing is written.
#pragma once

#include <string>

#include "crdt/clock.h"
#include "crdt/register_row.h"

namespace knit::sim {

bool tracing();
void trace(const std::string& line);
// Of each actor its base, and its highest dot if that is above a gap.
std::string text_of(const Clock& clock);
std::string text_of(const RegisterRow& row);

}  // namespace knit::sim
