// `knit repair`: one exchange with a peer or with all of them, now, and what it changed.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "cli/command.h"
#include "cli/text.h"

namespace knit {
namespace {

constexpr Millis poll_interval{200};
constexpr int bar_width = 30;

volatile std::sig_atomic_t interrupted = 0;

void on_interrupt(int) { interrupted = 1; }

// One line of a terminal that is written again and again. Elsewhere it is silent.
class ProgressBar {
 public:
  explicit ProgressBar(bool visible) : visible_(visible && isatty(STDERR_FILENO) != 0) {}
  ~ProgressBar() { clear(); }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  bool visible() const { return visible_; }
  void show(double fraction, const std::string& text) {
    const int filled = static_cast<int>(std::clamp(fraction, 0.0, 1.0) * bar_width);
    fmt::print(stderr, "\r\033[K[{:#<{}}{:.<{}}] {}", "", filled, "", bar_width - filled, text);
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
    const std::string progress = text_of(peer, "exchange_progress");
    if (!progress.empty()) {
      sum += std::atof(progress.c_str());
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
  while (interrupted == 0) {
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
  if (arguments.all != arguments.peer.empty()) {
    return fail(ErrorCode::bad_input, "name one peer, or say --all; `knit members` lists them");
  }
  auto connection = connect(arguments);
  if (!connection) {
    return tl::unexpected(connection.error());
  }
  static_cast<void>(std::signal(SIGINT, on_interrupt));
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

}  // namespace

void add_repair(CLI::App& app, Command& command) {
  CLI::App* verb = add_verb(app, command, "repair", "compare with a peer, or all, and heal both sides", run);
  verb->add_option("PEER", command.arguments.peer, "its name, address, or the start of its node id");
  verb->add_flag("--all", command.arguments.all, "with every reachable peer");
}

}  // namespace knit
