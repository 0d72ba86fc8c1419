#include "model.h"

#include <algorithm>

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

void Model::add(Write write) {
  note_dot(write.dot);
  writes_.push_back(std::move(write));
}

void Model::forget_unsynced(std::size_t host, JournalPosition durable) {
  const auto lost = [&](const auto& change) {
    if (change.host != host || change.position <= durable) return false;
    forget_dot(change.dot);
    return true;
  };
  std::erase_if(writes_, lost);
  std::erase_if(additions_, lost);
  std::erase_if(raises_, [&](const Raise& raise) { return raise.host == host && raise.position > durable; });
}

void Model::keep_all_of(std::size_t host) {
  const auto keep = [host](auto& change) {
    if (change.host == host) change.position = {};
  };
  std::for_each(writes_.begin(), writes_.end(), keep);
  std::for_each(additions_.begin(), additions_.end(), keep);
  std::for_each(raises_.begin(), raises_.end(), keep);
}

void Model::doubt(std::size_t host, JournalPosition position) {
  const auto doubt_one = [&](auto& change) {
    change.doubtful = change.doubtful || (change.host == host && change.position == position);
  };
  std::for_each(writes_.begin(), writes_.end(), doubt_one);
  std::for_each(additions_.begin(), additions_.end(), doubt_one);
  std::for_each(raises_.begin(), raises_.end(), doubt_one);
}

void Model::scar(std::size_t host, const std::string& key) {
  for (Write& w : writes_) w.scarred = w.scarred || (w.host == host && w.key == key);
  for (Raise& r : raises_) r.doubtful = r.doubtful || (r.host == host && r.key == key);
}

std::vector<Dot> Model::written(const std::string& key, const Clock& clock) const {
  std::vector<Dot> dots;
  for (const Write& w : writes_) {
    if (!w.is_clear && w.key == key && w.dot.sequence <= clock.base(w.dot.actor)) dots.push_back(w.dot);
  }
  return dots;
}

