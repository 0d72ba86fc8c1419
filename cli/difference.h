// A *difference* of KNIT DIFF for people.
#pragma once

#include <string>

#include "cli/document.h"

namespace knit {

std::string key_text(const Json& difference);  // "row HEX" if only the peer knows the key's name.

// One side, `mine` or `theirs`: "12 B, 2025-01-31 23:59:59.123", "tombstone, ...", "absent", "increments".
// The counter of the stamp follows the time if it is not zero.
std::string version_text(const Json& version);

}  // namespace knit
