// `knit verify`: recomputes the daemon's tree from its rows, and checks every row against its checksum.
#include <fmt/format.h>

#include <cstdlib>

#include "cli/command.h"
#include "cli/text.h"

namespace knit {
namespace {

std::string wrong_leaves(std::int64_t count) {
  return fmt::format("{} wrong {}", count_text(count), count == 1 ? "leaf" : "leaves");
}

std::string percent_text(const Json& found) {
  return fmt::format("{} %", static_cast<int>(100 * std::atof(text_of(found, "scrub_progress").c_str())));
}

// How the slow pass that runs all the time is doing.
void print_scrub(const Json& found) {
  if (number_of(found, "scrub_on") == 0) {
    fmt::print("scrub: off\n");
  } else if (const std::int64_t ended = number_of(found, "scrub_ended_ms"); ended == 0) {
    fmt::print("scrub: first pass, {} done\n", percent_text(found));
  } else {
    fmt::print("scrub: last pass ended {} ago: {}, {} damaged, {}; {} of the next one done\n",
               since_text(ended), counted(number_of(found, "scrub_rows"), "row"),
               count_text(number_of(found, "scrub_damaged_rows")),
               wrong_leaves(number_of(found, "scrub_wrong_leaves")), percent_text(found));
  }
}

void print_verification(const Json& found, bool sound) {
  fmt::print("{}: {}, {} damaged; {} in the tree; {}\n", sound ? "sound" : "NOT SOUND",
             counted(number_of(found, "rows"), "row"), count_text(number_of(found, "damaged_rows")),
             wrong_leaves(number_of(found, "wrong_leaves")), duration_text(number_of(found, "duration_ms")));
  for (const Json& key : list_of(found, "damaged_keys")) {
    fmt::print("damaged: {}\n", escaped(key.is_string() ? key.get<std::string>() : "?", 200));
  }
  if (!sound) {
    fmt::print("`knit repair --all` fetches damaged rows from peers\n");
  }
  print_scrub(found);
}

Result<ExitCode> run(const Arguments& arguments) {
  const auto reply = ask_once(arguments, {"KNIT", "VERIFY"}, Connection::endless_patience);
  if (!reply) {
    return tl::unexpected(reply.error());
  }
  const Json found = map_document(*reply);
  const bool sound = number_of(found, "damaged_rows") == 0 && number_of(found, "wrong_leaves") == 0;
  if (arguments.json) {
    fmt::print("{}\n", printed(found));
  } else {
    print_verification(found, sound);
  }
  return sound ? ExitCode::fine : ExitCode::differs;
}

}  // namespace

void add_verify(CLI::App& app, Command& command) {
  add_verb(app, command, "verify", "whether rows, checksums and tree of this node agree", run);
}

}  // namespace knit
