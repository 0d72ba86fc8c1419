// `knit diff PEER`: which keys differ, and who holds which version. Changes nothing.
#include <fmt/format.h>

#include <utility>

#include "cli/command.h"
#include "cli/difference.h"
#include "cli/text.h"

namespace knit {
namespace {

std::pair<std::int64_t, std::int64_t> stamp(const Json& version) {
  return version.is_object() ? std::pair(number_of(version, "stamp_ms"), number_of(version, "stamp_counter"))
                             : std::pair<std::int64_t, std::int64_t>(-1, 0);
}

std::string newer(const Json& difference) {
  const auto mine = stamp(difference.value("mine", Json()));
  const auto theirs = stamp(difference.value("theirs", Json()));
  if (mine == theirs) {
    return "-";
  }
  return mine > theirs ? "here" : "there";
}

Table difference_table(const Json& diff) {
  Table table({"KEY", "HERE (UTC)", "THERE (UTC)", "NEWER"});
  for (const Json& difference : list_of(diff, "differences")) {
    table.add({key_text(difference), version_text(difference.value("mine", Json())),
               version_text(difference.value("theirs", Json())), newer(difference)});
  }
  return table;
}

void print_diff(const Json& diff, const std::string& peer) {
  const std::int64_t found = number_of(diff, "found");
  const std::string cost = fmt::format("{} in {}, {}", bytes_text(number_of(diff, "comparison_bytes")),
                                       counted(number_of(diff, "messages"), "message"),
                                       duration_text(number_of(diff, "duration_ms")));
  if (found == 0) {
    fmt::print("{} holds the same as this node (compared with {})\n", escaped(peer), cost);
    return;
  }
  fmt::print("{} {} between this node and {} (compared with {})\n\n", counted(found, "key"),
             found == 1 ? "differs" : "differ", escaped(peer), cost);
  fmt::print("{}", difference_table(diff).text());
  const std::int64_t listed = number_of(diff, "listed");
  if (listed < found) {
    fmt::print("... and {} more: --limit N shows more of them\n", count_text(found - listed));
  }
}

Result<ExitCode> run(const Arguments& arguments) {
  const auto reply =
      ask_once(arguments, {"KNIT", "DIFF", arguments.peer, "LIMIT", std::to_string(arguments.limit)},
               Connection::endless_patience);
  if (!reply) {
    return tl::unexpected(reply.error());
  }
  const Json diff = map_document(*reply);
  if (arguments.json) {
    fmt::print("{}\n", printed(diff));
  } else {
    print_diff(diff, arguments.peer);
  }
  return number_of(diff, "found") == 0 ? ExitCode::fine : ExitCode::differs;
}

}  // namespace

void add_diff(CLI::App& app, Command& command) {
  CLI::App* verb = add_verb(app, command, "diff", "which keys differ from a peer's; changes nothing", run);
  verb->add_option("PEER", command.arguments.peer, "its name, address, or the start of its node id")
      ->required();
  verb->add_option("--limit", command.arguments.limit, "list so many keys at most")->capture_default_str();
}

}  // namespace knit
