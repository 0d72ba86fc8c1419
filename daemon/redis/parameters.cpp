#include "daemon/redis/parameters.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <set>

#include "daemon/redis/parameter_table.h"
#include "daemon/redis/server_state.h"
#include "daemon/redis/text.h"

namespace knit {

namespace {

// One that rules something here.
struct LiveParameter {
  std::string_view name;
  std::string_view kind;
  std::int64_t least = 0;  // Of numbers.
  std::int64_t most = 0;
  std::string (*get)(const ServerState&) = nullptr;
  // What is wrong beyond kind and range, if anything.
  std::optional<std::string> (*check)(const ServerState&, std::string_view) = nullptr;
  void (*set)(ServerState&, std::string_view) = nullptr;
};

constexpr std::int64_t most_of_all = std::numeric_limits<std::int64_t>::max();
constexpr std::size_t password_bytes_max = 512;
constexpr std::uint64_t reserved_files = 100;  // For the store, peers and listeners.

std::string yes_or_no(bool yes) { return yes ? "yes" : "no"; }
bool is_yes(std::string_view value) { return equal_ignoring_case(value, "yes"); }

std::string joined(const std::vector<std::string>& words) {
  std::string line;
  for (const std::string& word : words) line += (line.empty() ? "" : " ") + word;
  return line;
}

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> words;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    if (end > 0) words.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

std::optional<std::string> check_clients(const ServerState&, std::string_view value) {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == RLIM_INFINITY) return std::nullopt;
  const std::uint64_t most = files.rlim_cur - std::min<std::uint64_t>(files.rlim_cur, reserved_files);
  if (static_cast<std::uint64_t>(*parse_integer(value)) <= most) return std::nullopt;
  return fmt::format(
      "The operating system is not able to handle the specified number of clients, try with {}", most);
}

std::optional<std::string> check_password(const ServerState&, std::string_view value) {
  if (value.size() <= password_bytes_max) return std::nullopt;
  return fmt::format("a password has up to {} bytes", password_bytes_max);
}

// "class hard soft seconds", repeated. Of them only the hard limit of normal clients means something.
// Empty: there is no such class among them.
std::optional<std::uint64_t> normal_limit(std::string_view value) {
  const auto words = split(value);
  for (std::size_t at = 0; at + 3 < words.size(); at += 4) {
    if (equal_ignoring_case(words[at], "normal")) return parse_memory(words[at + 1]);
  }
  return std::nullopt;
}

bool is_client_class(std::string_view word) {
  return equal_ignoring_case(word, "normal") || equal_ignoring_case(word, "slave") ||
         equal_ignoring_case(word, "replica") || equal_ignoring_case(word, "pubsub");
}

std::optional<std::string> check_limits(const ServerState&, std::string_view value) {
  const auto words = split(value);
  if (words.empty() || words.size() % 4 != 0) {
    return "Wrong number of arguments in buffer limit configuration.";
  }
  for (std::size_t at = 0; at < words.size(); at += 4) {
    if (!is_client_class(words[at])) return "Invalid client class specified in buffer limit configuration.";
    if (parse_memory(words[at + 1]) && parse_memory(words[at + 2]) && parse_unsigned(words[at + 3])) continue;
    return "Error in hard, soft or soft_seconds setting in buffer limit configuration.";
  }
  if (normal_limit(value) == 0) return "knit does not let clients wait without a limit: 0 is none";
  return std::nullopt;
}

std::string limits(const ServerState& server) {
  return fmt::format("normal {} 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
                     server.options.output_bytes_max);
}

void set_limits(ServerState& server, std::string_view value) {
  if (const auto limit = normal_limit(value)) server.options.output_bytes_max = *limit;
}

template <auto Member>
std::string number_text(const ServerState& server) {
  return std::to_string(server.settings.*Member);
}

template <auto Member>
void set_number(ServerState& server, std::string_view value) {
  server.settings.*Member = *parse_integer(value);
  server.update_slow_threshold();
}

using namespace parameter_kind;

constexpr LiveParameter live[] = {
    {.name = "bind", .kind = fixed, .get = [](const ServerState& s) { return joined(s.options.addresses); }},
    {.name = "client-output-buffer-limit",
     .kind = text,
     .get = limits,
     .check = check_limits,
     .set = set_limits},
    {.name = "databases", .kind = fixed, .get = [](const ServerState&) { return std::string("1"); }},
    {.name = "enable-debug-command",
     .kind = fixed,
     .get = [](const ServerState& s) { return yes_or_no(s.options.debug_commands); }},
    {.name = "latency-monitor-threshold",
     .kind = number,
     .most = most_of_all,
     .get = number_text<&ServerSettings::latency_threshold_millis>,
     .set = set_number<&ServerSettings::latency_threshold_millis>},
    {.name = "latency-tracking",
     .kind = flag,
     .get = [](const ServerState& s) { return yes_or_no(s.settings.latency_tracking); },
     .set = [](ServerState& s, std::string_view value) { s.settings.latency_tracking = is_yes(value); }},
    {.name = "loglevel",
     .kind = "debug|verbose|notice|warning",
     .get = [](const ServerState& s) { return s.settings.log_level; },
     .set =
         [](ServerState& s, std::string_view value) {
           s.settings.log_level = lower_case(value);
           if (s.hooks.set_log_level) s.hooks.set_log_level(s.settings.log_level);
         }},
    {.name = "maxclients",
     .kind = number,
     .least = 1,
     .most = std::numeric_limits<std::uint32_t>::max(),
     .get = [](const ServerState& s) { return std::to_string(s.options.clients_max); },
     .check = check_clients,
     .set =
         [](ServerState& s, std::string_view value) {
           s.options.clients_max = static_cast<std::size_t>(*parse_integer(value));
         }},
    {.name = "port",
     .kind = fixed,
     .get =
         [](const ServerState& s) {
           return std::to_string(s.options.addresses.empty() ? 0 : s.options.port);
         }},
    {.name = "protected-mode",
     .kind = flag,
     .get = [](const ServerState& s) { return yes_or_no(s.options.protected_mode); },
     .set = [](ServerState& s, std::string_view value) { s.options.protected_mode = is_yes(value); }},
    {.name = "proto-max-bulk-len",
     .kind = fixed,
     .get = [](const ServerState&) { return std::to_string(knit::value_bytes_max); }},
    {.name = "requirepass",
     .kind = text,
     .get = [](const ServerState&) { return std::string(); },  // Not told.
     .check = check_password,
     .set = [](ServerState& s, std::string_view value) { s.options.password = value; }},
    {.name = "slowlog-log-slower-than",
     .kind = number,
     .least = -1,
     .most = most_of_all,
     .get = number_text<&ServerSettings::slow_micros>,
     .set = set_number<&ServerSettings::slow_micros>},
    {.name = "slowlog-max-len",
     .kind = number,
     .most = SlowLog::length_max,
     .get = number_text<&ServerSettings::slow_log_length>,
     .set =
         [](ServerState& s, std::string_view value) {
           s.settings.slow_log_length = *parse_integer(value);
           s.slow_log.set_length(static_cast<std::size_t>(s.settings.slow_log_length));
         }},
    {.name = "unixsocket", .kind = fixed, .get = [](const ServerState& s) { return s.options.unix_socket; }},
    {.name = "unixsocketperm",
     .kind = fixed,
     .get = [](const ServerState& s) { return fmt::format("{:o}", s.options.unix_socket_mode); }},
};

const LiveParameter* find_live(std::string_view name) {
  const auto found = std::find_if(std::begin(live), std::end(live), [&](const LiveParameter& one) {
    return equal_ignoring_case(one.name, name);
  });
  return found == std::end(live) ? nullptr : &*found;
}

const PlainParameter* find_plain(std::string_view name) {
  const auto all = plain_parameters();
  const auto found = std::find_if(
      all.begin(), all.end(), [&](const PlainParameter& one) { return equal_ignoring_case(one.name, name); });
  return found == all.end() ? nullptr : &*found;
}

std::optional<std::string> misfit(const ServerState& server, const LiveParameter& parameter,
                                  std::string_view value) {
  if (auto wrong = misfit_of(parameter.kind, value)) return wrong;
  if (parameter.kind == number) {
    const std::int64_t wanted = *parse_integer(value);
    if (wanted < parameter.least || wanted > parameter.most) {
      return fmt::format("argument must be between {} and {} inclusive", parameter.least, parameter.most);
    }
  }
  return parameter.check != nullptr ? parameter.check(server, value) : std::nullopt;
}

std::string failed(std::string_view name, std::string_view why) {
  return fmt::format("CONFIG SET failed (possibly related to argument '{}') - {}", name, why);
}

// What can be said before any value is looked at.
std::optional<std::string> check_names(const Parameters::Values& values) {
  std::set<std::string, std::less<>> seen;
  for (const auto& [name, value] : values) {
    const LiveParameter* parameter = find_live(name);
    const PlainParameter* plain = find_plain(name);
    if (parameter == nullptr && plain == nullptr) {
      return fmt::format("Unknown option or number of arguments for CONFIG SET - '{}'", name.substr(0, 128));
    }
    if ((parameter != nullptr ? parameter->kind : plain->kind) == fixed) {
      return failed(name, "can't set immutable config");
    }
    if (!seen.insert(lower_case(name)).second) return failed(name, "duplicate parameter");
  }
  return std::nullopt;
}

std::optional<std::string> check_values(const ServerState& server, const Parameters::Values& values) {
  for (const auto& [name, value] : values) {
    if (value.size() > Parameters::value_bytes_max) return failed(name, "argument is too long");
    const LiveParameter* parameter = find_live(name);
    const auto wrong =
        parameter != nullptr ? misfit(server, *parameter, value) : misfit_of(find_plain(name)->kind, value);
    if (wrong) return failed(name, *wrong);
  }
  return std::nullopt;
}

// As CONFIG GET shows it: bytes without a unit, words in lower case.
std::string plain_form(const PlainParameter& parameter, std::string_view value) {
  if (parameter.kind == memory) return std::to_string(*parse_memory(value));
  return parameter.kind == text ? std::string(value) : lower_case(value);
}

}  // namespace