bool Model::cleared(Dot dot, const Store& store) const {
  return std::any_of(writes_.begin(), writes_.end(), [&](const Write& w) {
    return w.is_clear && w.cleared.covers(dot) && (!is_doubtful(w) || store.clear().covers(w.cleared));
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
  return write.deletes || !write.shows || expiry_of(write).passed(floor_.expired);
}

// All hosts had this delete once; then those that had not purged it lost it, and what it deleted is shown
// again.
bool Model::is_undone(const Write& write, const RegisterRow& row) {
  const bool gone = !holds(row, write.dot) && !row.context().covers(write.dot);
  return gone && std::any_of(write.superseded.begin(), write.superseded.end(),
                             [&](Dot dot) { return holds(row, dot); });
}

std::set<std::string> Model::keys() const {
  std::set<std::string> keys;
  for (const Write& w : writes_) {
    if (!w.is_clear) keys.insert(w.key);
  }
  return keys;
}

// Newest first: a doubtful write lasted if its effect is in the row, or if one that lasted has superseded it.
Model::Shown Model::expected(const std::string& key, const RegisterRow& row, const Store& store) const {
  VersionVector superseded;  // As contexts are: with a write go the earlier ones of its actor.
  Shown expected;
  for (auto w = writes_.rbegin(); w != writes_.rend(); ++w) {
    if (w->is_clear || w->key != key) continue;
    const bool lasted = is_in(*w, row, store) && !is_undone(*w, row);
    if (is_doubtful(*w) && !superseded.covers(w->dot) && !lasted) continue;
    for (const Dot dot : w->superseded) superseded.add(dot);
    if (w->scarred && !holds(row, w->dot) && row.context().covers(w->dot)) continue;
    if (is_purged(*w) && !holds(row, w->dot)) continue;
    if (was_cleared(row, w->dot)) continue;
    if (w->shows && !superseded.covers(w->dot) && !cleared(w->dot, store)) expected[w->dot] = w->stamp;
  }
  return expected;
}

std::optional<std::string> Model::difference(Store& store) const {
  for (const std::string& key : keys()) {
    const auto row = store.read(key);
    if (!row) return "key " + key + ": " + row.error().message;
    Shown shown;
    for (const Sibling& s : row->row.siblings()) {
      if (s.content != Content::cleared) shown[s.dot] = s.stamp;
    }
    const Shown wanted = expected(key, row->row, store);
    if (shown != wanted)
      return "key " + key.substr(0, 20) + " should hold" + text_of(wanted) + " but holds" + text_of(shown);
  }
  return std::nullopt;
}

std::optional<std::string> Model::miscount(Store& store, WallTime now) const {
  std::map<std::string, std::set<std::optional<std::int64_t>>> sums;  // All that are possible.
  for (const Addition& a : additions_) {
    auto& possible = sums[a.key];
    if (possible.empty()) possible.insert(std::nullopt);  // Of nothing.
    std::set<std::optional<std::int64_t>> grown;
    for (const auto& sum : possible) grown.insert(sum.value_or(0) + a.amount);
    if (is_doubtful(a)) grown.merge(possible);
    possible = std::move(grown);
  }
  const auto text_of_sum = [](std::optional<std::int64_t> sum) {
    return sum ? std::to_string(*sum) : std::string("nothing");
  };
  for (const auto& [key, possible] : sums) {
    const auto row = store.read(key);
    if (!row) return "counter " + key + ": " + row.error().message;
    const auto shown = row->row.shown(now);
    const std::string text = shown ? shown->text() : text_of_sum(std::nullopt);
    const auto fits = [&](const auto& sum) { return text == text_of_sum(sum); };
    if (std::none_of(possible.begin(), possible.end(), fits))
      return "counter " + key + " should show " + text_of_sum(*possible.begin()) + " but shows " + text;
  }
  return std::nullopt;
}

// Itself, or what superseded it. (A row that was written anew over a damaged one has lost its context.)
bool Model::is_in(const Write& write, const RegisterRow& row, const Store& store) const {
  const Dot dot = write.dot;
  if (holds(row, dot) || counts(row, dot) || row.context().covers(dot) || store.clear().covers(dot) ||
      is_purged(write))
    return true;
  return std::any_of(writes_.begin(), writes_.end(), [&](const Write& later) {
    const auto& named = later.superseded;
    const bool own = later.shows && later.dot.actor == dot.actor && later.dot.sequence > dot.sequence;
    const bool superseded = own || std::find(named.begin(), named.end(), dot) != named.end();
    return superseded && later.key == write.key && is_in(later, row, store);
  });
}

std::vector<Dot> Model::missing(const std::string& key, const std::vector<Dot>& dots, Store& store) const {
  std::vector<Dot> missing;
  const auto row = store.read(key);
  for (const Write& w : writes_) {
    const bool asked =
        w.key == key && !w.scarred && !w.doubtful && std::find(dots.begin(), dots.end(), w.dot) != dots.end();
    if (asked && row && !is_in(w, row->row, store) && !cleared(w.dot, store)) missing.push_back(w.dot);
  }
  return missing;
}

bool Model::is_anywhere(const Write& write, const std::vector<Store*>& stores) const {
  return std::any_of(stores.begin(), stores.end(), [&](Store* store) {
    const auto row = store->read(write.key);
    return write.is_clear ? store->clear().covers(write.cleared) : row && is_in(write, row->row, *store);
  });
}

std::optional<std::string> Model::uncovered(Store& store, const std::set<std::string>& scarred,
                                            const std::vector<Store*>& others) const {
  for (const Write& w : writes_) {
    if (!store.clock().covers(w.dot) || scarred.contains(w.key)) continue;
    if (w.doubtful && !is_anywhere(w, others)) continue;
    if (w.is_clear) {
      if (!store.clear().covers(w.cleared))
        return "clear " + to_string(w.dot) + " is covered but not applied";
      continue;
    }
    const auto row = store.read(w.key);
    if (!row) continue;  // Damaged: known to be absent, and healed by peers.
    if (!is_in(w, row->row, store))
      return "dot " + to_string(w.dot) + " of key " + w.key + " is covered but not in the rows";
  }
  return std::nullopt;
}

}  // namespace knit::sim
