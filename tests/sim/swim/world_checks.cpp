// What is so, and what must never be.
#include <algorithm>

#include "world.h"

namespace knit::swim_sim {

Hosts World::running() const {
  Hosts out;
  for (Host host = 0; host < hosts_.size(); ++host) {
    if (hosts_[host].life == Life::running && !hosts_[host].swim->left()) out.push_back(host);
  }
  return out;
}

const Member* World::seen(Host by, Host subject) const {
  return hosts_[by].swim->members().find(hosts_[subject].id);
}

bool World::all_know(Host subject, MemberState state) const {
  const Hosts all = running();
  return std::all_of(all.begin(), all.end(), [&](Host by) {
    const Member* member = seen(by, subject);
    return by == subject || (member != nullptr && member->state == state);
  });
}

bool World::all_know_newest(Host subject) const {
  const Hosts all = running();
  if (hosts_[subject].life != Life::running) return false;
  const Member& self = hosts_[subject].swim->self();
  return std::all_of(all.begin(), all.end(), [&](Host by) {
    const Member* member = seen(by, subject);
    return member != nullptr && member->state == MemberState::alive &&
           member->generation == self.generation && member->profile == self.profile;
  });
}

bool World::all_know_each_other() const {
  const Hosts all = running();
  return std::all_of(all.begin(), all.end(), [&](Host by) {
    return hosts_[by].swim->members().count(MemberState::alive) == all.size();
  });
}

bool World::all_lists_equal() const {
  const Hosts all = running();
  return std::all_of(all.begin(), all.end(), [&](Host by) {
    return hosts_[by].swim->members().digest() == hosts_[all.front()].swim->members().digest();
  });
}

std::optional<Host> World::host_of(NodeId id) const {
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return std::nullopt;
  return found->second;
}

void World::on_change(Host host, const MemberChanged& change) {
  const Host subject = by_id_.at(change.id);
  trace(change.id.value + static_cast<std::uint64_t>(change.after));
  if (options_.audit) audit(host, change.id);
  const bool alone = hosts_[host].swim->members().present() <= 1;
  if (change.after == MemberState::alive || alone)
    wake_dialer(host, Micros(1 + static_cast<Micros::rep>(random(200'000))));
  const bool died = change.after == MemberState::dead && change.before != MemberState::dead;
  if (!died || !is_healthy(subject) || hosts_[host].cuts > 0) return;
  const Member& self = hosts_[subject].swim->self();
  const Member& said = *seen(host, subject);
  if (said.generation != self.generation || self.state != MemberState::alive) return;
  false_failures_.try_emplace({subject, said.generation, said.incarnation}, now_);
}

void World::violate(Host host, const std::string& what) {
  if (violation_) return;
  violation_ = "at " + std::to_string(static_cast<double>(now_.count()) / 1e6) + " s, " +
               hosts_[host].profile.name + ": " + what;
}

void World::audit(Host host, NodeId id) {
  Driver& driver = drivers_[host];
  const Member* member = hosts_[host].swim->members().find(id);
  if (member == nullptr) return violate(host, "a record is gone");
  const auto known = driver.shadow.find(id);
  const bool fine = known == driver.shadow.end() || !supersedes(known->second, *member);
  if (!fine) violate(host, "the record of " + member->profile->name + " went back");
  driver.shadow.insert_or_assign(id, *member);
  if (hosts_[host].swim->queue_length() > options_.swim.updates_max) violate(host, "its queue is too long");
}

void World::audit_all(Host host) {
  if (!options_.audit) return;
  Driver& driver = drivers_[host];
  const MemberList& members = hosts_[host].swim->members();
  if (driver.shadow.size() > members.size()) violate(host, "records are gone");
  members.visit([&](const Member& member) {
    const auto known = driver.shadow.find(member.id);
    if (known != driver.shadow.end() && digest_of(known->second) != digest_of(member)) {
      violate(host, "the record of " + member.profile->name + " changed, and nobody was told");
    }
    driver.shadow.insert_or_assign(member.id, member);
  });
}

}  // namespace knit::swim_sim
