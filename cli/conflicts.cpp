// `knit conflicts`: concurrent writes that met on this node, and which of them is shown.
#include <fmt/format.h>

#include "cli/command.h"
#include "cli/text.h"

namespace knit {
namespace {

std::string side_text(const Json& sibling) {
  const std::string state = text_of(sibling, "state");
  return state == "value" ? escaped(text_of(sibling, "value"), 30) : "(" + escaped(state) + ")";
}

std::string written_text(const Json& sibling) {
  return fmt::format("{} by {}", utc_text(number_of(sibling, "stamp_ms")),
                     escaped(text_of(sibling, "dot").substr(0, 8), 40));
}

void print_conflicts(const Json& found) {
  fmt::print("{} of writes, {} of a delete and a write, since the start\n",
             counted(number_of(found, "of_writes"), "conflict"), count_text(number_of(found, "of_deletes")));
  Table table({"MET", "KEY", "SHOWN", "WRITTEN (UTC)", "LOST", "WRITTEN (UTC)"});
  for (const Json& conflict : list_of(found, "recent")) {
    const Json& winner = conflict.at("winner");
    const Json& loser = conflict.at("loser");
    table.add({since_text(number_of(conflict, "found_ms")) + " ago", escaped(text_of(conflict, "key"), 60),
               side_text(winner), written_text(winner), side_text(loser), written_text(loser)});
  }
  if (!list_of(found, "recent").empty()) fmt::print("{}", table.text());
}

Result<ExitCode> run(const Arguments& arguments) {
  const auto reply = ask_once(arguments, {"KNIT", "CONFLICTS", "LIMIT", std::to_string(arguments.limit)});
  if (!reply) return tl::unexpected(reply.error());
  const Json found = map_document(*reply);
  if (arguments.json) {
    fmt::print("{}\n", printed(found));
  } else {
    print_conflicts(found);
  }
  return ExitCode::fine;
}

constexpr const char* footer = R"(
Two nodes wrote one key, and neither had seen the other's write. What was lost is kept beside what is shown, until the
next write of the key: `knit siblings KEY`. Each node tells of what met there; the last 128 are remembered.
Writers are named by the start of their actor; `knit status --json` tells whose it is.)";

}  // namespace

void add_conflicts(CLI::App& app, Command& command) {
  CLI::App* verb =
      add_verb(app, command, "conflicts", "concurrent writes that met on this node, the newest first", run);
  verb->add_option("--limit", command.arguments.limit, "list at most so many")->capture_default_str();
  verb->footer(footer);
}

}  // namespace knit
