// What is to happen, by virtual time; at the same time in the order in which it was pushed.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>

namespace knit::swim_sim {

using Micros = std::chrono::microseconds;  // Since the world began.

template <class Event>
class EventQueue {
 public:
  void push(Micros at, Event event) {
    heap_.push_back({at, next_order_++, event});
    std::push_heap(heap_.begin(), heap_.end(), later);
  }
  bool empty() const { return heap_.empty(); }
  std::size_t size() const { return heap_.size(); }
  Micros next() const { return heap_.front().at; }  // Requires: not empty.
  Event pop() {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    const Event event = heap_.back().event;
    heap_.pop_back();
    return event;
  }

 private:
  struct Entry {
    Micros at;
    std::uint64_t order;
    Event event;
  };
  static constexpr auto later = [](const Entry& a, const Entry& b) {
    return a.at != b.at ? a.at > b.at : a.order > b.order;
  };

  std::vector<Entry> heap_;
  std::uint64_t next_order_ = 0;
};

}  // namespace knit::swim_sim
