#include "links.h"

namespace knit::swim_sim {

LinkId LinkTable::open(Host dialer, Host dialed) {
  LinkId id = static_cast<LinkId>(links_.size());
  if (free_.empty()) {
    links_.emplace_back();
  } else {
    id = free_.back();
    free_.pop_back();
  }
  Link& link = links_[id];
  link = Link{{dialer, dialed}, link.life, {}, {}};
  for (const Host host : link.ends) {
    if (host >= by_host_.size()) by_host_.resize(host + 1);
    by_host_[host].push_back(id);
  }
  return id;
}

void LinkTable::close(LinkId id) {
  ++links_[id].life;
  for (const Host host : links_[id].ends) std::erase(by_host_[host], id);
  free_.push_back(id);
}

const LinkId* LinkTable::find(Host host, Host peer) const {
  if (host >= by_host_.size()) return nullptr;
  for (const LinkId& id : by_host_[host]) {
    if (links_[id].ends[1 - links_[id].side_of(host)] == peer) return &id;
  }
  return nullptr;
}

const std::vector<LinkId>& LinkTable::of(Host host) const {
  static const std::vector<LinkId> none;
  return host < by_host_.size() ? by_host_[host] : none;
}

std::vector<LinkId> LinkTable::all() const {
  std::vector<LinkId> out;
  for (Host host = 0; host < by_host_.size(); ++host) {
    for (const LinkId id : by_host_[host]) {
      if (links_[id].ends[0] == host) out.push_back(id);
    }
  }
  return out;
}

}  // namespace knit::swim_sim
