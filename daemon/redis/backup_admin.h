// What KNIT BACKUP may ask of the daemon.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/types.h"

namespace knit {

class BackupAdmin {
 public:
  struct Done {
    std::string path;
    std::uint64_t bytes{};
  };

  virtual ~BackupAdmin() = default;

  // A copy of all that has been applied by now, in a new file. One is made at a time: refused. Answers its
  // number.
  virtual Result<std::uint64_t> begin(const std::string& path, JournalPosition holds) = 0;
  // Empty while it is made. Of an older one than the last: refused.
  virtual std::optional<Result<Done>> outcome(std::uint64_t number) const = 0;
};

}  // namespace knit
