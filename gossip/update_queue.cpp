#include "gossip/update_queue.h"

#include <algorithm>

#include "base/bytes.h"

namespace knit {

namespace {

std::size_t framed_bytes(std::string_view update) { return update.size() + (update.size() < 128 ? 1 : 2); }

}  // namespace

void UpdateQueue::put(NodeId subject, std::string update, Urgency urgency, unsigned times) {
  drop(subject);
  if (entries_.size() >= most_) drop(std::prev(places_.end())->subject);
  const auto entry =
      entries_.try_emplace(subject, Entry{std::move(update), urgency, 0, std::max(times, 1U), next_order_++})
          .first;
  places_.insert(place(subject, entry->second));
}

void UpdateQueue::drop(NodeId subject) {
  const auto found = entries_.find(subject);
  if (found == entries_.end()) return;
  places_.erase(place(subject, found->second));
  entries_.erase(found);
}

void UpdateQueue::take(std::size_t budget, std::string& out) {
  ByteWriter writer(out);
  std::vector<NodeId> taken;
  for (const Place& at : places_) {
    const std::string& update = entries_.find(at.subject)->second.update;
    if (framed_bytes(update) > budget) break;
    writer.bytes(update);
    budget -= framed_bytes(update);
    taken.push_back(at.subject);
  }
  for (const NodeId subject : taken) {
    Entry& entry = entries_.find(subject)->second;
    places_.erase(place(subject, entry));
    if (++entry.told >= entry.times) {
      entries_.erase(subject);
    } else {
      places_.insert(place(subject, entry));
    }
  }
}

}  // namespace knit
