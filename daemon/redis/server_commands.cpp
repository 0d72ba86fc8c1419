// The server itself: its commands, its configuration, its state.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "daemon/redis/call.h"
#include "daemon/redis/help.h"
#include "daemon/redis/info.h"
#include "daemon/redis/text.h"

namespace knit {

namespace {

bool visible(Call& call, const Command& command) {
  return !command.has(command_flag::debug) || call.server().options.debug_commands;
}

std::vector<const Command*> visible_among(Call& call, std::span<const Command* const> commands) {
  std::vector<const Command*> seen;
  std::copy_if(commands.begin(), commands.end(), std::back_inserter(seen),
               [&](const Command* command) { return visible(call, *command); });
  return seen;
}

std::vector<const Command*> top_level(Call& call) {
  std::vector<const Command*> commands = visible_among(call, all_commands());
  std::erase_if(commands, [](const Command* command) { return command->is_subcommand(); });
  return commands;
}

// "get", or "client|id". Null: there is no such command.
const Command* named(Call& call, std::string_view name) {
  const std::size_t bar = name.find('|');
  const Command* command = find_command(name.substr(0, bar));
  if (command != nullptr && bar != std::string_view::npos) {
    command = find_subcommand(*command, name.substr(bar + 1));
  }
  return command != nullptr && visible(call, *command) ? command : nullptr;
}

// The ten parts that Redis 7 gives.
void describe(Call& call, const Command& command) {
  Reply& reply = call.reply;
  reply.array(10);
  reply.bulk(command.name);
  reply.integer(command.arity);
  const auto flags = flag_names(command);
  reply.set(flags.size());
  for (const std::string_view flag : flags) reply.simple(flag);
  reply.integer(command.first_key);
  reply.integer(command.last_key);
  reply.integer(command.key_step);
  const auto categories = acl_categories(command);
  reply.set(categories.size());
  for (const std::string& category : categories) reply.simple(category);
  reply.array(0);  // Tips.
  reply.array(0);  // Key specifications.
  const auto subcommands = visible_among(call, subcommands_of(command));
  reply.array(subcommands.size());
  for (const Command* subcommand : subcommands) describe(call, *subcommand);
}

void document(Call& call, const Command& command) {
  const auto subcommands = visible_among(call, subcommands_of(command));
  Reply& reply = call.reply;
  reply.bulk(command.name);
  reply.map(subcommands.empty() ? 3 : 4);
  reply.bulk("summary");
  reply.bulk(command.summary);
  reply.bulk("since");
  reply.bulk("1.0.0");
  reply.bulk("group");
  reply.bulk(command.group);
  if (subcommands.empty()) return;
  reply.bulk("subcommands");
  reply.map(subcommands.size());
  for (const Command* subcommand : subcommands) document(call, *subcommand);
}

void command_all(Call& call) {
  const auto commands = top_level(call);
  call.reply.array(commands.size());
  for (const Command* command : commands) describe(call, *command);
}

void command_count(Call& call) { call.reply.integer(static_cast<std::int64_t>(top_level(call).size())); }

void command_info(Call& call) {
  if (call.size() == 2) return command_all(call);
  call.reply.array(call.size() - 2);
  for (std::size_t at = 2; at < call.size() && !call.overflown(); at++) {
    const Command* command = named(call, call[at]);
    if (command == nullptr) {
      call.reply.null();
    } else {
      describe(call, *command);
    }
  }
}

// Those that do not exist are left out.
void command_docs(Call& call) {
  std::vector<const Command*> commands;
  if (call.size() == 2) commands = top_level(call);
  for (std::size_t at = 2; at < call.size(); at++) {
    if (const Command* command = named(call, call[at])) commands.push_back(command);
  }
  call.reply.map(commands.size());
  for (const Command* command : commands) {
    if (call.overflown()) return;
    document(call, *command);
  }
}

void command_getkeys(Call& call) {
  const Command* command = find_command(call[2]);
  if (command == nullptr || !visible(call, *command))
    return call.reply.error("ERR Invalid command specified");
  const std::size_t arguments = call.size() - 2;
  if (command->first_key == 0) return call.reply.error("ERR The command has no key arguments");
  if (!command->takes(arguments)) {
    return call.reply.error("ERR Invalid number of arguments specified for command");
  }
  const auto positions = key_positions(*command, arguments);
  call.reply.array(positions.size());
  for (const std::size_t at : positions) call.reply.bulk(call[2 + at]);
}

void info(Call& call) {
  std::vector<std::string> sections;
  for (std::size_t at = 1; at < call.size() && at < 100; at++) sections.push_back(lower_case(call[at]));
  call.reply.verbatim(info_text(call.server(), sections));
}

void dbsize(Call& call) {
  call.reply.integer(static_cast<std::int64_t>(call.keyspace()->size(call.now().wall)));
  call.saw_everything();
}

void flushall(Call& call) {
  const bool known = call.size() == 1 || (call.size() == 2 && (call.is(1, "async") || call.is(1, "sync")));
  if (!known) return call.syntax_error();
  const auto cleared = call.keyspace()->clear(call.now().wall);
  if (!cleared) return call.reply.error(cleared.error());
  call.reply.ok();
}

void time(Call& call) {
  const std::uint64_t millis = call.server().hooks.now().wall.millis;
  call.reply.array(2);
  call.reply.bulk(std::to_string(millis / 1000));
  call.reply.bulk(std::to_string(millis % 1000 * 1000));
}

using namespace command_flag;
constexpr std::string_view group = "server";

constexpr Command table[] = {
    {"command", -1, loading | stale | container, 0, 0, 0, group, "", "Describes all commands.", command_all},
    {"command|count", 2, loading | stale, 0, 0, 0, group, "", "Returns how many commands there are.",
     command_count},
    {"command|docs", -2, loading | stale, 0, 0, 0, group, "[command-name [command-name ...]]",
     "Documents commands.", command_docs},
    {"command|getkeys", -4, loading | stale, 0, 0, 0, group, "command [arg [arg ...]]",
     "Returns the keys among the arguments of a command.", command_getkeys},
    {"command|help", 2, loading | stale, 0, 0, 0, group, "", "Lists these subcommands.", container_help},
    {"command|info", -2, loading | stale, 0, 0, 0, group, "[command-name [command-name ...]]",
     "Describes commands.", command_info},
    {"dbsize", 1, readonly | fast, 0, 0, 0, group, "", "Returns how many keys there are.", dbsize},
    {"flushall", -1, write, 0, 0, 0, group, "[ASYNC | SYNC]", "Deletes all keys.", flushall},
    {"flushdb", -1, write, 0, 0, 0, group, "[ASYNC | SYNC]", "Deletes all keys.", flushall},
    {"info", -1, loading | stale, 0, 0, 0, group, "[section [section ...]]",
     "Returns the state of the server.", info},
    {"time", 1, loading | stale | fast, 0, 0, 0, group, "", "Returns the server's time.", time},
};

}  // namespace

std::span<const Command> server_commands() { return table; }

}  // namespace knit
