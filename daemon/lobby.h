// Where a node waits that belongs to no cluster yet. It never founds one: either somebody puts a cluster key
// where it looks (`knit cluster new`), or a seed tells it which cluster that is.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "daemon/config.h"
#include "gossip/key_ring.h"
#include "store/identity.h"

namespace knit {

// The cluster of this node: from a key file, or joined through a seed and then kept in joined_key_path().
// Waits for as long as it takes, on a loop of its own. Without a ring: seeds are asked without encryption.
// Empty: SIGTERM or SIGINT came first. io, bad_input and others: a key file cannot be read or written.
// not_found: cluster.key_file is set, and is not there.
Result<std::optional<ClusterIdentity>> find_cluster(const Config& config, const KeyRing* ring,
                                                    const std::string& version);

}  // namespace knit
