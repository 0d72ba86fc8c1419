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

}  // namespace

void Model::forget_unsynced(std::size_t host, JournalPosition durable) {
  std::erase_if(writes_, [&](const Write& w) { return w.host == host && w.position > durable; });
  std::erase_if(additions_, [&](const Addition& a) { return a.host == host && a.position > durable; });
}

bool Model::cleared(Dot dot) const {
  return std::any_of(writes_.begin(), writes_.end(),
                     [&](const Write& w) { return w.is_clear && w.cleared.covers(dot); });
}

std::set<std::string> Model::keys() const {
  std::set<std::string> keys;
  for (const Write& w : writes_) {
    if (!w.is_clear) keys.insert(w.key);
  }
  return keys;
}

std::optional<std::string> Model::difference(Store& store) const {
  for (const std::string& key : keys()) {
    std::map<Dot, Stamp> expected;
    for (const Write& w : writes_) {
      if (!w.is_clear && w.shows && w.key == key && !cleared(w.dot)) expected[w.dot] = w.stamp;
    }
    for (const Write& w : writes_) {
      for (const Dot dot : w.superseded) expected.erase(dot);
    }
    const auto row = store.read(key);
    if (!row) return "key " + key + ": " + row.error().message;
    std::map<Dot, Stamp> shown;
    for (const Sibling& s : row->row.siblings()) {
      if (s.content != Content::cleared) shown[s.dot] = s.stamp;
    }
    if (shown == expected) continue;
    std::string text = "key " + key + " should hold";
    for (const auto& [dot, stamp] : expected) text += " " + to_string(dot);
    text += " but holds";
    for (const auto& [dot, stamp] : shown) text += " " + to_string(dot);
    return text;
  }
  return std::nullopt;
}

std::optional<std::string> Model::miscount(Store& store, WallTime now) const {
  std::map<std::string, std::int64_t> sums;
  for (const Addition& a : additions_) sums[a.key] += a.amount;
  for (const auto& [key, sum] : sums) {
    const auto row = store.read(key);
    if (!row) return "counter " + key + ": " + row.error().message;
    const auto shown = row->row.shown(now);
    const std::string text = shown ? shown->text() : "nothing";
    if (text != std::to_string(sum)) {
      return "counter " + key + " should show " + std::to_string(sum) + " but shows " + text;
    }
  }
  return std::nullopt;
}

std::optional<std::string> Model::uncovered(Store& store) const {
  for (const Write& w : writes_) {
    if (!store.clock().covers(w.dot)) continue;
    if (w.is_clear) {
      if (!store.clear().covers(w.cleared))
        return "clear " + to_string(w.dot) + " is covered but not applied";
      continue;
    }
    const auto row = store.read(w.key);
    if (!row) continue;  // Damaged: known to be absent, and healed by peers.
    const bool there = holds(row->row, w.dot) || counts(row->row, w.dot) ||
                       row->row.context().covers(w.dot) || store.clear().covers(w.dot);
    if (!there) return "dot " + to_string(w.dot) + " of key " + w.key + " is covered but not in the rows";
  }
  return std::nullopt;
}

}  // namespace knit::sim
