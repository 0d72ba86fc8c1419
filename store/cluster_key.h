// The cluster key file: which cluster a node belongs to. Made once by `knit cluster new` on the first host,
// by knitd on each other one when it joins, and read by knitd at each start.
//
//   # Comments and empty lines are skipped. The format comes first.
//   format = 1
//   name = prod
//   id = 32 hex digits
//   position_key = 32 hex digits
//   digest_key = 32 hex digits
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "store/identity.h"

namespace knit {

constexpr std::size_t cluster_name_bytes_max = 64;

// Letters, digits, '.', '_' and '-', at most cluster_name_bytes_max of them, at least one.
bool is_cluster_name(std::string_view name);

// A cluster with a fresh id and fresh keys. Requires: is_cluster_name(name).
ClusterIdentity new_cluster(std::string name);

// What its file says. Requires: is_cluster_name(cluster.name).
std::string cluster_key_text(const ClusterIdentity& cluster);

// The cluster of such a text, which is called `path` in errors. wrong_format: written by a newer knit;
// bad_input: a field is unknown, missing, doubled or malformed, with the line.
Result<ClusterIdentity> parse_cluster_key(std::string_view text, const std::string& path);

// Creates `path`, readable by its owner alone, and syncs it. Made by root, it belongs to the owner of its
// directory. refused: it exists already, or the name is not a cluster name. not_found: there is no such
// directory. io: the message names the path; nothing is left behind.
Result<void> write_cluster_key(const std::string& path, const ClusterIdentity& cluster);

// not_found; io; refused: others may read the file; else as parse_cluster_key().
// Who may read the file: see store/secret_file.h.
Result<ClusterIdentity> read_cluster_key(const std::string& path);

}  // namespace knit
