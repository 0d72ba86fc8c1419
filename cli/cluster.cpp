// `knit cluster new`: the birth of a cluster, which is the making of its key file.
#include <fmt/format.h>

#include "base/bytes.h"
#include "cli/command.h"
#include "cli/text.h"
#include "store/cluster_key.h"

namespace knit {
namespace {

constexpr const char* default_path = "/var/lib/knit/cluster.key";  // In the default data directory.

Result<ExitCode> run_new(const Arguments& arguments) {
  if (!is_cluster_name(arguments.name)) {
    return fail(
        ErrorCode::bad_input,
        fmt::format("a cluster's name is 1 to {} letters, digits, '.', '_' and '-'", cluster_name_bytes_max));
  }
  const std::string path = arguments.out.empty() ? default_path : arguments.out;
  const ClusterIdentity identity = new_cluster(arguments.name);
  if (const auto written = write_cluster_key(path, identity); !written) {
    const bool no_directory = written.error().code == ErrorCode::not_found;
    return fail(
        ErrorCode::refused,  // No daemon is involved, so not "unreachable".
        written.error().message +
            (no_directory ? "; start knitd, which makes its data directory, or name another with --out"
                          : ""));
  }
  if (arguments.json) {
    fmt::print("{}\n",
               printed(Json{{"cluster", identity.name}, {"id", to_hex(identity.id)}, {"file", path}}));
  } else {
    fmt::print("cluster {} ({}) is born: its key is in {}\n", escaped(identity.name), to_hex(identity.id),
               escaped(path, 200));
    fmt::print(
        "Next: start knitd here; if it runs already and waits, it goes on by itself. On the other hosts "
        "name\n"
        "this one in peer.seeds: they are told the key when they join.\n");
  }
  return ExitCode::fine;
}

constexpr const char* footer = R"(
To be done once, on one host: a node that finds no cluster waits, and never founds one by itself.
The file belongs in the node's data directory. Made by root, it is given to that directory's owner.
Exit codes: 0, 4 it exists already or cannot be written; others as in knit --help.)";

}  // namespace

void add_cluster(CLI::App& app, Command& command) {
  CLI::App* cluster = app.add_subcommand("cluster", "the cluster as a whole");
  cluster->require_subcommand(1);
  cluster->fallthrough();
  CLI::App* create = add_verb(*cluster, command, "new", "found a cluster: make its key file, once", run_new);
  create->add_option("NAME", command.arguments.name, "what people call the cluster")->required();
  create->add_option("--out", command.arguments.out, "where to write the key file; it must not exist")
      ->default_str(default_path);
  create->footer(footer);
}

}  // namespace knit
