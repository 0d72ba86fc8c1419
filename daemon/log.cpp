#include "daemon/log.h"

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/sinks/systemd_sink.h>

#include <algorithm>
#include <memory>
#include <string>

namespace knit {

namespace {

constexpr std::size_t line_bytes_max = 4096;

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::debug: return spdlog::level::debug;
    case LogLevel::info: return spdlog::level::info;
    case LogLevel::warning: return spdlog::level::warn;
    case LogLevel::error: return spdlog::level::err;
  }
  return spdlog::level::err;
}

std::unique_ptr<spdlog::logger> make_logger(LogTarget target, LogLevel least) {
  std::shared_ptr<spdlog::sinks::sink> sink;
  if (target == LogTarget::journal) {
    sink = std::make_shared<spdlog::sinks::systemd_sink_mt>("knitd");
  } else {
    sink = std::make_shared<spdlog::sinks::stderr_color_sink_mt>(spdlog::color_mode::automatic);
  }
  auto logger = std::make_unique<spdlog::logger>("knitd", std::move(sink));
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %^%-7l%$ %v");
  logger->set_level(to_spdlog(least));
  return logger;
}

std::unique_ptr<spdlog::logger>& current() {
  static std::unique_ptr<spdlog::logger> logger = make_logger(LogTarget::standard_error, LogLevel::info);
  return logger;
}

std::string one_line(std::string_view text) {
  std::string out(text.substr(0, line_bytes_max));
  std::replace_if(out.begin(), out.end(), [](unsigned char c) { return c < 32 || c == 127; }, '?');
  return out;
}

}  // namespace

void open_log(LogTarget target, LogLevel least) { current() = make_logger(target, least); }

void set_log_level(LogLevel least) { current()->set_level(to_spdlog(least)); }

void log(LogLevel level, std::string_view text) {
  spdlog::logger& logger = *current();
  const auto spdlog_level = to_spdlog(level);
  if (logger.should_log(spdlog_level)) logger.log(spdlog_level, one_line(text));
}

}  // namespace knit
