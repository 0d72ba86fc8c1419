// Where a node's keys are kept: the operator's key file (gossip/key_text.h), and in the data directory the
// ring as it became by what was changed while the daemon ran, here or elsewhere. At a start both are merged.
#pragma once

#include <string>

#include "base/result.h"
#include "gossip/key_ring.h"

namespace knit {

// not_found; io; refused: others may read the file (see store/secret_file.h); wrong_format; bad_input.
Result<KeyRing> read_key_file(const std::string& path);

// Replaces the file by another one at once; a power cut leaves the old one or the new one. io: the old one is
// there.
Result<void> write_key_ring(const std::string& path, const KeyRing& ring);
// As read_key_file(). corrupt: it is not what was written.
Result<KeyRing> read_key_ring(const std::string& path);

}  // namespace knit
