// `knit restore`: makes the data directory of a new node from a backup. No daemon is asked.
#include "store/lmdb/restore.h"

#include <fmt/format.h>
#include <sodium.h>

#include "cli/command.h"
#include "cli/text.h"

namespace knit {
namespace {

constexpr const char* default_directory = "/var/lib/knit";

std::uint64_t random_id() {
  std::uint64_t id = 0;
  while (id == 0) randombytes_buf(&id, sizeof id);
  return id;
}

Result<ExitCode> run(const Arguments& arguments) {
  if (sodium_init() < 0) return fail(ErrorCode::refused, "libsodium cannot be initialised");
  const std::string directory = arguments.directory.empty() ? default_directory : arguments.directory;
  const auto restored =
      restore_backup(arguments.file, directory, {NodeId{random_id()}, ActorId{random_id()}});
  if (!restored) {
    const Error& error = restored.error();  // No daemon is involved, so not "unreachable".
    return fail(error.code == ErrorCode::io ? ErrorCode::refused : error.code, error.message);
  }
  if (arguments.json) {
    fmt::print("{}\n", printed(Json{{"cluster", restored->cluster},
                                    {"rows", restored->rows},
                                    {"bytes", restored->bytes},
                                    {"directory", directory}}));
    return ExitCode::fine;
  }
  fmt::print("{}: {} of cluster {}, {}\n", escaped(directory, 400),
             counted(static_cast<std::int64_t>(restored->rows), "row"), escaped(restored->cluster),
             bytes_text(static_cast<std::int64_t>(restored->bytes)));
  fmt::print(
      "Next: start knitd on it. It is a new node of that cluster: with a peer in peer.seeds it is told the "
      "cluster's\n"
      "key when it joins, and is given what has changed since. Where no node is left, put the cluster's key "
      "file\n"
      "(cluster.key, from any data directory or its copy) beside the data first.\n");
  return ExitCode::fine;
}

constexpr const char* footer = R"(
The directory is made if it is absent; it may hold a cluster key, but no data. The daemon that starts on it is a new node:
the one that the backup was made of may still run. Restoring takes nothing back that the other nodes still hold: what
was deleted or overwritten since the backup is so again when the node has joined them. To go back to an old state, restore
it on a host that joins nobody, and read from it what is wanted.
Exit codes: 0; 1 there is no such file; 4 it could not be restored; nothing was put into the directory.)";

}  // namespace

void add_restore(CLI::App& app, Command& command) {
  CLI::App* verb =
      add_verb(app, command, "restore", "make the data directory of a new node from a backup", run);
  verb->add_option("FILE", command.arguments.file, "that `knit backup` wrote")->required();
  verb->add_option("--data-directory", command.arguments.directory, "to be filled")
      ->default_str(default_directory);
  verb->footer(footer);
}

}  // namespace knit
