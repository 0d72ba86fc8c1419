#include "model.h"

#include <algorithm>
#include <iterator>

#include "trace.h"

namespace knit::sim {

namespace {

bool holds(const RegisterRow& row, Dot dot) {
  return std::any_of(row.siblings().begin(), row.siblings().end(),
                     [&](const Sibling& s) { return s.dot == dot; });
}

bool counts(const RegisterRow& row, Dot dot) {
  const auto& components = row.counter().components();
  return std::any_of(components.begin(), components.end(), [&](const Component& c) {
    return c.created.actor == dot.actor && c.created.sequence <= dot.sequence && dot.sequence <= c.last;
  });
}

// By a clear that its host may not have been told of yet.
bool was_cleared(const RegisterRow& row, Dot dot) {
  return std::any_of(row.siblings().begin(), row.siblings().end(),
                     [&](const Sibling& s) { return s.dot == dot && s.content == Content::cleared; });
}

const std::string nothing = "nothing";

std::string text_of(const std::map<Dot, Stamp>& siblings) {
  std::string text;
  for (const auto& [dot, stamp] : siblings) text += " " + to_string(dot);
  return text.empty() ? " nothing" : text;
}

}  // namespace

void Model::note_dot(Dot dot) {
  if (!dots_.insert(dot).second) contradiction_ = "dot " + to_string(dot) + " names two writes";
}

void Model::forget_dot(Dot dot) {
  dots_.erase(dot);
  if (told_.contains(dot)) contradiction_ = "dot " + to_string(dot) + " was shown to a client, and was lost";
}

void Model::add(Addition addition) {
  note_dot(addition.dot);
  additions_.push_back(std::move(addition));
}

void Model::add(Raise raise) {
  raise.doubtful = raise.doubtful || left_out_.contains(raise.host);
  raises_.push_back(std::move(raise));
}

void Model::add(Write write) {
  note_dot(write.dot);
  auto& writes = write.is_clear ? clears_ : writes_[write.key];
  writes.push_back(std::move(write));
}

void Model::forget_unsynced(std::size_t host, JournalPosition durable) {
  const auto lost = [&](const auto& change) {
    if (change.host != host || change.position <= durable) return false;
    forget_dot(change.dot);
    return true;
  };
  for (auto& [key, writes] : writes_) std::erase_if(writes, lost);
  std::erase_if(clears_, lost);
  std::erase_if(additions_, lost);
  std::erase_if(raises_, [&](const Raise& raise) { return raise.host == host && raise.position > durable; });
}

void Model::keep_all_of(std::size_t host) {
  const auto keep = [host](auto& change) {
    if (change.host == host) change.position = {};
  };
  for_all_changes(keep);
}

void Model::doubt(std::size_t host, JournalPosition position) {
  const auto doubt_one = [&](auto& change) {
    change.doubtful = change.doubtful || (change.host == host && change.position == position);
  };
  for_all_changes(doubt_one);
}

void Model::scar(std::size_t host, const std::string& key) {
  if (const auto found = writes_.find(key); found != writes_.end()) {
    for (Write& w : found->second) w.scarred = w.scarred || w.host == host;
  }
  for (Raise& r : raises_) r.doubtful = r.doubtful || (r.host == host && r.key == key);
}

void Model::leave_out(std::size_t host) {
  left_out_.insert(host);
  for (Raise& raise : raises_) raise.doubtful = raise.doubtful || raise.host == host;
}

void Model::give_up(Store& store, const std::vector<Store*>& others) {
  const auto lost = [&](const auto& change) {
    const bool is_elsewhere = std::any_of(
        others.begin(), others.end(), [&](const Store* other) { return other->clock().covers(change.dot); });
    return is_left_out(change.host) && store.clock().covers(change.dot) && !is_elsewhere;
  };
  for (auto& [key, writes] : writes_) {
    const auto row = store.read(key);
    for (Write& w : writes) w.doubtful = w.doubtful || (lost(w) && row && !is_in(w, row->row, store));
  }
  for (Write& c : clears_) c.doubtful = c.doubtful || (lost(c) && !store.clear().covers(c.cleared));
  for (Addition& a : additions_) {
    const auto row = store.read(a.key);
    a.doubtful = a.doubtful || (lost(a) && row && !counts(row->row, a.dot));
  }
}

void Model::copied(NodeId from, NodeId to) {
  if (rejoining_.contains(from)) rejoining_.insert(to);
}

std::vector<Dot> Model::written(const std::string& key, const Clock& clock) const {
  std::vector<Dot> dots;
  for (const Write& w : writes_of(key)) {
    if (w.dot.sequence <= clock.base(w.dot.actor)) dots.push_back(w.dot);
  }
  return dots;
}

bool Model::cleared(Dot dot, const Store& store) const {
  return std::any_of(clears_.begin(), clears_.end(), [&](const Write& w) {
    return w.cleared.covers(dot) && (!is_doubtful(w) || store.clear().covers(w.cleared));
  });
}

Expiry Model::expiry_of(const Write& write) const {
  Expiry expiry = write.expiry;
  for (const Raise& raise : raises_) {
    if (raise.dot == write.dot && !is_doubtful(raise)) expiry = std::max(expiry, raise.expiry);
  }
  return expiry;
}

// It may be gone without a trace, with all that it superseded.
bool Model::is_purged(const Write& write) const {
  if (!floor_.clock.covers(write.dot)) return false;
  if (write.deletes || !write.shows || expiry_of(write).passed(floor_.expired)) return true;
  // Who rejoins hears of a clear after it has dropped the row.
  return std::any_of(clears_.begin(), clears_.end(),
                     [&](const Write& clear) { return clear.cleared.covers(write.dot); });
}

const std::vector<Write>& Model::writes_of(const std::string& key) const {
  static const std::vector<Write> none;
  const auto found = writes_.find(key);
  return found == writes_.end() ? none : found->second;
}

std::size_t Model::writes() const {
  std::size_t count = additions_.size() + clears_.size();
  for (const auto& [key, writes] : writes_) count += writes.size();
  return count;
}

// Newest first: a doubtful write lasted if its effect is in the row, or if one that lasted has superseded it.
// Where it is superseded itself nobody can tell whether it was ever here, to supersede others: a context that
// covers it may have been told of a later one alone.
Model::Shown Model::expected(const std::string& key, const RegisterRow& row, const Store& store) const {
  // As contexts are: with a write go the actor's earlier ones.
  VersionVector superseded, perhaps, own_purged;
  std::set<std::size_t> hosts;
  Shown expected;
  const auto& writes = writes_of(key);
  const bool rejoins = rejoining_.contains(store.identity().node);
  for (auto w = writes.rbegin(); w != writes.rend(); ++w) {
    const bool doubtful = is_doubtful(*w);
    const bool host_wrote_later = !hosts.insert(w->host).second;
    const bool held = holds(row, w->dot);
    if (doubtful && !superseded.covers(w->dot) && !is_in(*w, row, store)) {
      // Who has rejoined through a host that is lost dropped what this had superseded, and did not get this.
      for (const Dot dot : w->superseded) {
        if (!lost_fences_.empty() && is_missed(*w) && floor_.clock.covers(dot)) perhaps.add(dot);
      }
      continue;
    }
    // Of a gap that was given up, as of one that was purged, nothing is left.
    const bool may_be_dropped = rejoins && floor_.clock.covers(w->dot);
    const bool left_no_trace =
        doubtful && !held && (is_missed(*w) || is_purged(*w) || perhaps.covers(w->dot) || may_be_dropped);
    for (const Dot dot : w->superseded) (left_no_trace ? perhaps : superseded).add(dot);
    const bool trimmed = floor_.clock.covers(w->dot) && host_wrote_later;
    const bool overwritten = row.context().covers(w->dot) || own_purged.covers(w->dot) || trimmed;
    if (w->scarred && !held && overwritten) continue;
    if (w->shows && is_purged(*w)) own_purged.add(w->dot);
    if ((doubtful || is_purged(*w) || perhaps.covers(w->dot)) && !held) continue;
    if (was_cleared(row, w->dot)) continue;
    if (w->shows && !superseded.covers(w->dot) && !cleared(w->dot, store)) expected[w->dot] = w->stamp;
  }
  return expected;
}

void Model::trace_key(const std::string& key) const {
  if (!tracing()) return;
  trace("key " + key.substr(0, 20));
  for (const Write& w : clears_) trace("  clear " + to_string(w.dot) + " of" + text_of(w.cleared));
  for (const Write& w : writes_of(key)) {
    std::string superseded;
    for (const Dot dot : w.superseded) superseded += " " + to_string(dot);
    trace("  write " + to_string(w.dot) + " by " + std::to_string(w.host) + (w.deletes ? " deletes" : "") +
          (w.shows ? "" : " counts") + (w.scarred ? " scarred" : "") + (is_doubtful(w) ? " doubtful" : "") +
          (is_purged(w) ? " purged" : "") + " supersedes" + superseded);
  }
  for (const Raise& r : raises_) {
    if (r.key != key) continue;
    trace("  expiry of " + to_string(r.dot) + " put off by " + std::to_string(r.host) + " until " +
          std::to_string(r.expiry.millis) + (is_doubtful(r) ? " doubtful" : ""));
  }
}

std::optional<std::string> Model::difference(Store& store) const {
  for (const auto& [key, writes] : writes_) {
    const auto row = store.read(key);
    if (!row) return "key " + key + ": " + row.error().message;
    Shown shown;
    for (const Sibling& s : row->row.siblings()) {
      if (s.content != Content::cleared) shown[s.dot] = s.stamp;
    }
    const Shown wanted = expected(key, row->row, store);
    if (shown == wanted) continue;
    trace_key(key);
    return "key " + key.substr(0, 20) + " should hold" + text_of(wanted) + " but holds" + text_of(shown);
  }
  return std::nullopt;
}

std::optional<std::string> Model::miscount(Store& store, WallTime now) const {
  std::map<std::string, std::vector<const Addition*>> counters;
  for (const Addition& a : additions_) counters[a.key].push_back(&a);
  for (const auto& [key, additions] : counters) {
    const auto row = store.read(key);
    if (!row) return "counter " + key + ": " + row.error().message;
    const std::vector<std::string> possible = possible_sums(additions);
    const auto shown = row->row.shown(now);
    const std::string text = shown ? shown->text() : nothing;
    if (std::find(possible.begin(), possible.end(), text) == possible.end())
      return "counter " + key + " should show " + possible.front() + " but shows " + text;
  }
  return std::nullopt;
}

// With and without those that may be lost.
std::vector<std::string> Model::possible_sums(const std::vector<const Addition*>& additions) const {
  std::vector<std::int64_t> sums;  // Of one that lasted, and more. Ascending.
  for (const Addition* a : additions) {
    if (is_doubtful(*a)) continue;
    if (sums.empty()) sums.push_back(0);
    sums.front() += a->amount;
  }
  const bool all_may_be_lost = sums.empty();
  for (const Addition* a : additions) {
    if (!is_doubtful(*a)) continue;
    std::vector<std::int64_t> with, either;
    for (const std::int64_t sum : sums) with.push_back(sum + a->amount);
    std::set_union(sums.begin(), sums.end(), with.begin(), with.end(), std::back_inserter(either));
    const auto alone = std::lower_bound(either.begin(), either.end(), a->amount);
    const bool is_new = alone == either.end() || *alone != a->amount;
    if (all_may_be_lost && is_new) either.insert(alone, a->amount);
    sums = std::move(either);
  }
  std::vector<std::string> texts;
  for (const std::int64_t sum : sums) texts.push_back(std::to_string(sum));
  if (all_may_be_lost) texts.push_back(nothing);
  return texts;
}

// Itself, or what superseded it. (A row that was written anew over a damaged one has lost its context.)
bool Model::is_in(const Write& write, const RegisterRow& row, const Store& store) const {
  std::set<Dot> absent;
  return is_in(write, row, store, absent);
}

bool Model::is_in(const Write& write, const RegisterRow& row, const Store& store,
                  std::set<Dot>& absent) const {
  const Dot dot = write.dot;
  if (holds(row, dot) || counts(row, dot) || row.context().covers(dot) || store.clear().covers(dot) ||
      is_purged(write))
    return true;
  if (!absent.insert(dot).second) return false;
  const auto& others = writes_of(write.key);
  const bool rejoins = rejoining_.contains(store.identity().node);
  return std::any_of(others.begin(), others.end(), [&](const Write& later) {
    const auto& named = later.superseded;
    const bool own = later.shows && later.dot.actor == dot.actor && later.dot.sequence > dot.sequence;
    const bool superseded = own || std::find(named.begin(), named.end(), dot) != named.end();
    const bool below = rejoins && floor_.clock.covers(dot) && floor_.clock.covers(later.dot);
    return superseded && (below || is_in(later, row, store, absent));
  });
}

std::vector<Dot> Model::missing(const std::string& key, const std::vector<Dot>& dots, Store& store) const {
  std::vector<Dot> missing;
  const auto row = store.read(key);
  for (const Write& w : writes_of(key)) {
    const bool asked =
        !w.scarred && !is_doubtful(w) && std::find(dots.begin(), dots.end(), w.dot) != dots.end();
    if (asked && row && !is_in(w, row->row, store) && !cleared(w.dot, store)) missing.push_back(w.dot);
  }
  return missing;
}

bool Model::is_anywhere(const Write& write, const std::vector<Store*>& stores) const {
  return std::any_of(stores.begin(), stores.end(), [&](Store* store) {
    const auto row = store->read(write.key);
    // In a context alone it is the business of whoever superseded it.
    return row && store->clock().covers(write.dot) && is_in(write, row->row, *store);
  });
}

std::optional<std::string> Model::uncovered(Store& store, const std::set<std::string>& scarred,
                                            const std::vector<Store*>& others) const {
  for (const Write& w : clears_) {
    if (!store.clock().covers(w.dot) || store.clear().covers(w.cleared)) continue;
    const bool is_elsewhere = std::any_of(
        others.begin(), others.end(), [&](const Store* other) { return other->clear().covers(w.cleared); });
    if (!is_doubtful(w) || is_elsewhere) return "clear " + to_string(w.dot) + " is covered but not applied";
  }
  for (const auto& [key, writes] : writes_) {
    if (scarred.contains(key)) continue;
    const auto row = store.read(key);
    if (!row) continue;  // Damaged: known to be absent, and healed by peers.
    for (const Write& w : writes) {
      if (!store.clock().covers(w.dot) || is_in(w, row->row, store)) continue;
      const bool may_be_lost = is_doubtful(w) || is_left_out(w.host);
      if (may_be_lost && !is_anywhere(w, others)) continue;
      trace_key(key);
      return "dot " + to_string(w.dot) + " of key " + key.substr(0, 20) + " is covered but not in the rows";
    }
  }
  return std::nullopt;
}

}  // namespace knit::sim
