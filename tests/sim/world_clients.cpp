// What clients do, and what they must never see.
#include <algorithm>

#include "base/check.h"
#include "node/token.h"
#include "trace.h"
#include "world.h"

namespace knit::sim {

namespace {

constexpr double token_chance = 0.1;
constexpr std::size_t guests_max = 5;

std::vector<Dot> dots_of(const RegisterRow& row) {
  std::vector<Dot> dots;
  for (const Sibling& sibling : row.siblings()) dots.push_back(sibling.dot);
  for (const Component& component : row.counter().components()) dots.push_back(component.last_dot());
  return dots;
}

}  // namespace

const std::string& World::any_key() {
  const std::size_t index = random(keys_.size() + counters_.size());
  return index < keys_.size() ? keys_[index] : counters_[index - keys_.size()];
}

void World::client(std::size_t index) {
  if (!faults_) return;
  Host& host = *hosts_[index];
  Outbox out;
  if (chance(options_.read_all)) {
    read_all(host, out);
  } else if (chance(0.25)) {
    client_read(host);
  } else {
    client_write(host);
  }
  arrive(index, out);
  settle(index, out);
  on_host(index, Millis(1 + random(200)), [this, index] { client(index); });
}

// Some clients ask for a token, and go elsewhere.
void World::answer(Host& host, const std::string& key, std::vector<Dot> dots) {
  Reply reply{host.keyspace->seen(), std::move(dots), key};
  if (!reply.dots.empty() && chance(token_chance)) {
    const HashKeys& keys = cluster_.hash_keys;
    const auto token = parse_token(token_text(host.node->token(), keys), keys);
    check(token.has_value(), "a token can be read");
    reply.token = *token;
  }
  host.replies.push_back(std::move(reply));
}

// With a token from elsewhere: once the host lets them read, they must find what they have seen there.
void World::arrive(std::size_t index, Outbox& out) {
  Host& host = *hosts_[index];
  if (!travellers_.empty() && chance(0.3)) {
    const Traveller& traveller = travellers_[random(travellers_.size())];
    host.guests.push_back({traveller, host.node->needed(traveller.token)});
    if (host.guests.size() > guests_max) host.guests.pop_front();
  }
  std::erase_if(host.guests, [&](const Guest& guest) {
    if (!host.node->shows(guest.needed)) return false;
    if (host.scarred.contains(guest.who.key)) return true;
    const auto missing = model_.missing(guest.who.key, guest.who.seen, *host.store);
    if (missing.empty()) return true;
    trace("token of host" + std::to_string(guest.who.from) + " at " + std::to_string(guest.who.at.count()) +
          ":" + text_of(guest.who.token.needed));
    if (const auto row = host.store->read(guest.who.key)) model_.trace_key(guest.who.key);
    violation_ = address_of(index) + " takes a token, and misses " + to_string(missing.front()) + " of key " +
                 guest.who.key;
    return true;
  });
  if (!host.guests.empty()) host.node->fetch(host.guests.front().needed.clock, now(host), out);
}

void World::client_read(Host& host) {
  const std::string& key = any_key();
  const WallTime wall = now(host).wall;
  const auto found = host.keyspace->get(key, wall);
  if (!found) return;
  if (*found && (*found)->expiry.passed(wall))
    violation_ = "key " + key + " is shown although it has expired";
  const auto row = host.store->read(key);
  if (row) answer(host, key, dots_of(row->row));
}

// What any host shows now must be seen by whoever reads from all of them.
void World::read_all(Host& host, Outbox& out) {
  PendingRead read{keys_[random(keys_.size())], {}};
  for (const auto& other : hosts_) {
    const auto row = other->up() ? other->store->read(read.key) : fail(ErrorCode::refused, "it is down");
    if (!row) continue;
    const auto dots = dots_of(row->row);
    read.shown.insert(read.shown.end(), dots.begin(), dots.end());
  }
  const auto job =
      host.node->start_read({read.key}, hosts_.size() - 1, Node::ReadFrom::nearest, now(host), out);
  if (job) host.reads.emplace(*job, std::move(read));
}

void World::end_read(Host& host, const JobDone& done) {
  const auto read = host.reads.extract(done.job);
  if (read.empty() || !done.error.empty()) return;
  if (host.scarred.contains(read.mapped().key)) return;  // Lost here, perhaps while it was read.
  const auto missing = model_.missing(read.mapped().key, read.mapped().shown, *host.store);
  if (!missing.empty())
    violation_ =
        "a read of all replicas misses " + to_string(missing.front()) + " of key " + read.mapped().key;
}

void World::client_write(Host& host) {
  if (chance(options_.count_chance)) return count(host);
  const WallTime wall = now(host).wall;
  const std::string& key = keys_[random(keys_.size())];
  const auto found = host.store->read(key);
  const RegisterRow before = found ? found->row : RegisterRow{};
  std::vector<Dot> superseded;  // A damaged one is overwritten, and with it all that was seen of it.
  if (!found) superseded = model_.written(key, host.store->clock());
  const Expiry soon{wall.millis + 1 + random(20'000)};
  const std::uint64_t action = random(90 + options_.put_offs);
  if (action < 4) return clear(host);
  SetOptions options;
  if (action < 15) options.expiry = soon;
  const bool done =
      action < 50   ? host.keyspace->set(key, std::to_string(random(1000)), options, wall).has_value()
      : action < 75 ? host.keyspace->add(key, static_cast<std::int64_t>(random(20)) - 5, wall).has_value()
      : action < 90 ? host.keyspace->remove(key, wall).has_value()
                    : host.keyspace->set_expiry(key, chance(0.3) ? Expiry{} : soon, wall).has_value();
  if (done) record(host, key, before, std::move(superseded));
}

void World::clear(Host& host) {
  if (!counters_.empty() || !host.keyspace->clear(now(host).wall)) return;  // A clear would take them too.
  Write write;
  write.host = host.author;
  write.position = host.store->applied();
  const ActorId actor = host.store->identity().actor;
  write.dot = {actor, host.store->clock().base(actor)};
  write.cleared = host.store->clear();
  write.is_clear = true;
  host.replies.push_back({host.keyspace->seen(), {write.dot}});
  model_.add(std::move(write));
}

void World::count(Host& host) {
  if (counters_.empty()) return;
  const std::string& key = counters_[random(counters_.size())];
  const auto amount = static_cast<std::int64_t>(random(20)) - 5;
  const JournalPosition before = host.store->applied();
  if (!host.keyspace->add(key, amount, now(host).wall) || host.store->applied() == before) return;
  const ActorId actor = host.store->identity().actor;
  const Dot dot{actor, host.store->clock().base(actor)};
  answer(host, key, {dot});
  model_.add(Addition{host.author, host.store->applied(), dot, key, amount});
}

// A write shows as one sibling with a dot that was not there before; a raised expiry shows none, and an
// increment shows in the counter.
void World::record(Host& host, const std::string& key, const RegisterRow& before,
                   std::vector<Dot> superseded) {
  const auto after = host.store->read(key);
  if (!after) return;
  Write write;
  write.host = host.author;
  write.position = host.store->applied();
  write.key = key;
  write.superseded = std::move(superseded);
  if (note_raise(host, write, before, after->row)) return;
  if (after->row.siblings() == before.siblings()) {
    const ActorId actor = host.store->identity().actor;
    if (after->row.counter() == before.counter()) return;
    write.dot = {actor, host.store->clock().base(actor)};
    write.shows = false;
    answer(host, write.key, {write.dot});
    model_.add(std::move(write));
  } else if (after->row.siblings().size() == 1) {
    record_sibling(host, std::move(write), before, after->row.siblings().front());
  }
}

// Answers whether an expiry was put off: of a sibling, which keeps its dot. Members who have not met the host
// may have purged that.
bool World::note_raise(const Host& host, const Write& write, const RegisterRow& before,
                       const RegisterRow& after) {
  for (const Sibling& old : before.siblings()) {
    const auto same = std::find_if(after.siblings().begin(), after.siblings().end(), [&](const Sibling& s) {
      return s.dot == old.dot && s.expiry != old.expiry;
    });
    if (same == after.siblings().end()) continue;
    model_.add(Raise{write.host, write.position, write.key, same->dot, same->expiry, !host.settled});
    return true;
  }
  return false;
}

void World::record_sibling(Host& host, Write write, const RegisterRow& before, const Sibling& written) {
  write.dot = written.dot;
  write.stamp = written.stamp;
  write.deletes = written.content == Content::tombstone;
  write.expiry = written.expiry;
  for (const Sibling& old : before.siblings()) write.superseded.push_back(old.dot);
  check_stamp(host, write.stamp, before.greatest_stamp());
  answer(host, write.key, {write.dot});
  model_.add(std::move(write));
}

void World::check_stamp(const Host& host, Stamp issued, Stamp superseded) {
  if (issued <= superseded) violation_ = "a write has a stamp below what it supersedes";
  const WallTime ahead{std::max(now(host).wall, host.copied_at).millis +
                       static_cast<std::uint64_t>(clock_max_ahead.count()) + 1};
  if (issued > std::max(Stamp::at(ahead), superseded.next())) violation_ = "a peer's clock has moved ours";
}

}  // namespace knit::sim
