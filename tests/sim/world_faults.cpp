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
  if (chance(0.2)) return count(host, index);
  const WallTime wall = now(host).wall;
  const std::string& key = keys_[random(keys_.size())];
  const auto before = host.store->read(key);
  if (!before) return;
  const Expiry soon{wall.millis + 1 + random(20'000)};
  const std::uint64_t action = random(100);
  if (action < 1) {
    if (!counters_.empty()) return;  // A clear would take them too.
    if (host.keyspace->clear(wall)) {
      const ActorId actor = host.store->identity().actor;
      model_.add({index,
                  host.store->applied(),
                  {actor, host.store->clock().base(actor)},
                  {},
                  {},
                  {},
                  true,
                  host.store->clear(),
                  true});
    }
    return;
  }
  SetOptions options;
  if (action < 15) options.expiry = soon;
  const bool done =
      action < 50   ? host.keyspace->set(key, std::to_string(random(1000)), options, wall).has_value()
      : action < 75 ? host.keyspace->add(key, static_cast<std::int64_t>(random(20)) - 5, wall).has_value()
      : action < 90 ? host.keyspace->remove(key, wall).has_value()
                    : host.keyspace->set_expiry(key, chance(0.3) ? Expiry{} : soon, wall).has_value();
  if (done) record(index, key, before->row);
}

void World::count(Host& host, std::size_t index) {
  if (counters_.empty()) return;
  const std::string& key = counters_[random(counters_.size())];
  const auto amount = static_cast<std::int64_t>(random(20)) - 5;
  if (host.keyspace->add(key, amount, now(host).wall))
    model_.add(Addition{index, host.store->applied(), key, amount});
}

// A write shows as one sibling with a dot that was not there before; a raised expiry shows none, and an
// increment shows in the counter.
void World::record(std::size_t index, const std::string& key, const RegisterRow& before) {
  Store& store = *hosts_[index]->store;
  const auto after = store.read(key);
  if (!after) return;
  Write write{index, store.applied(), {}, {}, key, {}, true, {}, false};
  if (after->row.siblings() == before.siblings()) {
    const ActorId actor = store.identity().actor;
    if (after->row.counter() == before.counter()) return;
    write.dot = {actor, store.clock().base(actor)};
    write.shows = false;
    model_.add(std::move(write));
    return;
  }
  if (after->row.siblings().size() != 1) return;
  write.dot = after->row.siblings().front().dot;
  write.stamp = after->row.siblings().front().stamp;
  for (const Sibling& old : before.siblings()) {
    if (old.dot == write.dot) return;
    write.superseded.push_back(old.dot);
  }
  model_.add(std::move(write));
}

}  // namespace knit::sim
