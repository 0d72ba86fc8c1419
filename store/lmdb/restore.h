// Makes a data directory of a backup. No daemon is involved; see backup.h.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "store/identity.h"

namespace knit {

struct Restored {
  std::string cluster;  // Its name.
  std::uint64_t rows{};
  std::uint64_t bytes{};
};

// `directory` is made if it is absent, and may hold a cluster key, but no data. Whoever starts on it is the
// node `fresh`. Errors: not_found: there is no such file; refused: the directory holds data already, or is
// not ours, or is in use; corrupt or wrong_format: the file is no backup that this version reads; disk_full,
// io. After an error the directory holds no data.
Result<Restored> restore_backup(const std::string& file, const std::string& directory,
                                const NodeIdentity& fresh);

}  // namespace knit
