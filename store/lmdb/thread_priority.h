// For threads that nobody waits for: whoever answers comes first, for the processors and for the disk. Where
// the system does not do it, nothing is lost but speed.
#pragma once

namespace knit {

// Of the calling thread, and of those that it starts.
void stand_back();

}  // namespace knit
