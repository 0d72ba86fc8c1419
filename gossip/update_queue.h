// News about members that is to ride on packets: one entry a subject, the least often told first. Each is
// told a number of times that grows with the logarithm of the cluster's size, which reaches everybody with
// high probability (SWIM, section 4.1).
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>

#include "base/types.h"

namespace knit {

class UpdateQueue {
 public:
  enum class Urgency : std::uint8_t { first = 0, normal = 1 };  // Refutations go first.

  explicit UpdateQueue(std::size_t most) : most_(most) {}

  // Takes the place of older news of the subject. `times`: how often it may be told, at least once. When
  // the queue is full the one that was told most often goes: comparing lists brings what it would have told.
  void put(NodeId subject, std::string update, Urgency urgency, unsigned times);
  void drop(NodeId subject);
  // Appends updates to `out`, each with a varint length, `budget` bytes at most; each of them is then told
  // once more.
  void take(std::size_t budget, std::string& out);

  std::size_t size() const { return entries_.size(); }
  bool empty() const { return entries_.empty(); }

 private:
  struct Entry {
    std::string update;
    Urgency urgency{};
    unsigned told{};
    unsigned times{};
    std::uint64_t order{};
  };
  using Entries = std::unordered_map<NodeId, Entry>;
  // Urgency, times told, then the newest first: what is new spreads before what is old spreads on.
  struct Place {
    Urgency urgency{};
    unsigned told{};
    std::uint64_t age{};  // Another one of each.
    Entries::value_type* entry{};
    bool operator<(const Place& other) const {
      return std::tie(urgency, told, age) < std::tie(other.urgency, other.told, other.age);
    }
  };
  static Place place(Entries::value_type& entry) {
    return {entry.second.urgency, entry.second.told, ~entry.second.order, &entry};
  }

  std::size_t most_;
  std::uint64_t next_order_ = 0;
  Entries entries_;
  std::set<Place> places_;
};

}  // namespace knit
