// How a batch gets into LMDB.
#pragma once

#include "base/result.h"
#include "store/lmdb/environment.h"
#include "store/ports.h"

namespace knit {

// Writes the whole batch in key order in one transaction, and syncs it. On an error nothing of it is
// there: bad_input for a key of 0 or more than 511 bytes, disk_full, io; after io the environment may
// be unusable, and the process should end. Deleting what is not there is no error.
Result<void> write_batch(const Environment& environment, const Batch& batch);

}  // namespace knit
