// `knit members`: who belongs to the cluster, as this node sees it.
#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <vector>

#include "cli/command.h"
#include "cli/text.h"
#include "cli/watch.h"

namespace knit {
namespace {

std::string since(const Json& member) {
  const std::int64_t moment = number_of(member, "since_ms");
  return moment <= 0 ? "-" : since_text(moment);
}

std::string zone(const Json& member) {
  const std::string name = text_of(member.value("tags", Json::object()), "zone");
  return name.empty() ? "-" : escaped(name);
}

std::string name_text(const Json& member) {
  return escaped(text_of(member, "name"), 64) + (flag_of(member, "self") ? " (this node)" : "");
}

std::string members_text(const Json& document) {
  std::vector<Json> members(document.begin(), document.end());
  const auto order = [](const Json& m) { return std::tuple(text_of(m, "name"), text_of(m, "node")); };
  std::sort(members.begin(), members.end(),
            [&](const Json& a, const Json& b) { return order(a) < order(b); });
  Table table({"NAME", "STATE", "ADDRESS", "ZONE", "ROUND TRIP", "FOR", "VERSION", "NODE"});
  for (const Json& member : members) {
    const bool self = flag_of(member, "self");
    table.add({name_text(member), escaped(text_of(member, "state")), escaped(text_of(member, "address")),
               zone(member), self ? "-" : round_trip_text(number_of(member, "round_trip_us")), since(member),
               escaped(text_of(member, "version")), escaped(text_of(member, "node"))});
  }
  return table.text();
}

// Who has left is not missed.
ExitCode code(const Json& members) {
  const bool fine = std::none_of(members.begin(), members.end(), [](const Json& member) {
    const std::string state = text_of(member, "state");
    return state == "suspect" || state == "dead";
  });
  return fine ? ExitCode::fine : ExitCode::differs;
}

Result<ExitCode> run(const Arguments& arguments) {
  return show_or_watch(arguments, {{"KNIT", "MEMBERS"}, list_document, members_text, code});
}

constexpr const char* footer = R"(
"alive": it answers. "suspect": it does not answer this node or others, and may still prove that
it is there. "dead": it did not, and is asked again now and then. "left": it said that it goes.
FOR is how long it has been so, ZONE its tag of that name (`knit tags`).
Exit codes: 0 nobody is suspect or dead, 1 somebody is; others as in knit --help.)";

}  // namespace

void add_members(CLI::App& app, Command& command) {
  CLI::App* verb = add_verb(app, command, "members", "who belongs to the cluster, and who is alive", run);
  add_watch(verb, command.arguments);
  verb->footer(footer);
}

}  // namespace knit
