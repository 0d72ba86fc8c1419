// How often each command ran, how long it took, and what errors were answered. Loop thread only.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "daemon/redis/command.h"

namespace knit {

using Nanos = std::chrono::nanoseconds;

// Durations, counted in four buckets per power of two: a percentile is right within a fifth.
class DurationHistogram {
 public:
  void add(Nanos duration) { counts_[bucket_of(duration)]++; }
  std::uint64_t total() const;
  Nanos percentile(double percent) const;  // Zero, if nothing was counted.

  // How many took at most so many microseconds: powers of two, ascending, those where the number grows.
  struct Step {
    std::uint64_t micros{};
    std::uint64_t count{};
  };
  std::vector<Step> steps() const;

 private:
  static constexpr std::size_t buckets = 4 * 44;  // The last one takes all from 2^45 ns (nine hours) on.
  static std::size_t bucket_of(Nanos duration);
  static std::uint64_t upper_end(std::size_t bucket);  // In nanoseconds, exclusive.

  std::array<std::uint64_t, buckets> counts_{};
};

struct CommandStatistic {
  std::uint64_t calls = 0;
  std::uint64_t rejected = 0;  // Before they ran: wrong arity, no password.
  std::uint64_t failed = 0;    // Answered with an error.
  Nanos total{};
  DurationHistogram durations;
};

class CommandStatistics {
 public:
  // Stays where it is for as long as this object lives, also across reset().
  CommandStatistic& of(const Command& command) { return commands_[&command]; }
  const CommandStatistic* find(const Command& command) const;
  void add_error(std::string_view line);  // "ERR text": counted by its code.
  void reset();

  struct Named {
    const Command* command{};
    const CommandStatistic* statistic{};
  };
  std::vector<Named> used() const;  // Those called or rejected, ascending by name.
  const std::map<std::string, std::uint64_t, std::less<>>& errors() const { return errors_; }

 private:
  static constexpr std::size_t errors_max = 128;  // Further codes are not counted.

  std::unordered_map<const Command*, CommandStatistic> commands_;
  std::map<std::string, std::uint64_t, std::less<>> errors_;
};

}  // namespace knit
