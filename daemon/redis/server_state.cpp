#include "daemon/redis/server_state.h"

#include <uv.h>

#include <algorithm>
#include <limits>
#include <random>
#include <utility>

namespace knit {

ServerState::ServerState(RedisOptions o, Node& n, RedisServer::Hooks h)
    : options(std::move(o)),
      node(n),
      keyspace(n.store(), options.resolved_prefixes),
      hooks(std::move(h)),
      random_state_((std::uint64_t{std::random_device{}()} << 32) | std::random_device{}()) {
  now = started = hooks.now();
  last_sync = now.wall;
  synced = node.store().synced();
  for (const auto& [name, value] : options.parameters) {
    if (name == "loglevel") settings.log_level = value;
  }
  parameters.set_initial(options.parameters);
  update_slow_threshold();
}

Nanos ServerState::account(CommandStatistic& statistic, bool failed) {
  const Nanos end = hooks.stopwatch();
  const Nanos taken = end - std::exchange(command_began, end);
  statistics.commands++;
  statistic.calls++;
  statistic.total += taken;
  if (failed) statistic.failed++;
  if (settings.latency_tracking) statistic.durations.add(taken);
  return taken;
}

void ServerState::note_latency(const Command& command, Nanos taken) {
  const auto millis = std::chrono::duration_cast<Millis>(taken).count();
  if (settings.latency_threshold_millis == 0 || millis < settings.latency_threshold_millis) return;
  latency.add(command.has(command_flag::fast) ? "fast-command" : "command",
              {now.wall.millis / 1000, static_cast<std::uint64_t>(millis)});
}

// The least duration that any of them asks for: one comparison a command.
void ServerState::update_slow_threshold() {
  constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();
  const auto nanos = [](std::int64_t count, std::int64_t unit) {
    return count > never / unit ? never : count * unit;
  };
  const std::int64_t slow = settings.slow_micros < 0 ? never : nanos(settings.slow_micros, 1'000);
  const std::int64_t late =
      settings.latency_threshold_millis == 0 ? never : nanos(settings.latency_threshold_millis, 1'000'000);
  slow_threshold_ = Nanos(std::min(slow, late));
}

void ServerState::sample_rates() {
  command_rate.sample(statistics.commands, now.steady);
  input_rate.sample(statistics.input_bytes, now.steady);
  output_rate.sample(statistics.output_bytes, now.steady);
  const JournalPosition position = node.store().synced();
  if (position != std::exchange(synced, position)) last_sync = now.wall;
}

void ServerState::reset_statistics() {
  statistics = {};
  commands.reset();
  command_rate.reset();
  input_rate.reset();
  output_rate.reset();
  peak_memory_ = 0;
}

// splitmix64 (Steele, Lea, Flood 2014).
std::uint64_t ServerState::random() {
  random_state_ += 0x9e3779b97f4a7c15;
  std::uint64_t mixed = random_state_;
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
  return mixed ^ (mixed >> 31);
}

std::size_t ServerState::peak_memory() {
  std::size_t resident = 0;
  uv_resident_set_memory(&resident);
  peak_memory_ = std::max(peak_memory_, resident);
  return peak_memory_;
}

}  // namespace knit
