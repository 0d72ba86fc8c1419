#include "daemon/redis/command_statistics.h"

#include <algorithm>
#include <bit>
#include <numeric>

namespace knit {

// Below 4 ns a bucket is 1 ns wide; above, a quarter of a power of two.
std::size_t DurationHistogram::bucket_of(Nanos duration) {
  const auto nanos = static_cast<std::uint64_t>(std::max<Nanos::rep>(duration.count(), 0));
  if (nanos < 4) return static_cast<std::size_t>(nanos);
  const auto power = static_cast<std::size_t>(std::bit_width(nanos)) - 1;
  const std::size_t quarter = (nanos >> (power - 2)) & 3;
  return std::min(4 * (power - 1) + quarter, buckets - 1);
}

std::uint64_t DurationHistogram::upper_end(std::size_t bucket) {
  if (bucket < 4) return bucket + 1;
  const std::size_t power = bucket / 4 + 1;
  return (std::uint64_t{5} + bucket % 4) << (power - 2);
}

std::uint64_t DurationHistogram::total() const {
  return std::accumulate(counts_.begin(), counts_.end(), std::uint64_t{0});
}

Nanos DurationHistogram::percentile(double percent) const {
  const double wanted = static_cast<double>(total()) * percent / 100;
  std::uint64_t seen = 0;
  for (std::size_t bucket = 0; bucket < buckets; bucket++) {
    seen += counts_[bucket];
    if (seen > 0 && static_cast<double>(seen) >= wanted) return Nanos(upper_end(bucket) - 1);
  }
  return {};
}

std::vector<DurationHistogram::Step> DurationHistogram::steps() const {
  std::vector<Step> steps;
  std::uint64_t seen = 0;
  for (std::size_t bucket = 0; bucket < buckets; bucket++) {
    if (counts_[bucket] == 0) continue;
    seen += counts_[bucket];
    const std::uint64_t micros = std::bit_ceil((upper_end(bucket) + 999) / 1000);
    if (steps.empty() || steps.back().micros != micros) steps.push_back({.micros = micros});
    steps.back().count = seen;
  }
  return steps;
}

const CommandStatistic* CommandStatistics::find(const Command& command) const {
  const auto found = commands_.find(&command);
  return found == commands_.end() ? nullptr : &found->second;
}

void CommandStatistics::add_error(std::string_view line) {
  const std::string_view code = line.substr(0, line.find(' '));
  const auto known = errors_.find(code);
  if (known != errors_.end()) {
    known->second++;
  } else if (errors_.size() < errors_max) {
    errors_.emplace(code, 1);
  }
}

// Not cleared: sessions remember where their last command is counted.
void CommandStatistics::reset() {
  for (auto& [command, statistic] : commands_) statistic = {};
  errors_.clear();
}

std::vector<CommandStatistics::Named> CommandStatistics::used() const {
  std::vector<Named> used;
  for (const auto& [command, statistic] : commands_) {
    if (statistic.calls + statistic.rejected > 0) used.push_back({command, &statistic});
  }
  std::sort(used.begin(), used.end(),
            [](const Named& a, const Named& b) { return a.command->name < b.command->name; });
  return used;
}

}  // namespace knit
