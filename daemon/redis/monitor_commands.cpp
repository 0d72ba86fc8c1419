// SLOWLOG and LATENCY.
#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "daemon/redis/call.h"
#include "daemon/redis/help.h"
#include "daemon/redis/text.h"

namespace knit {

namespace {

constexpr std::size_t names_max = 1024;  // Of commands, in one request: more than there are.

std::int64_t signed_count(std::uint64_t count) { return static_cast<std::int64_t>(count); }

void slowlog_get(Call& call) {
  std::int64_t count = 10;
  if (call.size() > 3) {
    return call.reply.error("ERR unknown subcommand or wrong number of arguments for '" +
                            std::string(call[1]) + "'. Try SLOWLOG HELP.");
  }
  if (call.size() == 3) {
    const auto wanted = parse_integer(call[2]);
    if (!wanted || *wanted < -1) {
      return call.reply.error("ERR count should be greater than or equal to -1");
    }
    count = *wanted;
  }
  const auto& entries = call.server().slow_log.entries();
  const std::size_t shown =
      count < 0 ? entries.size() : std::min(entries.size(), static_cast<std::size_t>(count));
  call.reply.array(shown);
  for (std::size_t at = 0; at < shown; at++) {
    const SlowLog::Entry& entry = entries[at];
    call.reply.array(6);
    call.reply.integer(signed_count(entry.id));
    call.reply.integer(signed_count(entry.ended.millis / 1000));
    call.reply.integer(signed_count(entry.micros));
    call.reply.array(entry.arguments.size());
    for (const std::string& argument : entry.arguments) call.reply.bulk(argument);
    call.reply.bulk(entry.client_address);
    call.reply.bulk(entry.client_name);
  }
}

void slowlog_len(Call& call) { call.reply.integer(signed_count(call.server().slow_log.size())); }

void slowlog_reset(Call& call) {
  call.server().slow_log.clear();
  call.reply.ok();
}

void latency_latest(Call& call) {
  const auto& events = call.server().latency.events();
  call.reply.array(events.size());
  for (const auto& [name, event] : events) {
    call.reply.array(4);
    call.reply.bulk(name);
    call.reply.integer(signed_count(event.samples.back().second));
    call.reply.integer(signed_count(event.samples.back().millis));
    call.reply.integer(signed_count(event.worst_millis));
  }
}

void latency_history(Call& call) {
  const LatencyMonitor::Event* event = call.server().latency.find(call[2]);
  if (event == nullptr) return call.reply.array(0);
  call.reply.array(event->samples.size());
  for (const LatencyMonitor::Sample& sample : event->samples) {
    call.reply.array(2);
    call.reply.integer(signed_count(sample.second));
    call.reply.integer(signed_count(sample.millis));
  }
}

void latency_reset(Call& call) {
  LatencyMonitor& latency = call.server().latency;
  std::int64_t count = 0;
  for (std::size_t at = 2; at < call.size(); at++) count += latency.reset(call[at]) ? 1 : 0;
  if (call.size() == 2) {
    count = signed_count(latency.events().size());
    latency.reset();
  }
  call.reply.integer(count);
}

void latency_doctor(Call& call) {
  const ServerState& server = call.server();
  if (server.settings.latency_threshold_millis == 0) {
    return call.reply.verbatim(
        "Nothing is measured: CONFIG SET latency-monitor-threshold MILLISECONDS switches it on.\n");
  }
  if (server.latency.events().empty())
    return call.reply.verbatim("No event took as long as the threshold.\n");
  std::string text;
  for (const auto& [name, event] : server.latency.events()) {
    text += fmt::format("{}: in {} of the last seconds that had one, {} ms at worst, {} ms the last time.\n",
                        name, event.samples.size(), event.worst_millis, event.samples.back().millis);
  }
  call.reply.verbatim(text + "SLOWLOG GET names the commands.\n");
}

// The commands asked for, with the subcommands of containers; those called, if none was named.
std::vector<CommandStatistics::Named> asked_for(Call& call) {
  std::vector<CommandStatistics::Named> asked = call.server().commands.used();
  std::erase_if(asked, [](const auto& one) { return one.statistic->durations.total() == 0; });
  if (call.size() == 2) return asked;
  std::set<std::string, std::less<>> names;
  for (std::size_t at = 2; at < call.size() && names.size() < names_max; at++) {
    names.insert(lower_case(call[at].substr(0, 64)));
  }
  std::erase_if(asked, [&](const auto& one) {
    const std::string_view name = one.command->name;
    return !names.contains(name) && !names.contains(name.substr(0, name.find('|')));
  });
  return asked;
}

void latency_histogram(Call& call) {
  const auto asked = asked_for(call);
  call.reply.map(asked.size());
  for (const auto& [command, statistic] : asked) {
    const auto steps = statistic->durations.steps();
    call.reply.bulk(command->name);
    call.reply.map(2);
    call.reply.bulk("calls");
    call.reply.integer(signed_count(statistic->durations.total()));
    call.reply.bulk("histogram_usec");
    call.reply.map(steps.size());
    for (const auto& step : steps) {
      call.reply.integer(signed_count(step.micros));
      call.reply.integer(signed_count(step.count));
    }
  }
}

using namespace command_flag;
constexpr std::uint32_t anytime = admin | noscript | loading | stale;
constexpr std::string_view group = "server";

constexpr Command table[] = {
    {"latency", -2, container, 0, 0, 0, group, "", "A container for commands about what took long.", nullptr},
    {"latency|doctor", 2, anytime, 0, 0, 0, group, "", "Says in words what took long.", latency_doctor},
    {"latency|help", 2, loading | stale, 0, 0, 0, group, "", "Lists these subcommands.", container_help},
    {"latency|histogram", -2, anytime, 0, 0, 0, group, "[command [command ...]]",
     "Returns how many calls of a command took how long.", latency_histogram},
    {"latency|history", 3, anytime, 0, 0, 0, group, "event", "Returns the samples of an event.",
     latency_history},
    {"latency|latest", 2, anytime, 0, 0, 0, group, "", "Returns the last and the worst of each event.",
     latency_latest},
    {"latency|reset", -2, anytime, 0, 0, 0, group, "[event [event ...]]", "Forgets events.", latency_reset},
    {"slowlog", -2, container, 0, 0, 0, group, "", "A container for commands about slow commands.", nullptr},
    {"slowlog|get", -2, admin | loading | stale, 0, 0, 0, group, "[count]", "Returns the newest entries.",
     slowlog_get},
    {"slowlog|help", 2, loading | stale, 0, 0, 0, group, "", "Lists these subcommands.", container_help},
    {"slowlog|len", 2, admin | loading | stale, 0, 0, 0, group, "", "Returns how many entries there are.",
     slowlog_len},
    {"slowlog|reset", 2, admin | loading | stale, 0, 0, 0, group, "", "Forgets all entries.", slowlog_reset},
};

}  // namespace

std::span<const Command> monitor_commands() { return table; }

}  // namespace knit
