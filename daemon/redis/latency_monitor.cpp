#include "daemon/redis/latency_monitor.h"

#include <algorithm>

namespace knit {

void LatencyMonitor::add(std::string_view event, Sample sample) {
  Event& found = events_[std::string(event)];
  found.worst_millis = std::max(found.worst_millis, sample.millis);
  if (!found.samples.empty() && found.samples.back().second == sample.second) {
    found.samples.back().millis = std::max(found.samples.back().millis, sample.millis);
    return;
  }
  found.samples.push_back(sample);
  if (found.samples.size() > samples_max) found.samples.pop_front();
}

const LatencyMonitor::Event* LatencyMonitor::find(std::string_view event) const {
  const auto found = events_.find(event);
  return found == events_.end() ? nullptr : &found->second;
}

}  // namespace knit
