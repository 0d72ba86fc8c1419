// Where a data directory lies, to notice that it was copied.
#pragma once

#include <cstdint>
#include <string>

namespace knit {

// Another number for another machine, and for another file of the same file system: a copy has another inode,
// and a file that was renamed has not. 0: the file cannot be asked. What is cloned with its file system and
// machine id (a snapshot of a virtual machine, or of a volume) lies in the same place. Devices do not count,
// since their numbers change.
std::uint64_t place_of(const std::string& file);

}  // namespace knit
