// `knit lag`: how far each node is behind the writes of each other one.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "cli/command.h"
#include "cli/peer_state.h"
#include "cli/text.h"
#include "cli/watch.h"

namespace knit {
namespace {

// In the order of the daemon's answer: the node that was asked comes first.
struct Nodes {
  std::vector<std::string> ids;
  std::vector<std::string> names;

  void add(const Json& lag, std::string_view role) {
    std::string id = text_of(lag, role);
    if (std::find(ids.begin(), ids.end(), id) == ids.end()) {
      const std::string name = text_of(lag, std::string(role) + "_name");
      names.push_back(escaped(name.empty() ? id : name));
      ids.push_back(std::move(id));
    }
  }
};

std::string table_text(const Json& lags) {
  Nodes nodes;
  std::map<std::pair<std::string, std::string>, std::string> cells;
  for (const Json& lag : lags) {
    nodes.add(lag, "writer");
    nodes.add(lag, "reader");
    cells[{text_of(lag, "writer"), text_of(lag, "reader")}] =
        lag_text(number_of(lag, "writes"), number_of(lag, "time_ms"));
  }
  if (nodes.ids.empty()) {
    return "no peer is known yet, so nobody can be behind\n";
  }
  std::vector<std::string> headings = nodes.names;
  headings.insert(headings.begin(), "WRITTEN BY");
  Table table(std::move(headings));
  for (std::size_t writer = 0; writer < nodes.ids.size(); ++writer) {
    std::vector<std::string> row{nodes.names[writer]};
    for (const std::string& reader : nodes.ids) {
      const auto cell = cells.find({nodes.ids[writer], reader});
      row.push_back(reader == nodes.ids[writer] ? "." : cell == cells.end() ? "-" : cell->second);
    }
    table.add(std::move(row));
  }
  return table.text();
}

ExitCode code(const Json& lags) {
  const bool all_there =
      std::all_of(lags.begin(), lags.end(), [](const Json& lag) { return number_of(lag, "writes") == 0; });
  return all_there ? ExitCode::fine : ExitCode::differs;
}

Result<ExitCode> run(const Arguments& arguments) {
  return show_or_watch(arguments, {{"KNIT", "LAG"}, list_document, table_text, code});
}

constexpr const char* footer = R"(
Rows are writers, columns readers: what the reader lacks of the writer's own writes, and
how old the oldest of them is. "-" is not known: the node asked has heard of neither.
Exit codes: 0 nobody lacks anything, 1 somebody does or it is not known; others as in knit --help.)";

}  // namespace

void add_lag(CLI::App& app, Command& command) {
  CLI::App* verb = add_verb(app, command, "lag", "how far each node is behind the writes of each other", run);
  add_watch(verb, command.arguments);
  verb->footer(footer);
}

}  // namespace knit
