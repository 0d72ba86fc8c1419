// Cluster key files: what is taken comes back as it was.
#include "store/cluster_key.h"
#include "tests/fuzz/fuzz.h"

using namespace knit;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto cluster = parse_cluster_key(fuzz::text_of(data, size), "cluster.key");
  if (!cluster) return 0;
  check(is_cluster_name(cluster->name) && cluster->id.size() == 16, "a cluster has a name and an id");
  const auto again = parse_cluster_key(cluster_key_text(*cluster), "cluster.key");
  check(again && again->name == cluster->name && again->id == cluster->id &&
            again->hash_keys == cluster->hash_keys,
        "what we wrote comes back");
  return 0;
}
