// The ring of secret keys of this node while it runs: from the key file and what has been changed since, kept
// in the data directory. Loop thread only.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "daemon/config.h"
#include "daemon/redis/key_admin.h"
#include "gossip/key_ring.h"

namespace knit {

class NodeKeys final : public KeyAdmin {
 public:
  // Null: the config names no keys, and nothing is encrypted. Errors as read_key_file() and read_key_ring().
  static Result<std::unique_ptr<NodeKeys>> open(const Config& config);

  const KeyRing& ring() const { return ring_; }

  // Called after each change, once it is kept. To be set before anything can change.
  std::function<void()> on_change;
  // The names of members that may not have heard of the newest keys.
  std::function<std::vector<std::string>()> absent_members;

  // What a peer has told. bad_input: that is no ring.
  Result<void> merge(std::string_view encoded);

  std::vector<Key> list() const override;
  Result<void> add(const std::string& path) override;
  Result<void> use(std::string_view fingerprint) override;
  Result<void> remove(std::string_view fingerprint, bool force) override;

 private:
  NodeKeys(std::string path, KeyRing ring) : path_(std::move(path)), ring_(std::move(ring)) {}
  Result<void> keep(KeyRing changed);

  std::string path_;  // In the data directory.
  KeyRing ring_;
};

}  // namespace knit
