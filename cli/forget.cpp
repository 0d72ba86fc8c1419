// `knit forget`: a member that will not come back.
#include <fmt/format.h>

#include "cli/command.h"
#include "cli/text.h"

namespace knit {
namespace {

Result<ExitCode> run(const Arguments& arguments) {
  const auto reply = ask_once(arguments, {"KNIT", "FORGET", arguments.peer});
  if (!reply) {
    return tl::unexpected(reply.error());
  }
  if (arguments.json) {
    fmt::print("{}\n", printed(Json{{"forgotten", arguments.peer}}));
  } else {
    fmt::print("{} is forgotten; all nodes hear of it\n", escaped(arguments.peer));
  }
  return ExitCode::fine;
}

constexpr const char* footer = R"(
For a member that is dead, or has left, and will not come back: all nodes take it off their lists,
wait for it no longer, and do not count it in `knit status`. What it wrote stays. If it is started
again after all, it is a member again. A member that is alive or suspect is not forgotten.
Exit codes: 0 it is forgotten, 4 it is alive, or there is no such member; others as in knit --help.)";

}  // namespace

void add_forget(CLI::App& app, Command& command) {
  CLI::App* verb = add_verb(app, command, "forget", "take a dead member off the lists of all nodes", run);
  verb->add_option("NODE", command.arguments.peer, "its name, address, or the start of its node id")
      ->required();
  verb->footer(footer);
}

}  // namespace knit
