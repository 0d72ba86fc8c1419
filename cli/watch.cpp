#include "cli/watch.h"

#include <fmt/format.h>

#include <utility>

#include "cli/screen.h"
#include "cli/text.h"

namespace knit {
namespace {

constexpr double interval_seconds_min = 0.1;
constexpr double interval_seconds_max = 86'400;

Millis interval(const Arguments& arguments) {
  return Millis{static_cast<std::int64_t>(arguments.interval_seconds * 1000)};
}

Result<ExitCode> show_once(const Arguments& arguments, const View& view) {
  const auto reply = ask_once(arguments, view.question);
  if (!reply) {
    return tl::unexpected(reply.error());
  }
  const Json document = view.document(*reply);
  fmt::print("{}", arguments.json ? printed(document) + "\n" : view.text(document));
  return view.code(document);
}

}  // namespace

CLI::Option* add_watch(CLI::App* verb, Arguments& arguments) {
  CLI::Option* watch =
      verb->add_flag("--watch", arguments.watch, "show it again and again, until Ctrl-C (exit code 130)");
  verb->add_option("--interval", arguments.interval_seconds, "with --watch: so many seconds between")
      ->check(CLI::Range(interval_seconds_min, interval_seconds_max))
      ->type_name("SECONDS")
      ->capture_default_str()
      ->needs(watch);
  return watch;
}

Result<ExitCode> ask_repeatedly(const Arguments& arguments, const Connection::Arguments& question,
                                const std::function<bool(const Reply&)>& on_reply) {
  auto connection = connect(arguments);
  if (!connection) {
    return tl::unexpected(connection.error());
  }
  while (!interrupted()) {
    const auto reply = connection->ask(question);
    if (!reply && !interrupted()) {
      return tl::unexpected(reply.error());
    }
    if (reply && !on_reply(*reply)) {
      return ExitCode::failed;
    }
    pause_for(interval(arguments));
  }
  return ExitCode::interrupted;
}

Result<ExitCode> show_or_watch(const Arguments& arguments, const View& view) {
  if (!arguments.watch) {
    return show_once(arguments, view);
  }
  catch_interrupts();
  Screen screen(!arguments.json);
  bool first = true;
  return ask_repeatedly(arguments, view.question, [&](const Reply& reply) {
    const Json document = view.document(reply);
    if (screen.redraws()) {
      return screen.show(fmt::format("{} UTC\n\n{}", now_text(), view.text(document)));
    }
    if (arguments.json) {
      return write_out(printed(document) + "\n");
    }
    return write_out(fmt::format("{}{} UTC\n{}", std::exchange(first, false) ? "" : "\n", now_text(),
                                 view.text(document)));
  });
}

}  // namespace knit
