// `--watch`: the same question again and again, until the user interrupts it.
#pragma once

#include <functional>
#include <string>

#include "cli/command.h"

namespace knit {

// What one verb shows of an answer.
struct View {
  Connection::Arguments question;
  Json (*document)(const Reply& reply) = nullptr;
  std::string (*text)(const Json& document) = nullptr;  // With a line end.
  ExitCode (*code)(const Json& document) = nullptr;
};

// --watch, which it returns, and --interval.
CLI::Option* add_watch(CLI::App* verb, Arguments& arguments);

// Shows the answer once, or with --watch until it is interrupted: on a terminal each picture replaces the one
// before, elsewhere it follows it after an empty line; with --json one document a line.
Result<ExitCode> show_or_watch(const Arguments& arguments, const View& view);

// Asks every `arguments.interval_seconds` over one connection, until the user interrupts it (interrupted), or
// on_reply() answers that nobody reads what it writes (failed). Errors as connect() and Connection::ask().
Result<ExitCode> ask_repeatedly(const Arguments& arguments, const Connection::Arguments& question,
                                const std::function<bool(const Reply&)>& on_reply);

}  // namespace knit
