// `knit tags`: what this node tells others of its host.
#include <fmt/format.h>

#include "cli/command.h"
#include "cli/text.h"

namespace knit {
namespace {

Result<ExitCode> run(const Arguments& arguments) {
  auto connection = connect(arguments);
  if (!connection) {
    return tl::unexpected(connection.error());
  }
  if (!arguments.tags.empty()) {
    Connection::Arguments question{"KNIT", "TAGS"};
    question.insert(question.end(), arguments.tags.begin(), arguments.tags.end());
    if (const auto set = connection->ask(question); !set) {
      return tl::unexpected(set.error());
    }
  }
  const auto reply = connection->ask({"KNIT", "TAGS"});
  if (!reply) {
    return tl::unexpected(reply.error());
  }
  const Json tags = map_document(*reply);
  if (arguments.json) {
    fmt::print("{}\n", printed(tags));
    return ExitCode::fine;
  }
  for (const auto& [name, value] : tags.items()) {
    fmt::print("{}={}\n", escaped(name, 64), escaped(text_of(tags, name), 64));
  }
  return ExitCode::fine;
}

constexpr const char* footer = R"(
Without arguments: lists them. name=value sets one, name= removes it, the others stay; all members
hear of it. It lasts until the daemon ends: what it starts with stands in node.tags of its configuration.
Exit codes: 0, 4 the daemon refused them; others as in knit --help.)";

}  // namespace

void add_tags(CLI::App& app, Command& command) {
  CLI::App* verb = add_verb(app, command, "tags", "show or set what this node tells others of its host", run);
  verb->add_option("TAG", command.arguments.tags, "name=value, or name= to remove it");
  verb->footer(footer);
}

}  // namespace knit
