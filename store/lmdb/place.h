// Where a data directory lies, to notice that it was copied.
#pragma once

#include <cstdint>
#include <string>

namespace knit {

// Another number for another machine, and for another file on the same one: a copy has another inode, and a
// file that was moved within its file system has not. 0: the file cannot be asked. What is cloned with its
// disk and its machine id (a snapshot of a virtual machine) lies in the same place.
std::uint64_t place_of(const std::string& file);

}  // namespace knit
