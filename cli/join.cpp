// `knit join`: one more address at which the cluster may be found.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "cli/command.h"
#include "cli/screen.h"
#include "cli/text.h"

namespace knit {
namespace {

constexpr Millis patience{10'000};
constexpr Millis poll_interval{200};

// Whether somebody was met there: the daemon no longer tries it.
Result<bool> was_met(Connection& connection, const std::string& address) {
  const auto reply = connection.ask({"KNIT", "JOIN"});
  if (!reply) {
    return tl::unexpected(reply.error());
  }
  const Json tried = list_document(*reply);
  return std::find(tried.begin(), tried.end(), Json(address)) == tried.end();
}

Result<bool> await_meeting(Connection& connection, const std::string& address) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  for (;;) {
    const auto met = was_met(connection, address);
    if (!met || *met || interrupted() || std::chrono::steady_clock::now() >= deadline) {
      return met;
    }
    pause_for(poll_interval);
  }
}

ExitCode show(const Arguments& arguments, bool met) {
  const std::string address = escaped(arguments.address);
  if (arguments.json) {
    fmt::print("{}\n", printed(Json{{"address", arguments.address}, {"met", met}}));
  } else if (met) {
    fmt::print("met a node of this cluster at {}; `knit members` lists them all\n", address);
  } else if (arguments.no_wait) {
    fmt::print("this node tries {} until somebody is met there\n", address);
  } else {
    fmt::print(
        "nobody of this cluster was met at {} yet; this node goes on trying. If somebody listens there, the\n"
        "logs of both daemons say why one refused the other\n",
        address);
  }
  return met || arguments.no_wait ? ExitCode::fine : ExitCode::differs;
}

Result<ExitCode> run(const Arguments& arguments) {
  auto connection = connect(arguments);
  if (!connection) {
    return tl::unexpected(connection.error());
  }
  if (const auto asked = connection->ask({"KNIT", "JOIN", arguments.address}); !asked) {
    return tl::unexpected(asked.error());
  }
  catch_interrupts();
  if (!arguments.no_wait && !arguments.json) {
    fmt::print("waiting up to {} for a node of this cluster to answer at {}\n",
               duration_text(patience.count()), escaped(arguments.address));
    std::fflush(stdout);
  }
  const auto met = arguments.no_wait ? was_met(*connection, arguments.address)
                                     : await_meeting(*connection, arguments.address);
  if (!met) {
    return tl::unexpected(met.error());
  }
  const ExitCode code = show(arguments, *met);
  return interrupted() && !*met ? ExitCode::interrupted : code;
}

constexpr const char* footer = R"(
The daemon tries the address until somebody is met there, or until it ends; what is to be tried at
each start stands in peer.seeds of its configuration. One member is enough: it knows the others.
Exit codes: 0 a node was met (with --no-wait: the address is being tried), 1 not yet,
130 interrupted; others as in knit --help.)";

}  // namespace

void add_join(CLI::App& app, Command& command) {
  Arguments& arguments = command.arguments;
  CLI::App* verb = add_verb(app, command, "join", "look for others of the cluster at an address", run);
  verb->add_option("ADDRESS", arguments.address, "ip:port, as the other's peer.listen and peer.port")
      ->required();
  verb->add_flag("--no-wait", arguments.no_wait, "do not wait until somebody is met there");
  verb->footer(footer);
}

}  // namespace knit
