// The TCP links between daemons: one a pair, in order; they end when a cut lasts.
#pragma once

#include <cstdint>
#include <vector>

#include "network.h"

namespace knit::swim_sim {

using LinkId = std::uint32_t;

struct Link {
  Host ends[2];
  std::uint32_t life{};  // Rises when the link ends: what was on its way then is lost.
  bool up[2]{};          // As each end knows.
  Micros last[2]{};      // When the last message to each end arrives.

  Micros& last_to(Host host) { return last[side_of(host)]; }
  int side_of(Host host) const { return ends[0] == host ? 0 : 1; }
};

class LinkTable {
 public:
  // Requires: there is none between these two.
  LinkId open(Host dialer, Host dialed);
  void close(LinkId id);
  const LinkId* find(Host host, Host peer) const;
  Link& operator[](LinkId id) { return links_[id]; }
  const Link& operator[](LinkId id) const { return links_[id]; }
  const std::vector<LinkId>& of(Host host) const;
  std::vector<LinkId> all() const;

 private:
  std::vector<Link> links_;
  std::vector<LinkId> free_;
  std::vector<std::vector<LinkId>> by_host_;
};

}  // namespace knit::swim_sim
