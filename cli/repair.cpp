// `knit repair`: one exchange with a peer or with all of them, now, and what it changed.
#include "cli/repair.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>

#include "cli/command.h"
#include "cli/peer_state.h"
#include "cli/screen.h"
#include "cli/text.h"
#include "cli/watch.h"

namespace knit {
namespace {

constexpr Millis poll_interval{200};

// One line of a terminal that is written again and again. Elsewhere it is silent.
class ProgressBar {
 public:
  explicit ProgressBar(bool visible) : visible_(visible && isatty(STDERR_FILENO) != 0) {}
  ~ProgressBar() { clear(); }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  bool visible() const { return visible_; }
  void show(double fraction, const std::string& text) {
    fmt::print(stderr, "\r\033[K{} {}", bar(fraction), text);
    std::fflush(stderr);
    drawn_ = true;
  }
  void clear() {
    if (drawn_) {
      fmt::print(stderr, "\r\033[K");
      std::fflush(stderr);
    }
    drawn_ = false;
  }

 private:
  bool visible_;
  bool drawn_ = false;
};

// Asks on a second connection how far the sessions are; without an answer the bar stays as it is.
void show_progress(ProgressBar& bar, Connection& observer) {
  const auto reply = observer.ask({"KNIT", "STATUS"});
  if (!reply) {
    return;
  }
  double sum = 0;
  int running = 0;
  std::int64_t rows = 0;
  for (const Json& peer : list_of(map_document(*reply), "peers")) {
    if (exchange_runs(peer)) {
      sum += exchange_fraction(peer);
      rows += number_of(peer, "rows_sent") + number_of(peer, "rows_received");
      ++running;
    }
  }
  bar.show(running == 0 ? 0 : sum / running,
           fmt::format("{}, {}", counted(running, "peer"), counted(rows, "row")));
}

// The reply to the repair; empty if the user interrupted it.
Result<std::optional<Reply>> await(Connection& connection, const Arguments& arguments) {
  ProgressBar bar(!arguments.json);
  auto observer = bar.visible() ? connect(arguments) : fail(ErrorCode::not_found, "");
  while (!interrupted()) {
    auto reply = connection.receive(poll_interval);
    if (!reply || *reply) {
      return reply;
    }
    if (observer) {
      show_progress(bar, *observer);
    }
  }
  return std::nullopt;
}

void print_session(const Json& session) {
  const std::string name = escaped(text_of(session, "peer_name"));
  if (const std::string error = text_of(session, "error"); !error.empty()) {
    fmt::print("{}: failed: {}\n", name, escaped(error, 200));
    return;
  }
  fmt::print("{}: {}; {} received, {} sent, {} changed here; compared with {} in {}, {}\n", name,
             escaped(text_of(session, "outcome")), counted(number_of(session, "rows_received"), "row"),
             count_text(number_of(session, "rows_sent")), count_text(number_of(session, "rows_changed")),
             bytes_text(number_of(session, "comparison_bytes")),
             counted(number_of(session, "messages"), "message"),
             duration_text(number_of(session, "duration_ms")));
}

ExitCode show(const Json& sessions, bool json) {
  if (json) {
    fmt::print("{}\n", printed(sessions));
  } else {
    std::for_each(sessions.begin(), sessions.end(), print_session);
  }
  const bool failed = std::any_of(sessions.begin(), sessions.end(),
                                  [](const Json& s) { return !text_of(s, "error").empty(); });
  return failed ? ExitCode::failed : ExitCode::fine;
}

Result<ExitCode> run(const Arguments& arguments) {
  if (arguments.watch) {
    return watch_exchanges(arguments);
  }
  if (arguments.all != arguments.peer.empty()) {
    return fail(ErrorCode::bad_input, "name one peer, or say --all; `knit members` lists them");
  }
  if (arguments.dry_run) {
    return run_dry(arguments);
  }
  auto connection = connect(arguments);
  if (!connection) {
    return tl::unexpected(connection.error());
  }
  catch_interrupts();
  const auto sent = connection->send({"KNIT", "REPAIR", arguments.all ? "ALL" : arguments.peer});
  if (!sent) {
    return tl::unexpected(sent.error());
  }
  const auto reply = await(*connection, arguments);
  if (!reply) {
    return tl::unexpected(reply.error());
  }
  if (!*reply) {
    fmt::print(stderr, "knit: interrupted; rows that were exchanged so far stay\n");
    return ExitCode::interrupted;
  }
  return show(list_document(**reply), arguments.json);
}

constexpr const char* footer = R"(
--dry-run compares and changes nothing: which keys differ, who holds which version (dots and
stamps), whose value the key will have, and what would travel each way.
--watch shows all exchanges that run, whoever began them, and then the last that ended.
Exit codes: 0 every session came to its end (--dry-run: there is nothing to repair), 1 with
--dry-run: something differs, 4 a session failed, 130 interrupted; others as in knit --help.)";

}  // namespace

void add_repair(CLI::App& app, Command& command) {
  Arguments& arguments = command.arguments;
  CLI::App* verb = add_verb(app, command, "repair", "compare with a peer, or all, and heal both sides", run);
  CLI::Option* peer =
      verb->add_option("PEER", arguments.peer, "its name, address, or the start of its node id");
  CLI::Option* all = verb->add_flag("--all", arguments.all, "with every reachable peer");
  CLI::Option* dry = verb->add_flag("--dry-run", arguments.dry_run, "change nothing, tell what it would do");
  verb->add_option("--limit", arguments.limit, "with --dry-run: list so many keys of a peer at most")
      ->capture_default_str()
      ->needs(dry);
  add_watch(verb, arguments)->excludes(peer, all, dry);
  verb->footer(footer);
}

}  // namespace knit
