// What clients do, and what goes wrong meanwhile.
#include <algorithm>

#include "world.h"

namespace knit::sim {

void World::fault() {
  if (!faults_) return;
  const std::size_t a = random(hosts_.size());
  const std::size_t b = random(hosts_.size());
  switch (random(7)) {
    case 0:
      crash(a);
      at(Millis(200 + random(4000)), [this, a] {
        if (!hosts_[a]->up()) boot(a);
      });
      break;
    case 1: cut_.insert({a, b}); break;
    case 2:
      for (std::size_t other = 0; other < hosts_.size(); ++other) {
        cut_.insert({a, other});
        cut_.insert({other, a});
      }
      break;
    case 3: cut_.clear(); break;
    case 4:
      if (!links_.empty())
        break_link(std::next(links_.begin(), static_cast<std::ptrdiff_t>(random(links_.size())))->first);
      break;
    case 5: hosts_[a]->disk.full = chance(0.5); break;
    default:
      if (hosts_[a]->up()) check_clock(a);
      if (hosts_[a]->up()) check_tree(a);
  }
  at(Millis(50 + random(1500)), [this] { fault(); });
}

void World::client(std::size_t index) {
  if (!faults_) return;
  client_write(*hosts_[index], index);
  Outbox none;
  settle(index, none);
  on_host(index, Millis(1 + random(200)), [this, index] { client(index); });
}

void World::client_write(Host& host, std::size_t index) {
  const WallTime wall = now(host).wall;
  const std::string& key = keys_[random(keys_.size())];
  const auto before = host.store->read(key);
  if (!before) return;
  const Expiry soon{wall.millis + 1 + random(20'000)};
  const std::uint64_t action = random(100);
  if (action < 1) {
    if (host.keyspace->clear(wall)) {
      const ActorId actor = host.store->identity().actor;
      model_.add({index,
                  host.store->applied(),
                  {actor, host.store->clock().base(actor)},
                  {},
                  {},
                  {},
                  host.store->clear(),
                  true});
    }
    return;
  }
  SetOptions options;
  if (action < 15) options.expiry = soon;
  const bool done =
      action < 70   ? host.keyspace->set(key, "v" + std::to_string(random(1000)), options, wall).has_value()
      : action < 90 ? host.keyspace->remove(key, wall).has_value()
                    : host.keyspace->set_expiry(key, chance(0.3) ? Expiry{} : soon, wall).has_value();
  if (done) record(index, key, before->row);
}

// A write shows as one sibling with a dot that was not there before; a raised expiry shows none.
void World::record(std::size_t index, const std::string& key, const RegisterRow& before) {
  Store& store = *hosts_[index]->store;
  const auto after = store.read(key);
  if (!after || after->row.siblings().size() != 1) return;
  const Sibling& written = after->row.siblings().front();
  Write write{index, store.applied(), written.dot, written.stamp, key, {}, {}, false};
  for (const Sibling& old : before.siblings()) {
    if (old.dot == written.dot) return;
    write.superseded.push_back(old.dot);
  }
  model_.add(std::move(write));
}

}  // namespace knit::sim
