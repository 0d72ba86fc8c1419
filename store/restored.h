// What becomes of a node's own records when its data are put into another directory: rows, clock and log
// stay, but whoever opens it next is a new node, with an actor that has issued nothing. So the old one may
// still run, or have written since, and no dot is issued twice.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "store/identity.h"

namespace knit {

constexpr std::string_view identity_record = "identity";  // Its name in the table meta.

// The stored record with another node and actor, and where the data lie from now on (see
// StoreOptions::place). corrupt: it is damaged; wrong_format: written by a newer knit.
Result<std::string> with_identity(std::string_view record, const NodeIdentity& fresh, std::uint64_t place);
// The cluster that a record names. Errors as above.
Result<std::string> cluster_named_in(std::string_view record);

}  // namespace knit
