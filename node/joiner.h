// A node that has no cluster yet: asks whoever it reaches which cluster that is. No I/O.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "node/node.h"

namespace knit {

class Joiner {
 public:
  Joiner(std::string name, std::string version) : name_(std::move(name)), version_(std::move(version)) {}

  void on_link_up(LinkId link, Outbox& out) const;
  // Hostile bytes end the link and change nothing.
  void on_message(LinkId link, std::string_view message, Outbox& out);

  // The cluster that it was told of first.
  const std::optional<ClusterIdentity>& cluster() const { return cluster_; }

 private:
  std::string name_;
  std::string version_;
  std::optional<ClusterIdentity> cluster_;
};

}  // namespace knit
