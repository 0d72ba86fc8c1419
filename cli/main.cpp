// knit: the admin command. Finds the local daemon, asks it, and shows the answer.
#include <fmt/format.h>

#include <csignal>
#include <cstdio>

#include "cli/command.h"

namespace knit {
namespace {

constexpr const char* footer = R"(
Exit codes:
  0    fine
  1    nodes differ, writes wait, a member is suspect or dead, nobody was met, a verification
       found something, or a key does not exist
  2    the command line is wrong
  3    no daemon answers
  4    the daemon refused, or something failed
  130  interrupted
`knit VERB --help` says what they mean for one command.

Environment:
  KNIT_SOCKET     like --socket; by default /run/knit/knit.sock, then 127.0.0.1:6399
  KNIT_PASSWORD   the daemon's password, if it asks for one

With --json each command prints one JSON document on one line; bytes that are not
UTF-8 stand in it as {"hex": "..."}. Errors are then {"error": "..."} on stderr.
With --watch there is one such line for each picture or change.)";

void describe(CLI::App& app, Command& command) {
  Arguments& arguments = command.arguments;
  app.add_option("--socket", arguments.socket, "the daemon's socket: a path, or HOST:PORT")
      ->envname("KNIT_SOCKET");
  app.add_option("--password-file", arguments.password_file,
                 "a file whose first line is the daemon's password");
  app.add_flag("--json", arguments.json, "print JSON, for programs");
  app.set_version_flag("--version", "knit " KNIT_VERSION);
  app.require_subcommand(1);
  app.fallthrough();
  app.footer(footer);
  add_status(app, command);
  add_members(app, command);
  add_join(app, command);
  add_leave(app, command);
  add_forget(app, command);
  add_tags(app, command);
  add_diff(app, command);
  add_repair(app, command);
  add_lag(app, command);
  add_hints(app, command);
  add_verify(app, command);
  add_conflicts(app, command);
  add_backup(app, command);
  add_restore(app, command);
  add_keys(app, command);
  add_cluster(app, command);
  add_keyring(app, command);
}

ExitCode exit_code(ErrorCode code) {
  switch (code) {
    case ErrorCode::not_found: return ExitCode::differs;
    case ErrorCode::bad_input: return ExitCode::usage;
    case ErrorCode::io: return ExitCode::unreachable;
    default: return ExitCode::failed;
  }
}

ExitCode run(const Command& command) {
  const Result<ExitCode> outcome = command.run(command.arguments);
  if (outcome) {
    return *outcome;
  }
  const Error& error = outcome.error();
  if (command.arguments.json) {
    fmt::print(stderr, "{}\n", printed(Json{{"error", error.message}}));
  } else {
    fmt::print(stderr, "knit: {}\n", error.message);
  }
  return exit_code(error.code);
}

int main(int argc, char** argv) {
  // A daemon that hangs up must come out as an error, not as the end of this process.
  static_cast<void>(std::signal(SIGPIPE, SIG_IGN));
  CLI::App app("knit keeps one data set on every host. This command shows and mends what the hosts hold.",
               "knit");
  Command command;
  describe(app, command);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(ExitCode::usage);
  }
  return static_cast<int>(run(command));
}

}  // namespace
}  // namespace knit

int main(int argc, char** argv) { return knit::main(argc, argv); }
