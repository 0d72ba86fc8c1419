// `knit backup`: the daemon writes all that it holds into one file, while it goes on.
#include <fmt/format.h>

#include <filesystem>

#include "cli/command.h"
#include "cli/text.h"

namespace knit {
namespace {

Result<ExitCode> run(const Arguments& arguments) {
  std::error_code error;
  const std::string path = std::filesystem::absolute(arguments.file, error).lexically_normal().string();
  if (error) return fail(ErrorCode::bad_input, "there is no such path: " + arguments.file);
  const auto reply = ask_once(arguments, {"KNIT", "BACKUP", path}, Connection::endless_patience);
  if (!reply) return tl::unexpected(reply.error());
  const Json made = map_document(*reply);
  if (arguments.json) {
    fmt::print("{}\n", printed(made));
  } else {
    fmt::print("{}: {} in {}\n", escaped(path, 400), bytes_text(number_of(made, "bytes")),
               duration_text(number_of(made, "duration_ms")));
  }
  return ExitCode::fine;
}

constexpr const char* footer = R"(
The daemon makes the file, mode 0600, as its own user; it must not exist. It holds every write that was acknowledged
before, as they were at one moment, and no secrets of the cluster. Reads and writes go on; meanwhile the database
file grows by what is changed. An interrupt ends the waiting, not the backup. See `knit restore`.
Exit codes: 0; 4 it could not be made; others as in knit --help.)";

}  // namespace

void add_backup(CLI::App& app, Command& command) {
  CLI::App* verb = add_verb(app, command, "backup", "write all that this node holds into a file", run);
  verb->add_option("FILE", command.arguments.file, "to be made, on the daemon's host")->required();
  verb->footer(footer);
}

}  // namespace knit
