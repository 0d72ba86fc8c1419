// Events that took long, as LATENCY shows them: of each kind the worst of a second, for the last 160
// seconds that had one. Loop thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>

namespace knit {

class LatencyMonitor {
 public:
  static constexpr std::size_t samples_max = 160;

  struct Sample {
    std::uint64_t second{};  // Since 1970.
    std::uint64_t millis{};
  };
  struct Event {
    std::deque<Sample> samples;  // Oldest first; never empty.
    std::uint64_t worst_millis{};
  };

  // Event names are few and ours.
  void add(std::string_view event, Sample sample);
  bool reset(std::string_view event) { return events_.erase(std::string(event)) > 0; }
  void reset() { events_.clear(); }

  const std::map<std::string, Event, std::less<>>& events() const { return events_; }
  const Event* find(std::string_view event) const;

 private:
  std::map<std::string, Event, std::less<>> events_;
};

}  // namespace knit
