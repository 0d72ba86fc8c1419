// A last line in the log of a process that is ended for what it did to memory, or memory to it.
#pragma once

#include <string>

namespace knit {

// From now on SIGBUS, SIGSEGV and SIGABRT write one line to standard error that names the likely cause, and
// then end the process as they would have. A handler that is there already stays.
void report_crashes(const std::string& data_directory);

}  // namespace knit
