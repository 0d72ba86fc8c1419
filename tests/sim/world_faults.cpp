// What goes wrong.
#include <algorithm>

#include "crdt/row_key.h"
#include "store/row_record.h"
#include "world.h"

namespace knit::sim {

void World::fault() {
  if (!faults_) return;
  const std::size_t a = random(hosts_.size());
  const std::size_t b = random(hosts_.size());
  switch (random(8)) {
    case 0: crash_and_boot(a); break;
    case 1: cut_.insert({a, b}); break;
    case 2: cut_off(a); break;
    case 3: cut_.clear(); break;
    case 4:
      if (!links_.empty())
        break_link(std::next(links_.begin(), static_cast<std::ptrdiff_t>(random(links_.size())))->first);
      break;
    case 5:
      if (!slow_.erase(a)) slow_.insert(a);
      break;
    case 6:
      if (scars()) scar(a);
      at(Millis(random(300)), [this] { cut_.clear(); });  // Those who were cut off read it next.
      break;
    default: hosts_[a]->disk.full = chance(0.5);
  }
  at(Millis(50 + random(1500)), [this] { fault(); });
}

void World::crash_and_boot(std::size_t index) {
  crash(index);
  if (options_.rot && chance(0.8)) rot(index);
  for (int i = 0; i < 6 && scars() && chance(0.7); ++i) scar(index);
  boot_after(index, Millis(50 + random(chance(0.5) ? 300 : 4000)));
}

void World::boot_after(std::size_t index, Millis delay) {
  at(delay, [this, index] {
    if (hosts_[index]->up() || index == lost_) return;
    if (hosts_[index]->has_data() || find_seed(index)) return boot(index);
    boot_after(index, Millis(300));
  });
}

// A record of the journal becomes unreadable.
void World::rot(std::size_t index) {
  Host& host = *hosts_[index];
  const auto position = host.journal.damage(random_());
  if (!position || *position <= host.disk.durable()) return;
  trace_host(index, "record " + std::to_string(position->value) + " rots");
  host.rotten = true;
  host.promised = {};
  model_.doubt(host.author, *position);
}

// A stored row becomes unreadable. Only one that some other host has on its disk: else it were lost.
void World::scar(std::size_t index) {
  Host& host = *hosts_[index];
  const std::string key = !counters_.empty() && chance(0.5) ? counters_[random(counters_.size())] : any_key();
  auto& rows = host.disk.of(Table::rows);
  const auto row = rows.find(string_row_key(key, cluster_.hash_keys));
  if (row == rows.end()) return;
  const auto holder = holder_of(index, key, row->second);
  if (!holder) return;
  VirtualDisk::damage(row->second, random_());
  trace_host(index, "row of " + key.substr(0, 20) + " rots, " + address_of(*holder) + " has it");
  host.scarred.insert(key);
  model_.scar(host.author, key);
  if (chance(0.5)) cut_off(*holder);  // So that it hears first from those who know less.
}

void World::cut_off(std::size_t index) {
  for (std::size_t other = 0; other < hosts_.size(); ++other) {
    cut_.insert({index, other});
    cut_.insert({other, index});
  }
}

// Another host that has all that this row of host `index` holds, on its disk.
std::optional<std::size_t> World::holder_of(std::size_t index, const std::string& key,
                                            std::string_view bytes) {
  const auto record = decode_record(string_row_key(key, cluster_.hash_keys), bytes);
  const auto mine = record ? decode_body(record->body) : tl::unexpected(record.error());
  for (std::size_t other = 0; mine && other < hosts_.size(); ++other) {
    if (other == index || !hosts_[other]->up()) continue;
    auto theirs = hosts_[other]->store->read(key);
    if (theirs && theirs->seen == JournalPosition{} && !theirs->row.merge(mine->row)) return other;
  }
  return std::nullopt;
}

// What must be true at any moment.
void World::inspect() {
  if (!faults_) return;
  const std::size_t host = random(hosts_.size());
  if (hosts_[host]->up()) check_clock(host);
  if (hosts_[host]->up()) check_tree(host);
  if (hosts_[host]->up()) check_streams(host);
  at(Millis(100 + random(600)), [this] { inspect(); });
}

}  // namespace knit::sim
