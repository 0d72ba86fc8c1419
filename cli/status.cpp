// `knit status`: do all hosts hold the same? The first line says it.
#include <fmt/format.h>

#include <vector>

#include "cli/command.h"
#include "cli/text.h"

namespace knit {
namespace {

constexpr std::size_t root_digits = 8;  // Enough for an eye to compare.

std::string peer_label(const Json& peer) {
  const std::string name = text_of(peer, "name");
  return escaped(name.empty() ? text_of(peer, "address") : name);
}

// What is wrong with a peer, or empty.
std::string trouble(const Json& peer) {
  if (!flag_of(peer, "reachable")) {
    const std::int64_t since = number_of(peer, "since_ms");
    return since > 0 ? fmt::format("{} unreachable for {}", peer_label(peer), since_text(since))
                     : fmt::format("{} not reached yet", peer_label(peer));
  }
  const std::string progress = text_of(peer, "exchange_progress");
  if (!progress.empty()) {
    return fmt::format("{} being repaired ({}%)", peer_label(peer),
                       static_cast<int>(100 * std::atof(progress.c_str())));
  }
  if (!flag_of(peer, "tree_complete")) {
    return peer_label(peer) + " still building its tree";
  }
  return flag_of(peer, "equal") ? std::string() : peer_label(peer) + " differs";
}

struct Census {
  std::size_t nodes = 1;  // The daemon asked counts as reachable and as agreeing with itself.
  std::size_t reachable = 1;
  std::size_t agreeing = 1;
  std::vector<std::string> troubles;
};

Census take_census(const Json& status) {
  Census census;
  if (!flag_of(status, "tree_complete")) {
    const int percent = static_cast<int>(100 * std::atof(text_of(status, "tree_fraction").c_str()));
    census.troubles.push_back(
        fmt::format("{} still building its tree ({}%)", escaped(text_of(status, "name")), percent));
  }
  for (const Json& peer : list_of(status, "peers")) {
    const bool reachable = flag_of(peer, "reachable");
    ++census.nodes;
    census.reachable += reachable ? 1 : 0;
    census.agreeing += reachable && flag_of(peer, "equal") ? 1 : 0;
    if (std::string text = trouble(peer); !text.empty()) {
      census.troubles.push_back(std::move(text));
    }
  }
  return census;
}

std::string verdict(const Census& census) {
  if (census.nodes == 1) {
    return "1 node, and no peers to agree with: name some in peer.peers of its configuration";
  }
  const std::string summary = census.reachable < census.nodes
                                  ? fmt::format("{} of {} nodes reachable", census.reachable, census.nodes)
                                  : fmt::format("{} of {} nodes agree", census.agreeing, census.nodes);
  return census.troubles.empty() ? summary : fmt::format("{}; {}", summary, fmt::join(census.troubles, ", "));
}

std::vector<std::string> warnings(const Json& status) {
  std::vector<std::string> out;
  if (const Json* found = status.contains("has_space") ? &status["has_space"] : nullptr;
      found && !flag_of(status, "has_space")) {
    out.emplace_back("the disk is full: writes are refused until there is room, reads go on");
  }
  if (const std::int64_t damaged = number_of(status, "damaged_rows"); damaged > 0) {
    out.push_back(
        fmt::format("{} damaged rows: `knit repair --all` fetches them from peers", count_text(damaged)));
  }
  return out;
}

std::string peer_state(const Json& peer) {
  if (!flag_of(peer, "reachable")) {
    return "unreachable";
  }
  return flag_of(peer, "equal") ? "agrees" : "differs";
}

// Only of a peer that is there: what it held when it was last seen says nothing.
std::string root_text(const Json& peer) {
  return flag_of(peer, "reachable") ? escaped(text_of(peer, "root").substr(0, root_digits)) : "-";
}

std::string keys_text(const Json& peer) {
  return flag_of(peer, "reachable") ? count_text(number_of(peer, "keys")) : "-";
}

std::string round_trip_text(const Json& peer) {
  const std::int64_t micros = number_of(peer, "round_trip_us");
  return micros <= 0 ? "-" : fmt::format("{:.1f} ms", static_cast<double>(micros) / 1000);
}

Table node_table(const Json& status) {
  Table table({"NODE", "ADDRESS", "STATE", "ROOT", "KEYS", "LAST EQUAL", "ROUND TRIP"});
  table.add({escaped(text_of(status, "name")), escaped(text_of(status, "address")), "this one",
             text_of(status, "root").substr(0, root_digits), count_text(number_of(status, "keys")), "-",
             "-"});
  for (const Json& peer : list_of(status, "peers")) {
    const std::int64_t last_equal = number_of(peer, "last_equal_ms");
    const std::string ago =
        flag_of(peer, "equal") ? "now" : since_text(last_equal) + (last_equal > 0 ? " ago" : "");
    table.add({peer_label(peer), escaped(text_of(peer, "address")), peer_state(peer), root_text(peer),
               keys_text(peer), ago, round_trip_text(peer)});
  }
  return table;
}

void print_footer(const Json& status) {
  const std::int64_t comparison =
      number_of(status, "comparison_bytes_sent") + number_of(status, "comparison_bytes_received");
  fmt::print("\ncluster {}, up {}, {} on disk, {}\n", escaped(text_of(status, "cluster")),
             duration_text(number_of(status, "uptime_ms")), bytes_text(number_of(status, "bytes_on_disk")),
             counted(number_of(status, "clients"), "client"));
  fmt::print("{} since the start: {} compared, {} received, {} sent\n",
             counted(number_of(status, "exchanges"), "exchange"), bytes_text(comparison),
             counted(number_of(status, "rows_received"), "row"),
             counted(number_of(status, "rows_sent"), "row"));
}

void print_status(const Json& status) {
  fmt::print("{}\n", verdict(take_census(status)));
  for (const std::string& warning : warnings(status)) {
    fmt::print("warning: {}\n", warning);
  }
  fmt::print("\n{}", node_table(status).text());
  print_footer(status);
}

Result<ExitCode> run(const Arguments& arguments) {
  const auto reply = ask_once(arguments, {"KNIT", "STATUS"});
  if (!reply) {
    return tl::unexpected(reply.error());
  }
  const Json status = map_document(*reply);
  if (arguments.json) {
    fmt::print("{}\n", printed(status));
  } else {
    print_status(status);
  }
  return flag_of(status, "in_sync") ? ExitCode::fine : ExitCode::differs;
}

}  // namespace

void add_status(CLI::App& app, Command& command) {
  add_verb(app, command, "status", "whether all nodes agree, and how each of them is", run);
}

}  // namespace knit
