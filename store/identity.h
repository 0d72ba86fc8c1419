// Who this data directory belongs to.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/types.h"
#include "crdt/dot.h"

namespace knit {

constexpr std::size_t cluster_id_bytes = 16;

// Born with `knit cluster new`, the same on all its nodes. Secret but for `name` and `id`.
struct ClusterIdentity {
  std::string name;  // For people.
  std::string id;    // 16 random bytes: what nodes compare.
  HashKeys hash_keys;
};

constexpr std::size_t retired_max = 16;

struct NodeIdentity {
  NodeId node;
  ActorId actor;
  std::vector<ActorId> retired{};  // Earlier ones, the last ones last; at most retired_max.

  void take(ActorId fresh) {
    retired.push_back(actor);
    if (retired.size() > retired_max) retired.erase(retired.begin());
    actor = fresh;
  }
};

}  // namespace knit
