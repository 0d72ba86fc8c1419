// The verbs of `knit`: one file each, which adds itself to the command line.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/connection.h"
#include "cli/document.h"

namespace knit {

enum class ExitCode : int {
  fine = 0,
  differs = 1,  // What --help says of it: not all is as it should be, or something does not exist.
  usage = 2,
  unreachable = 3,  // No daemon answers.
  failed = 4,       // The daemon refused, or something failed on the way.
  interrupted = 130,
};

// What the command line said. Each verb reads its own fields.
struct Arguments {
  std::string socket;
  std::string password_file;
  bool json = false;

  std::string peer;
  bool all = false;
  std::uint64_t limit = 20;
  bool dry_run = false;
  bool watch = false;
  double interval_seconds = 1;
  std::string key;
  std::vector<std::string> keys;
  std::string value;
  double ttl_seconds = 0;  // 0: for ever.
  std::string name;
  std::string out;
  std::string address;
  std::string file;
  std::string directory;
  bool no_wait = false;
  bool yes = false;
  std::vector<std::string> tags;
};

struct Command {
  Arguments arguments;
  std::function<Result<ExitCode>(const Arguments&)> run;  // Of the verb that was given.
};

void add_status(CLI::App& app, Command& command);
void add_members(CLI::App& app, Command& command);
void add_join(CLI::App& app, Command& command);
void add_leave(CLI::App& app, Command& command);
void add_forget(CLI::App& app, Command& command);
void add_tags(CLI::App& app, Command& command);
void add_diff(CLI::App& app, Command& command);
void add_repair(CLI::App& app, Command& command);
void add_lag(CLI::App& app, Command& command);
void add_hints(CLI::App& app, Command& command);
void add_verify(CLI::App& app, Command& command);
void add_conflicts(CLI::App& app, Command& command);
void add_backup(CLI::App& app, Command& command);
void add_restore(CLI::App& app, Command& command);
void add_keys(CLI::App& app, Command& command);
void add_cluster(CLI::App& app, Command& command);
void add_keyring(CLI::App& app, Command& command);

// Adds a verb without subcommands of its own.
CLI::App* add_verb(CLI::App& app, Command& command, const std::string& name, const std::string& what,
                   Result<ExitCode> (*run)(const Arguments&));

// With the password of the environment or of --password-file. Errors as Connection::open(), and
// bad_input if that file cannot be read.
Result<Connection> connect(const Arguments& arguments);

// Connects, asks one question, and hands back its reply.
Result<Reply> ask_once(const Arguments& arguments, const Connection::Arguments& question,
                       Millis patience = Connection::usual_patience);

}  // namespace knit
