#include "gossip/update_queue.h"

#include <algorithm>
#include <vector>

#include "base/bytes.h"

namespace knit {

namespace {

std::size_t framed_bytes(std::string_view update) { return update.size() + (update.size() < 128 ? 1 : 2); }

}  // namespace

void UpdateQueue::put(NodeId subject, std::string update, Urgency urgency, unsigned times) {
  drop(subject);
  if (entries_.size() >= most_) drop(std::prev(places_.end())->entry->first);
  const auto entry =
      entries_.try_emplace(subject, Entry{std::move(update), urgency, 0, std::max(times, 1U), next_order_++})
          .first;
  places_.insert(place(*entry));
}

void UpdateQueue::drop(NodeId subject) {
  const auto found = entries_.find(subject);
  if (found == entries_.end()) return;
  places_.erase(place(*found));
  entries_.erase(found);
}

void UpdateQueue::take(std::size_t budget, std::string& out) {
  ByteWriter writer(out);
  auto end = places_.begin();
  for (; end != places_.end(); ++end) {
    const std::string& update = end->entry->second.update;
    if (framed_bytes(update) > budget) break;
    writer.bytes(update);
    budget -= framed_bytes(update);
  }
  std::vector<decltype(places_)::node_type> told;
  while (places_.begin() != end) told.push_back(places_.extract(places_.begin()));
  for (auto& node : told) {
    Place& at = node.value();
    at.told = ++at.entry->second.told;
    if (at.told < at.entry->second.times) {
      places_.insert(std::move(node));
    } else {
      const NodeId subject = at.entry->first;
      entries_.erase(subject);
    }
  }
}

}  // namespace knit
