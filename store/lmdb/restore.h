// Gives data another owner: those of a backup (see backup.h), and those of a directory that was copied. No
// daemon uses either.
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

// The data of `directory` are those of the node `fresh` from now on. Its journal is removed. Requires: all
// that the journal held is in the ordered store. Errors: refused if it is in use; corrupt, wrong_format,
// disk_full, io: it can be tried again.
Result<void> rename_data(const std::string& directory, std::uint64_t map_bytes, const NodeIdentity& fresh);

}  // namespace knit
