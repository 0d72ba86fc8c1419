#include <CLI/CLI.hpp>
#include <cstdio>

#include "daemon/config.h"
#include "daemon/crash_report.h"
#include "daemon/daemon.h"
#include "daemon/log.h"

namespace {

constexpr int cannot_start = 1;
constexpr int bad_usage = 2;

constexpr const char* footer =
    "Exit status:\n"
    "  0  stopped by SIGTERM or SIGINT; --check found nothing wrong\n"
    "  1  could not start (data directory, cluster key, address), the disk failed, or the data is damaged\n"
    "  2  the command line or the config is wrong; each line says where and what was expected";

struct Arguments {
  std::string config{knit::default_config_path};
  bool check = false;
};

void describe(CLI::App& app, Arguments& arguments) {
  app.add_option("--config", arguments.config, "The config, a TOML file")->capture_default_str();
  app.add_flag("--check", arguments.check, "Say what is wrong with the config, start nothing");
  app.set_version_flag("--version", std::string("knitd ") + KNIT_VERSION);
  app.footer(footer);
}

int report(const knit::ConfigErrors& errors) {
  for (const std::string& line : errors) std::fprintf(stderr, "%s\n", line.c_str());
  return bad_usage;
}

void open_log(const knit::Config& config) {
  using knit::LogLevel;
  const std::string& level = config.log.level;
  const LogLevel least = level == "debug"     ? LogLevel::debug
                         : level == "info"    ? LogLevel::info
                         : level == "warning" ? LogLevel::warning
                                              : LogLevel::error;
  knit::open_log(config.log.target == "journald" ? knit::LogTarget::journal : knit::LogTarget::standard_error,
                 least);
}

int run(const Arguments& arguments) {
  const auto config = knit::load_config(arguments.config);
  if (!config) return report(config.error());
  if (arguments.check) {
    std::printf("%s: ok\n", arguments.config.c_str());
    return 0;
  }
  open_log(*config);
  knit::report_crashes(config->node.data_directory);
  auto daemon = knit::Daemon::start(*config, KNIT_VERSION);
  if (!daemon) {
    std::fprintf(stderr, "knitd: %s\n", daemon.error().message.c_str());
    return cannot_start;
  }
  return *daemon ? (*daemon)->run() : 0;
}

}  // namespace

int main(int count, char** words) {
  Arguments arguments;
  CLI::App app("knitd keeps a copy of a data set on this host, equal to those of its peers.");
  describe(app, arguments);
  try {
    app.parse(count, words);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : bad_usage;
  }
  return run(arguments);
}
