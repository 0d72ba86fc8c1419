#include "daemon/redis/help.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/check.h"
#include "daemon/redis/call.h"

namespace knit {

namespace {

std::string upper_case(std::string_view text) {
  std::string upper(text);
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  return upper;
}

std::string usage(const Command& command) {
  std::string line = upper_case(command.own_name());
  if (!command.syntax.empty()) line += ' ' + std::string(command.syntax);
  return line;
}

}  // namespace

void container_help(Call& call) {
  const std::string_view name = call.command().name;
  const Command* container = find_command(name.substr(0, name.find('|')));
  check(container != nullptr, "HELP belongs to a container");
  std::vector<std::string> lines = {upper_case(container->name) +
                                    " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"};
  for (const Command* command : subcommands_of(*container)) {
    if (command->has(command_flag::debug) && !call.server().options.debug_commands) continue;
    lines.push_back(usage(*command));
    lines.push_back("    " + std::string(command->summary));
  }
  call.reply.array(lines.size());
  for (const std::string& line : lines) call.reply.simple(line);
}

}  // namespace knit
