#include "cli/command.h"

#include <fmt/format.h>

#include <cstdlib>
#include <fstream>

namespace knit {
namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

Result<std::string> password(const Arguments& arguments) {
  if (arguments.password_file.empty()) {
    return environment("KNIT_PASSWORD");
  }
  std::ifstream file(arguments.password_file);
  std::string line;
  if (!std::getline(file, line)) {
    return fail(ErrorCode::bad_input,
                fmt::format("cannot read a password from the first line of {}", arguments.password_file));
  }
  return line;
}

}  // namespace

CLI::App* add_verb(CLI::App& app, Command& command, const std::string& name, const std::string& what,
                   Result<ExitCode> (*run)(const Arguments&)) {
  CLI::App* verb = app.add_subcommand(name, what);
  verb->callback([&command, run] { command.run = run; });
  return verb;
}

Result<Connection> connect(const Arguments& arguments) {
  auto secret = password(arguments);
  if (!secret) {
    return tl::unexpected(secret.error());
  }
  return Connection::open({.socket = arguments.socket, .password = std::move(*secret)});
}

Result<Reply> ask_once(const Arguments& arguments, const Connection::Arguments& question, Millis patience) {
  return connect(arguments).and_then(
      [&](Connection connection) { return connection.ask(question, patience); });
}

}  // namespace knit
