// What KNIT KEYS may ask of the daemon: the ring of secret keys that it speaks to other nodes under.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace knit {

class KeyAdmin {
 public:
  struct Key {
    std::string fingerprint;  // 8 hex digits.
    bool primary = false;
  };

  virtual ~KeyAdmin() = default;

  // The primary first; none: this node does not encrypt.
  virtual std::vector<Key> list() const = 0;
  // Each changes the ring of the whole cluster, or nothing. Errors are for whoever asked.
  virtual Result<void> add(const std::string& path) = 0;  // The keys of a key file on this host.
  virtual Result<void> use(std::string_view fingerprint) = 0;
  // refused unless `force`: a member is away that may have no other key.
  virtual Result<void> remove(std::string_view fingerprint, bool force) = 0;
};

}  // namespace knit