Parameters::Values Parameters::matching(const ServerState& server,
                                        const std::vector<std::string>& patterns) const {
  std::map<std::string, std::string> found;
  const auto wanted = [&](std::string_view name) {
    return std::any_of(patterns.begin(), patterns.end(),
                       [&](const std::string& pattern) { return glob_matches(pattern, name); });
  };
  for (const PlainParameter& parameter : plain_parameters()) {
    if (!wanted(parameter.name)) continue;
    const auto changed = plain_.find(parameter.name);
    found.emplace(parameter.name, changed != plain_.end() ? changed->second : parameter.value);
  }
  for (const LiveParameter& parameter : live) {
    if (wanted(parameter.name)) found.emplace(parameter.name, parameter.get(server));
  }
  return {found.begin(), found.end()};
}

std::optional<std::string> Parameters::set(ServerState& server, const Values& values) {
  if (auto error = check_names(values)) return error;
  if (auto error = check_values(server, values)) return error;
  for (const auto& [name, value] : values) {
    if (const LiveParameter* parameter = find_live(name)) {
      parameter->set(server, value);
    } else {
      const PlainParameter* plain = find_plain(name);
      plain_.insert_or_assign(std::string(plain->name), plain_form(*plain, value));
    }
  }
  return std::nullopt;
}

void Parameters::set_initial(const Values& values) {
  for (const auto& [name, value] : values) plain_.insert_or_assign(name, value);
}

}  // namespace knit
