// What a history is made of: faults while clients write, then proofs that all is there and the same.
#include <algorithm>

#include "merkle/tree.h"
#include "trace.h"
#include "world.h"

namespace knit::sim {

namespace {

constexpr int streamed_writes = 10;  // Of each host.
constexpr Millis streamed_within{2500};
constexpr Millis purged_within{10'000};
constexpr Millis purge_of_expired_within{15'000};

}  // namespace

std::optional<std::string> World::run() {
  auto wrong = play();
  if (wrong) trace_state();
  return wrong;
}

std::optional<std::string> World::play() {
  at(Millis(50), [this] { fault(); });
  at(Millis(50), [this] { inspect(); });
  if (options_.members) at(Millis(50 + random(5000)), [this] { upset(); });
  run_until(time_ + options_.faults_for);
  if (options_.loses_host) lose_host();
  heal();
  if (auto wrong = converge("after the faults")) return wrong;
  for (std::size_t i = 0; i < hosts_.size(); ++i) check_clock(i);
  if (auto wrong = stream_only()) return wrong;
  if (auto wrong = go_back()) return wrong;
  return lose_rows();
}

// The others must agree without it, on what some of them had of its writes too.
void World::lose_host() {
  lost_ = random(hosts_.size());
  crash(*lost_);
  heal();
  const std::size_t author = hosts_[*lost_]->author;
  model_.miss(author);
  converge("while a host was gone");
  model_.find(author);
  lost_.reset();
}

void World::heal() {
  faults_ = false;
  cut_.clear();
  exiled_.reset();
  model_.take_in_all();
  slow_.clear();
  for (std::size_t i = 0; i < hosts_.size(); ++i) {
    hosts_[i]->disk.full = false;
    if (hosts_[i]->up()) scrub(i);
    if (hosts_[i]->up() && options_.members && hosts_[i]->node->swim()->left()) crash(i);
    if (!hosts_[i]->up() && hosts_[i]->has_data() && i != lost_) boot(i);
    if (!hosts_[i]->up()) boot_after(i, Millis(0));
  }
}

std::uint64_t World::rows_exchanged() {
  std::uint64_t rows = 0;
  for (const auto& host : hosts_) rows += host->node->status(now(*host)).totals.rows_changed;
  return rows;
}

// Writes of hosts that all can reach need no exchange.
std::optional<std::string> World::stream_only() {
  const bool clocks_are_right = 2 * options_.skew_max < clock_max_ahead;
  const bool log_suffices = options_.log.bytes_max >= 8000 && options_.log.age_max > 2 * streamed_within;
  if (violation_ || !log_suffices || !clocks_are_right ||
      options_.exchange_interval < options_.converge_within)
    return violation_;
  run_until(time_ + options_.exchange_deadline);  // Sessions end.
  const std::uint64_t before = rows_exchanged();
  caused_.clear();
  streams_alone_ = true;
  write_in_peace();
  streams_alone_ = false;
  const Millis deadline = time_ + streamed_within;
  while (!violation_ && time_ < deadline && !converged()) run_until(time_ + Millis(50));
  if (violation_) return violation_;
  if (!converged()) return "streams did not bring all writes in time";
  // What a clear has left of a row depends on what came first, and may differ.
  // In causal order an exchange may be asked to hurry.
  if (!counters_.empty() && !options_.causal && rows_exchanged() != before)
    return "an exchange brought what streams are for";
  return converge("after streams");
}

// All write, and see all that others write.
void World::write_in_peace() {
  for (int i = 0; i < streamed_writes; ++i) {
    for (std::size_t host = 0; host < hosts_.size(); ++host) {
      const Clock seen = hosts_[host]->store->clock();
      const ActorId actor = hosts_[host]->store->identity().actor;
      client_write(*hosts_[host]);
      const Dot last{actor, hosts_[host]->store->clock().base(actor)};
      if (!seen.covers(last)) caused_.push_back({last, seen});
      Outbox none;
      settle(host, none);
    }
    for (int step = 0; step < 20; ++step) {
      run_until(time_ + Millis(1));
      check_causes();
    }
  }
}

// Causal order. Exchanges do not keep it, nor does who waited in vain.
void World::check_causes() {
  if (!options_.causal || !streams_alone_) return;
  for (std::size_t i = 0; i < hosts_.size() && !violation_; ++i) {
    const Store& store = *hosts_[i]->store;
    for (const Caused& write : caused_) {
      if (!store.clock().covers(write.dot) || store.clock().covers(write.seen)) continue;
      trace("its author had seen" + text_of(write.seen));
      violation_ = address_of(i) + " shows " + to_string(write.dot) + " before what its author had seen";
    }
  }
}

WallTime World::earliest(FunctionRef<bool(std::size_t host)> among) const {
  WallTime earliest{~std::uint64_t{0}};
  for (std::size_t i = 0; i < hosts_.size(); ++i) {
    if (among(i)) earliest = std::min(earliest, now(*hosts_[i]).wall);
  }
  return earliest;
}

// What all have seen deleted, or expired, must be gone some time later, everywhere.
std::optional<std::string> World::purge_all() {
  const Millis deadline = time_ + purged_within;
  std::optional<std::string> left = "nobody looked";
  while (left && !violation_ && time_ < deadline) {
    run_until(time_ + Millis(500));
    left.reset();
    const WallTime all = earliest([](std::size_t) { return true; });
    const WallTime expired{all.millis - static_cast<std::uint64_t>(purge_of_expired_within.count())};
    for (const auto& host : hosts_) {
      const Clock& purged = host->store->purged().clock;
      if (purged != common_to_all(*host)) left = "a floor stands still";
      for (const std::string& key : keys_) {
        const auto row = host->store->read(key);
        if (!row || row->row.empty()) continue;
        // A delete that won over values that expire waits for a pass that others ask for.
        const bool expires = row->row.shown_until().has_value();
        if (row->row.may_vanish(purged, expires ? expired : WallTime{}))
          left = "key " + key + " was not purged";
      }
    }
  }
  return violation_ ? violation_ : left;
}

// Hosts come back with the disk they had long ago, when what they hold was not deleted yet; sometimes while
// the others still purge. One stays, and knows all that was written.
std::optional<std::string> World::go_back() {
  struct Copy {
    std::size_t host{};
    VirtualDisk disk;
    VirtualJournal journal;
  };
  std::vector<Copy> copies;
  const std::size_t first = random(hosts_.size());
  const std::size_t count = hosts_.size() > 2 && chance(0.5) ? 2 : 1;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t index = (first + i) % hosts_.size();
    while (hosts_[index]->disk.writing()) run_until(time_ + Millis(10));
    copies.push_back({index, hosts_[index]->disk, hosts_[index]->journal});
  }
  write_in_peace();
  write_in_peace();
  if (auto wrong = converge("before a host went back")) return wrong;
  if (chance(0.5)) {
    if (auto wrong = purge_all()) return wrong;
  }
  for (Copy& copy : copies) {
    Host& host = *hosts_[copy.host];
    crash(copy.host);
    host.disk = std::move(copy.disk);
    host.journal = std::move(copy.journal);
    host.promised = {};
    model_.keep_all_of(host.author);
  }
  for (const Copy& copy : copies) boot(copy.host);
  return converge("after a host went back");
}

std::optional<std::string> World::lose_rows() {
  const std::size_t victim = random(hosts_.size());
  travellers_.clear();  // It does not know what it has lost.
  crash(victim);
  for (int i = 0; i < 3; ++i) hosts_[victim]->disk.damage_row(random_());
  for (int i = 0; i < 3; ++i) hosts_[victim]->disk.lose_row(random_());
  boot(victim);
  return converge("after rows were damaged and lost");
}

bool World::converged() {
  for (std::size_t i = 0; i < hosts_.size(); ++i) {
    if (!hosts_[i]->up() && i != lost_) return false;
  }
  const Host* first = nullptr;
  WallTime expired;  // Whose clock has not come to it cannot take that for true.
  for (const auto& host : hosts_) {
    if (!host->up()) continue;
    if (first == nullptr) first = host.get();
    expired = std::max(expired, host->store->purged().expired);
  }
  return members_agree() && std::all_of(hosts_.begin(), hosts_.end(), [&](const auto& host) {
           if (!host->up()) return true;
           const Line& purged = host->store->purged();
           return host->store->tree().complete() && !host->store->has_work() && !host->store->has_damage() &&
                  // Of a rotten tail the journal knows more.
                  host->store->applied() <= host->store->synced() &&
                  root_digest(host->store->tree(), host->store->clear(), cluster_.hash_keys) ==
                      root_digest(first->store->tree(), first->store->clear(), cluster_.hash_keys) &&
                  host->store->clock() == first->store->clock() &&
                  purged.clock == first->store->purged().clock &&
                  (purged.expired == expired || now(*host).wall < expired);
         });
}

std::optional<std::string> World::converge(const char* when) {
  const Millis deadline = time_ + options_.converge_within;
  while (!violation_ && time_ < deadline && !converged()) {
    run_until(time_ + Millis(200));
    for (std::size_t i = 0; i < hosts_.size(); ++i) {
      Outbox out;
      if (hosts_[i]->up()) arrive(i, out);
      settle(i, out);
    }
  }
  if (violation_) return violation_;
  if (!converged()) return std::string("no convergence ") + when;
  for (std::size_t i = 0; i < hosts_.size() && !violation_; ++i) {
    if (!hosts_[i]->up()) continue;
    auto wrong = model_.difference(*hosts_[i]->store);
    if (!wrong) wrong = model_.miscount(*hosts_[i]->store, now(*hosts_[i]).wall);
    if (wrong) {
      violation_ = address_of(i) + " " + when + ": " + *wrong;
    } else {
      check_tree(i);
    }
    exchanges_ += hosts_[i]->node->status(now(*hosts_[i])).exchanges;
  }
  if (const auto wrong = disagreement()) violation_ = std::string(when) + ": " + *wrong;
  if (!lost_) model_.all_are_equal();
  return violation_;
}

// A key that does not show the same everywhere, asked at one instant.
std::optional<std::string> World::disagreement() {
  const WallTime instant = now(*hosts_.front()).wall;
  for (const std::string& key : keys_) {
    std::set<std::string> shown;
    for (const auto& host : hosts_) {
      if (!host->up()) continue;
      const auto found = host->keyspace->get(key, instant);
      shown.insert(found && *found ? std::string((*found)->value) : "nothing");
    }
    if (shown.size() > 1) return "key " + key + " is not the same everywhere";
  }
  return std::nullopt;
}

// Invariant 2, at any moment before rows were lost behind the store's back.
void World::check_clock(std::size_t index) {
  const Host& host = *hosts_[index];
  if (const auto wrong = model_.uncovered(*host.store, host.scarred, others_than(index)))
    violation_ = address_of(index) + ": " + *wrong;
}

// What only somebody has who is left out may be given up.
std::vector<Store*> World::others_than(std::size_t index) const {
  std::vector<Store*> others;
  for (const auto& host : hosts_) {
    const bool counts = host->up() && host != hosts_[index] && !model_.is_left_out(host->author);
    if (counts) others.push_back(host->store.get());
  }
  return others;
}

// Nothing is streamed by who is too far ahead. (What is late makes a clock seem right.)
void World::check_streams(std::size_t index) {
  const Host& host = *hosts_[index];
  for (const PeerStatus& peer : host.node->status(now(host)).peers) {
    for (const auto& other : hosts_) {
      const bool is_it = other->up() && other->node->options().name == peer.name;
      const std::int64_t ahead = other->skew_millis - host.skew_millis;
      if (is_it && Millis(ahead) > 60 * clock_max_ahead && peer.stream.batches_received > 0)
        violation_ = address_of(index) + " took a stream of " + peer.name + ", which is ahead of its time";
    }
  }
}

// Looks at all rows, and finds those that were damaged.
Store::Verification World::scrub(std::size_t index) {
  Store::Verification verification;
  while (verification.next && hosts_[index]->store->verify_step(verification, 1000)) {
  }
  return verification;
}

// Invariant 3, at any moment.
void World::check_tree(std::size_t index) {
  Host& host = *hosts_[index];
  if (!host.store->tree().complete()) return;
  const Store::Verification verified = scrub(index);
  if (verified.wrong_leaves + verified.damaged_rows == 0) return;
  if (!host.scarred.empty() && host.store->has_work()) return;  // It is about to be built anew.
  if (!host.scarred.empty() && verified.wrong_leaves == 0) return;
  violation_ = address_of(index) + ": " + std::to_string(verified.wrong_leaves) + " leaves and " +
               std::to_string(verified.damaged_rows) + " rows are wrong";
}

}  // namespace knit::sim
