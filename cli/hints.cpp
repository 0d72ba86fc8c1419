// `knit hints`: which writes wait for which peer, since when, and for how long.
#include <fmt/format.h>

#include <algorithm>

#include "cli/command.h"
#include "cli/peer_state.h"
#include "cli/text.h"
#include "cli/watch.h"

namespace knit {
namespace {

bool is_known(const Json& peer) { return number_of(peer, "writes") >= 0; }
bool waits(const Json& peer) { return number_of(peer, "writes") > 0 || flag_of(peer, "trimmed"); }

std::string waiting_text(const Json& peer) {
  return is_known(peer) ? counted(number_of(peer, "writes"), "write") : "-";
}

std::string since(const Json& peer) {
  const std::int64_t moment = number_of(peer, "since_ms");
  return moment <= 0 ? "-" : since_text(moment) + " ago";
}

std::string drain_text(const Json& peer) {
  if (!is_known(peer)) {
    return "not known: nothing was heard of it since the start";
  }
  if (flag_of(peer, "trimmed")) {
    return "trimmed: an exchange will bring it";
  }
  if (!waits(peer)) {
    return "-";
  }
  if (!flag_of(peer, "reachable")) {
    return "when it is back";
  }
  const std::int64_t left = number_of(peer, "drains_in_ms");
  return left < 0 ? "not known: nothing moves" : "in " + duration_text(left);
}

std::string summary(const Json& hints) {
  const Json& peers = list_of(hints, "peers");
  const auto waiting = std::count_if(peers.begin(), peers.end(), waits);
  const auto unknown = std::count_if(peers.begin(), peers.end(), [](const Json& p) { return !is_known(p); });
  std::string text =
      waiting == 0 ? "no writes wait" : fmt::format("writes wait for {}", counted(waiting, "peer"));
  return unknown == 0 ? text : fmt::format("{}; of {} it is not known", text, counted(unknown, "peer"));
}

std::string log_text(const Json& hints) {
  const std::int64_t oldest = number_of(hints, "oldest_ms");
  return fmt::format("the log holds {} of {}{}", bytes_text(number_of(hints, "bytes")),
                     bytes_text(number_of(hints, "bytes_max")),
                     oldest > 0 ? fmt::format(", back to {} ago", since_text(oldest)) : "");
}

std::string hints_text(const Json& hints) {
  Table table({"PEER", "STATE", "WAITING", "OF THIS NODE", "SINCE", "DELIVERED"});
  for (const Json& peer : list_of(hints, "peers")) {
    const std::string own = is_known(peer) ? count_text(number_of(peer, "own_writes")) : "-";
    table.add({peer_label(peer), flag_of(peer, "reachable") ? "reachable" : "unreachable", waiting_text(peer),
               own, since(peer), drain_text(peer)});
  }
  const std::string head = fmt::format("{}; {}\n", summary(hints), log_text(hints));
  return table.empty() ? head : fmt::format("{}\n{}", head, table.text());
}

ExitCode code(const Json& hints) {
  const Json& peers = list_of(hints, "peers");
  const bool none =
      std::none_of(peers.begin(), peers.end(), [](const Json& p) { return waits(p) || !is_known(p); });
  return none ? ExitCode::fine : ExitCode::differs;
}

Result<ExitCode> run(const Arguments& arguments) {
  return show_or_watch(arguments, {{"KNIT", "HINTS"}, map_document, hints_text, code});
}

constexpr const char* footer = R"(
A hint is a write that a peer has not acknowledged yet. It costs nothing but its place in the
log, which is bounded by hints.max_age and hints.max_bytes; what was trimmed, an exchange brings.
Exit codes: 0 nothing waits, 1 writes wait for some peer or it is not known; others as in knit --help.)";

}  // namespace

void add_hints(CLI::App& app, Command& command) {
  CLI::App* verb = add_verb(app, command, "hints", "which writes wait for which peer, and for how long", run);
  add_watch(verb, command.arguments);
  verb->footer(footer);
}

}  // namespace knit
