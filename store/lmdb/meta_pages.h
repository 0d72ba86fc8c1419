// The two pages that LMDB starts from, which carry no checksum of its own.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace knit {

// Whether the two agree with each other and with the file, as far as that can be told before LMDB believes
// them: a wrong size would end in "out of memory", a wrong transaction in an older state of everything.
// What is absent or too short is left to LMDB. Errors: corrupt, with what is wrong; io.
Result<void> check_meta_pages(const std::string& path, std::uint64_t map_bytes);

// Whether a compact copy has all its pages: LMDB would read what is not there, which is a SIGBUS. Errors:
// corrupt, io.
Result<void> check_whole_copy(const std::string& path);

}  // namespace knit
