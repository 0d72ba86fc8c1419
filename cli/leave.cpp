// `knit leave`: this node goes, and tells the others.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <limits>

#include "cli/command.h"
#include "cli/text.h"

namespace knit {
namespace {

constexpr Millis patience{15'000};  // The daemon takes 2 s to tell, and 10 s to stop, at most.

// Writes of this node that no other has acknowledged; 0 if that is not known of anybody.
Result<std::int64_t> writes_only_here(Connection& connection) {
  const auto reply = connection.ask({"KNIT", "HINTS"});
  if (!reply) {
    return tl::unexpected(reply.error());
  }
  constexpr std::int64_t nobody = std::numeric_limits<std::int64_t>::max();
  std::int64_t fewest = nobody;
  const Json hints = map_document(*reply);
  for (const Json& peer : list_of(hints, "peers")) {
    if (const std::int64_t lacks = number_of(peer, "own_writes"); lacks >= 0) {
      fewest = std::min(fewest, lacks);
    }
  }
  return fewest == nobody ? 0 : fewest;
}

Result<bool> user_agrees(Connection& connection) {
  if (::isatty(STDIN_FILENO) == 0) {
    return fail(ErrorCode::bad_input, "this stops the daemon: say --yes if that is meant");
  }
  const auto only_here = writes_only_here(connection);
  if (!only_here) {
    return tl::unexpected(only_here.error());
  }
  if (*only_here > 0) {
    fmt::print(
        "warning: {} on no other node yet: see `knit hints`\n",
        *only_here == 1 ? "1 write of this node is" : counted(*only_here, "write") + " of this node are");
  }
  fmt::print(
      "The daemon at {} tells the others that it goes, and stops. Its data stay on its disk. Go on? [y/N] ",
      connection.place());
  std::fflush(stdout);
  std::string line;
  std::getline(std::cin, line);
  return line == "y" || line == "Y" || line == "yes";
}

// The connection ends with the daemon.
Result<ExitCode> await_end(Connection& connection, bool json) {
  if (const auto more = connection.receive(patience); more) {
    return fail(ErrorCode::refused, fmt::format("it said that it goes, but is still there after {}",
                                                duration_text(patience.count())));
  }
  fmt::print("{}\n", json ? printed(Json{{"left", true}}) : "this node has left; its daemon has stopped");
  return ExitCode::fine;
}

Result<ExitCode> run(const Arguments& arguments) {
  auto connection = connect(arguments);
  if (!connection) {
    return tl::unexpected(connection.error());
  }
  if (!arguments.yes) {
    const auto agreed = user_agrees(*connection);
    if (!agreed) {
      return tl::unexpected(agreed.error());
    }
    if (!*agreed) {
      fmt::print("nothing was done\n");
      return ExitCode::failed;
    }
  }
  if (const auto reply = connection->ask({"KNIT", "LEAVE"}); !reply) {
    return tl::unexpected(reply.error());
  }
  return await_end(*connection, arguments.json);
}

constexpr const char* footer = R"(
The others then do not miss it: it is no longer waited for, and no alarm. Its data stay; when it is
started again it is a member again. `knit forget` on another node takes it off their lists.
Exit codes: 0 it has left and stopped, 4 it was not to be, or does not stop; others as in knit --help.)";

}  // namespace

void add_leave(CLI::App& app, Command& command) {
  CLI::App* verb =
      add_verb(app, command, "leave", "tell the others that this node goes, and stop its daemon", run);
  verb->add_flag("--yes", command.arguments.yes, "do not ask first");
  verb->footer(footer);
}

}  // namespace knit
