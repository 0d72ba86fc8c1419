// `knit members`: who belongs to the cluster, as this node sees it.
#include <fmt/format.h>

#include "cli/command.h"
#include "cli/text.h"

namespace knit {
namespace {

std::string since(const Json& member) {
  const std::int64_t moment = number_of(member, "since_ms");
  return moment <= 0 ? "-" : since_text(moment);
}

Table member_table(const Json& members) {
  Table table({"NAME", "NODE", "ADDRESS", "STATE", "FOR", "VERSION"});
  for (const Json& member : members) {
    table.add({escaped(text_of(member, "name")), escaped(text_of(member, "node")),
               escaped(text_of(member, "address")), escaped(text_of(member, "state")), since(member),
               escaped(text_of(member, "version"))});
  }
  return table;
}

Result<ExitCode> run(const Arguments& arguments) {
  const auto reply = ask_once(arguments, {"KNIT", "MEMBERS"});
  if (!reply) {
    return tl::unexpected(reply.error());
  }
  const Json members = list_document(*reply);
  if (arguments.json) {
    fmt::print("{}\n", printed(members));
  } else {
    fmt::print("{}", member_table(members).text());
  }
  return ExitCode::fine;
}

}  // namespace

void add_members(CLI::App& app, Command& command) {
  add_verb(app, command, "members", "who belongs to the cluster", run);
}

}  // namespace knit
