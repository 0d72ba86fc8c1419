// CONFIG.
#include <string>
#include <utility>
#include <vector>

#include "daemon/redis/call.h"
#include "daemon/redis/help.h"
#include "daemon/redis/text.h"

namespace knit {

namespace {

constexpr std::size_t patterns_max = 1024;  // More would stop the loop for long.

void config_get(Call& call) {
  if (call.size() > 2 + patterns_max) return call.reply.error("ERR too many patterns");
  std::vector<std::string> patterns;
  for (std::size_t at = 2; at < call.size(); at++) patterns.push_back(lower_case(call[at]));
  const auto found = call.server().parameters.matching(call.server(), patterns);
  call.reply.map(found.size());
  for (const auto& [name, value] : found) {
    call.reply.bulk(name);
    call.reply.bulk(value);
  }
}

void config_set(Call& call) {
  if (call.size() % 2 != 0) {
    return call.reply.error("ERR wrong number of arguments for 'config|set' command");
  }
  Parameters::Values values;
  for (std::size_t at = 2; at < call.size(); at += 2) values.emplace_back(call[at], call[at + 1]);
  const auto error = call.server().parameters.set(call.server(), values);
  if (error) return call.reply.error("ERR " + *error);
  call.reply.ok();
}

void config_resetstat(Call& call) {
  call.server().reset_statistics();
  call.reply.ok();
}

void config_rewrite(Call& call) {
  call.reply.error(
      "ERR knitd does not write its config file: what CONFIG SET changed lasts until it ends. Change the "
      "file "
      "by hand");
}

using namespace command_flag;
constexpr std::uint32_t anytime = admin | noscript | loading | stale;
constexpr std::string_view group = "server";

constexpr Command table[] = {
    {"config", -2, container, 0, 0, 0, group, "", "A container for commands about the configuration.",
     nullptr},
    {"config|get", -3, anytime, 0, 0, 0, group, "parameter [parameter ...]",
     "Returns parameters by glob patterns.", config_get},
    {"config|help", 2, loading | stale, 0, 0, 0, group, "", "Lists these subcommands.", container_help},
    {"config|resetstat", 2, anytime, 0, 0, 0, group, "", "Begins all statistics anew.", config_resetstat},
    {"config|rewrite", 2, anytime, 0, 0, 0, group, "", "An error: the config file is not written.",
     config_rewrite},
    {"config|set", -4, anytime | sensitive, 0, 0, 0, group, "parameter value [parameter value ...]",
     "Sets parameters until the daemon ends.", config_set},
};

}  // namespace

std::span<const Command> config_commands() { return table; }

}  // namespace knit
