// The parts of `knit repair` that change nothing: what it would do, and how exchanges go.
#pragma once

#include "cli/command.h"

namespace knit {

// Of one peer, or of all reachable ones: what a repair would ship each way, and who wins.
Result<ExitCode> run_dry(const Arguments& arguments);

// The exchanges that run, whoever began them, and those that ended; until the user interrupts it.
Result<ExitCode> watch_exchanges(const Arguments& arguments);

}  // namespace knit
