// What clients and tools ask of every Redis, and what there is little of here: users, functions, DEBUG.
#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "daemon/redis/call.h"
#include "daemon/redis/help.h"
#include "daemon/redis/text.h"

namespace knit {

namespace {

void acl_whoami(Call& call) { call.reply.bulk("default"); }

void acl_users(Call& call) {
  call.reply.array(1);
  call.reply.bulk("default");
}

void acl_list(Call& call) {
  const bool open = call.server().options.password.empty();
  call.reply.array(1);
  call.reply.bulk(fmt::format("user default on {} ~* &* +@all", open ? "nopass" : "#(not told)"));
}

std::vector<std::string_view> commands_in(Call& call, std::string_view category) {
  std::vector<std::string_view> names;
  for (const Command* command : all_commands()) {
    if (command->has(command_flag::debug) && !call.server().options.debug_commands) continue;
    for (const std::string& one : acl_categories(*command)) {
      if (one.substr(1) == category) names.push_back(command->name);
    }
  }
  return names;
}

void acl_cat(Call& call) {
  if (call.size() > 3) return call.syntax_error();
  std::set<std::string> categories;
  for (const Command* command : all_commands()) {
    for (const std::string& category : acl_categories(*command)) categories.insert(category.substr(1));
  }
  if (call.size() == 2) {
    call.reply.array(categories.size());
    for (const std::string& category : categories) call.reply.bulk(category);
    return;
  }
  const std::string category = lower_case(call[2]);
  if (!categories.contains(category)) {
    return call.reply.error("ERR Unknown category '" + std::string(call[2].substr(0, 128)) + "'");
  }
  const auto names = commands_in(call, category);
  call.reply.array(names.size());
  for (const std::string_view name : names) call.reply.bulk(name);
}

void function_flush(Call& call) {
  const bool known = call.size() == 2 || (call.size() == 3 && (call.is(2, "async") || call.is(2, "sync")));
  if (!known) return call.reply.error("ERR FUNCTION FLUSH only supports SYNC|ASYNC option");
  call.reply.ok();
}

void function_list(Call& call) {
  for (std::size_t at = 2; at < call.size(); at++) {
    if (call.is(at, "withcode")) continue;
    if (!call.is(at, "libraryname")) {
      return call.reply.error("ERR Unknown argument " + std::string(call[at].substr(0, 128)));
    }
    if (++at == call.size()) return call.reply.error("ERR library name argument was not given");
  }
  call.reply.array(0);
}

void function_stats(Call& call) {
  call.reply.map(2);
  call.reply.bulk("running_script");
  call.reply.null();
  call.reply.bulk("engines");
  call.reply.map(0);
}

void lolwut(Call& call) {
  call.reply.verbatim(
      fmt::format("Knit one, purl one, merge the rows.\nknit ver. {}\n", call.server().options.version));
}

constexpr double sleep_seconds_max = 60;

// Blocks the loop, so that tests can see what happens then.
void debug_sleep(Call& call) {
  const std::string text(call[2].substr(0, 64));
  const double seconds = std::strtod(text.c_str(), nullptr);
  if (!std::isfinite(seconds) || seconds < 0 || seconds > sleep_seconds_max) return call.syntax_error();
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  call.reply.ok();
}

using namespace command_flag;
constexpr std::uint32_t anytime = loading | stale;
constexpr std::string_view group = "server";

constexpr Command table[] = {
    {"acl", -2, container, 0, 0, 0, group, "", "A container for commands about users: there is one.",
     nullptr},
    {"acl|cat", -2, anytime | noscript, 0, 0, 0, group, "[category]", "Lists categories of commands.",
     acl_cat},
    {"acl|help", 2, anytime, 0, 0, 0, group, "", "Lists these subcommands.", container_help},
    {"acl|list", 2, admin | anytime | noscript, 0, 0, 0, group, "", "Describes the user.", acl_list},
    {"acl|users", 2, admin | anytime | noscript, 0, 0, 0, group, "", "Lists the user.", acl_users},
    {"acl|whoami", 2, anytime | noscript, 0, 0, 0, group, "", "Names the user.", acl_whoami},
    {"debug", -2, admin | noscript | anytime | debug | container, 0, 0, 0, group, "",
     "A container for commands that break things on purpose.", nullptr},
    {"debug|help", 2, anytime | debug, 0, 0, 0, group, "", "Lists these subcommands.", container_help},
    {"debug|sleep", 3, admin | noscript | anytime | debug, 0, 0, 0, group, "seconds",
     "Stops everything for up to 60 seconds.", debug_sleep},
    {"function", -2, container, 0, 0, 0, "scripting", "",
     "A container for commands about functions: there are none.", nullptr},
    {"function|flush", -2, write | noscript, 0, 0, 0, "scripting", "[ASYNC | SYNC]", "Does nothing.",
     function_flush},
    {"function|help", 2, anytime, 0, 0, 0, "scripting", "", "Lists these subcommands.", container_help},
    {"function|list", -2, noscript, 0, 0, 0, "scripting", "[LIBRARYNAME pattern] [WITHCODE]", "Lists none.",
     function_list},
    {"function|stats", 2, noscript, 0, 0, 0, "scripting", "", "Says that none runs.", function_stats},
    {"lolwut", -1, readonly | fast, 0, 0, 0, group, "[VERSION version]", "A line, and the version.", lolwut},
};

}  // namespace

std::span<const Command> compatibility_commands() { return table; }

}  // namespace knit
