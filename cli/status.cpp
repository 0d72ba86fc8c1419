// `knit status`: do all hosts hold the same? The first line says it.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "cli/command.h"
#include "cli/peer_state.h"
#include "cli/text.h"

namespace knit {
namespace {

constexpr std::size_t root_digits = 8;  // Enough for an eye to compare.

std::string catching_up_text(const Json& peer) {
  const std::int64_t lacks = number_of(peer, "lag_writes");
  const std::int64_t we_lack = number_of(peer, "behind_writes");
  return lacks >= we_lack ? fmt::format("{} catching up ({})", peer_label(peer),
                                        lag_text(lacks, number_of(peer, "lag_ms")))
                          : fmt::format("this node catching up with {} ({})", peer_label(peer),
                                        lag_text(we_lack, number_of(peer, "behind_ms")));
}

std::string repairing_text(const Json& peer) {
  const std::int64_t left = number_of(peer, "exchange_ends_in_ms");
  return fmt::format("{} being repaired ({}%{})", peer_label(peer),
                     static_cast<int>(100 * exchange_fraction(peer)),
                     left > 0 ? ", about " + duration_text(left) + " left" : "");
}

// What is wrong with a peer, or empty.
std::string trouble(const Json& peer, PeerState state) {
  const std::int64_t since = number_of(peer, "since_ms");
  switch (state) {
    case PeerState::unreachable:
      return since > 0 ? fmt::format("{} unreachable for {}", peer_label(peer), since_text(since))
                       : fmt::format("{} not reached yet", peer_label(peer));
    case PeerState::building: return peer_label(peer) + " still building its tree";
    case PeerState::equal:
    case PeerState::in_step: return {};
    case PeerState::repairing: return repairing_text(peer);
    case PeerState::catching_up: return catching_up_text(peer);
    case PeerState::differs: return peer_label(peer) + " differs";
  }
  return {};
}

struct Census {
  std::size_t nodes = 1;  // The daemon asked counts as reachable and as agreeing with itself.
  std::size_t reachable = 1;
  std::size_t agreeing = 1;
  std::size_t in_step = 0;
  std::int64_t apart_millis = 0;  // The most of those in step.
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
    const PeerState state = state_of(peer);
    ++census.nodes;
    census.reachable += state == PeerState::unreachable ? 0 : 1;
    census.agreeing += state == PeerState::equal ? 1 : 0;
    if (state == PeerState::in_step) {
      ++census.in_step;
      census.apart_millis = std::max(census.apart_millis, apart_millis(peer));
    }
    if (std::string text = trouble(peer, state); !text.empty()) {
      census.troubles.push_back(std::move(text));
    }
  }
  return census;
}

std::string summary(const Census& census) {
  if (census.reachable < census.nodes) {
    return fmt::format("{} of {} nodes reachable", census.reachable, census.nodes);
  }
  if (census.in_step == 0) {
    return fmt::format("{} of {} nodes agree", census.agreeing, census.nodes);
  }
  return fmt::format("{} of {} nodes in step, lag at most {}", census.agreeing + census.in_step, census.nodes,
                     duration_text(census.apart_millis));
}

std::string verdict(const Census& census) {
  if (census.nodes == 1) {
    return "1 node, and no peers to agree with: name some in peer.seeds of its configuration";
  }
  const std::string text = summary(census);
  return census.troubles.empty() ? text : fmt::format("{}; {}", text, fmt::join(census.troubles, ", "));
}

std::vector<std::string> warnings(const Json& status) {
  std::vector<std::string> out;
  if (const Json* found = status.contains("has_space") ? &status["has_space"] : nullptr;
      found && !flag_of(status, "has_space")) {
    out.emplace_back(
        "the disk is full, or store.max_bytes is reached: values are refused until there is room; "
        "deletes and reads go on");
  }
  if (const std::int64_t damaged = number_of(status, "damaged_rows"); damaged > 0) {
    out.push_back(
        fmt::format("{} damaged rows: `knit repair --all` fetches them from peers", count_text(damaged)));
  }
  for (const Json& peer : list_of(status, "peers")) {
    if (!peer.contains("keeps_time") || flag_of(peer, "keeps_time")) continue;
    out.push_back(fmt::format(
        "the clock of {} is {} ahead of that of {}: what it writes comes by exchanges alone, some "
        "seconds late; mend the clock (the limit is clock.max_ahead)",
        peer_label(peer), duration_text(number_of(peer, "clock_ahead_ms")),
        escaped(text_of(status, "name"))));
  }
  const std::int64_t above = number_of(status, "above_floor");
  const Json peers = status.value("peers", Json::array());
  const bool all_here =
      std::all_of(peers.begin(), peers.end(), [](const Json& peer) { return flag_of(peer, "reachable"); });
  if (above > 0 && !all_here) {
    out.push_back(
        fmt::format("{} writes are not known to be on every member: keys deleted by them take up room until "
                    "all members are back, and those that never will be are forgotten",
                    count_text(above)));
  }
  return out;
}

// Writes that wait for a peer: not those that streams are just about to deliver.
std::string hint_text(const Json& peer) {
  if (flag_of(peer, "trimmed")) {
    return fmt::format("more than the log holds for {}: an exchange will bring it", peer_label(peer));
  }
  const PeerState state = state_of(peer);
  const std::int64_t writes = number_of(peer, "lag_writes");
  if (writes <= 0 || state == PeerState::equal || state == PeerState::in_step) {
    return {};
  }
  return fmt::format("{} for {}", counted(writes, "write"), peer_label(peer));
}

std::vector<std::string> notes(const Json& status) {
  std::vector<std::string> out;
  std::vector<std::string> hints;
  for (const Json& peer : list_of(status, "peers")) {
    if (std::string text = hint_text(peer); !text.empty()) {
      hints.push_back(std::move(text));
    }
  }
  if (!hints.empty()) {
    out.push_back(fmt::format("hints: {} (see `knit hints`)", fmt::join(hints, ", ")));
  }
  if (const std::int64_t stale = number_of(status, "stale_reads"); stale > 0) {
    out.push_back(
        fmt::format("stale reads: {} here; the last was {} after the write that it missed, the worst {}",
                    count_text(stale), duration_text(number_of(status, "stale_read_last_ms")),
                    duration_text(number_of(status, "stale_read_most_ms"))));
  }
  return out;
}

std::string lag_of(const Json& peer) {
  return peer.contains("lag_writes") ? lag_text(number_of(peer, "lag_writes"), number_of(peer, "lag_ms"))
                                     : "-";
}

// Only of a peer that is there: what it held when it was last seen says nothing.
std::string root_text(const Json& peer) {
  return flag_of(peer, "reachable") ? escaped(text_of(peer, "root").substr(0, root_digits)) : "-";
}

std::string keys_text(const Json& peer) {
  return flag_of(peer, "reachable") ? count_text(number_of(peer, "keys")) : "-";
}

Table node_table(const Json& status) {
  Table table({"NODE", "ADDRESS", "STATE", "ROOT", "KEYS", "LAG", "LAST EQUAL", "ROUND TRIP"});
  table.add({escaped(text_of(status, "name")), escaped(text_of(status, "address")), "this one",
             text_of(status, "root").substr(0, root_digits), count_text(number_of(status, "keys")), "-", "-",
             "-"});
  for (const Json& peer : list_of(status, "peers")) {
    const std::int64_t last_equal = number_of(peer, "last_equal_ms");
    const std::string ago =
        flag_of(peer, "equal") ? "now" : since_text(last_equal) + (last_equal > 0 ? " ago" : "");
    table.add({peer_label(peer), escaped(text_of(peer, "address")), std::string(name_of(state_of(peer))),
               root_text(peer), keys_text(peer), lag_of(peer), ago,
               round_trip_text(number_of(peer, "round_trip_us"))});
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
  for (const std::string& note : notes(status)) {
    fmt::print("{}\n", note);
  }
  fmt::print("\n{}", node_table(status).text());
  print_footer(status);
}

// In step is fine too: no cluster that is written to has equal roots for long.
ExitCode code(const Json& status) {
  const Json& peers = list_of(status, "peers");
  const bool fine = std::all_of(peers.begin(), peers.end(), [](const Json& peer) {
    const PeerState state = state_of(peer);
    return state == PeerState::equal || state == PeerState::in_step;
  });
  return fine && flag_of(status, "tree_complete") ? ExitCode::fine : ExitCode::differs;
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
  return code(status);
}

constexpr const char* footer = R"(
The first line is the verdict. "agree": all hold the same. "in step": writes are on their way,
and no node is more than 2 s behind (or they were equal less than 10 s ago). "catching up",
"being repaired": what was missed is on its way. "differs": it is not, yet.
LAG is what a peer lacks of this node's writes: how many, and how old the oldest is.
Exit codes: 0 all nodes agree or are in step, 1 they do not; others as in knit --help.)";

}  // namespace

void add_status(CLI::App& app, Command& command) {
  add_verb(app, command, "status", "whether all nodes agree, and how each of them is", run)->footer(footer);
}

}  // namespace knit
