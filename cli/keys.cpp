// `knit get`, `set`, `del`, `siblings`: single keys.
#include <fmt/format.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <iostream>
#include <iterator>

#include "cli/command.h"
#include "cli/text.h"

namespace knit {
namespace {

constexpr double ttl_seconds_max = 1e11;  // Three thousand years; a Redis expiry holds it in milliseconds.

Error no_such_key(const std::string& key) {
  return {ErrorCode::not_found, fmt::format("there is no key {}", escaped(key, 200))};
}

void write_raw(const std::string& value) {
  std::fwrite(value.data(), 1, value.size(), stdout);
  if (isatty(STDOUT_FILENO) != 0) {
    std::fputc('\n', stdout);
  }
}

Result<ExitCode> run_get(const Arguments& arguments) {
  const auto reply = ask_once(arguments, {"GET", arguments.key}, Connection::endless_patience);
  if (!reply) {
    return tl::unexpected(reply.error());
  }
  const auto* value = std::get_if<std::string>(&reply->value);
  if (value == nullptr) {
    return tl::unexpected(no_such_key(arguments.key));
  }
  if (arguments.json) {
    fmt::print("{}\n", printed(Json{{"key", arguments.key}, {"value", *value}}));
  } else {
    write_raw(*value);
  }
  return ExitCode::fine;
}

std::string value_to_set(const std::string& argument) {
  return argument == "-" ? std::string(std::istreambuf_iterator<char>(std::cin), {}) : argument;
}

Result<ExitCode> run_set(const Arguments& arguments) {
  Connection::Arguments question{"SET", arguments.key, value_to_set(arguments.value)};
  if (arguments.ttl_seconds > 0) {
    question.emplace_back("PX");
    question.push_back(std::to_string(std::llround(arguments.ttl_seconds * 1000)));
  }
  const auto reply = ask_once(arguments, question, Connection::endless_patience);
  if (!reply) {
    return tl::unexpected(reply.error());
  }
  fmt::print("{}\n", arguments.json ? printed(Json{{"key", arguments.key}, {"set", true}}) : "OK");
  return ExitCode::fine;
}

Result<ExitCode> run_delete(const Arguments& arguments) {
  Connection::Arguments question{"DEL"};
  question.insert(question.end(), arguments.keys.begin(), arguments.keys.end());
  const auto reply = ask_once(arguments, question);
  if (!reply) {
    return tl::unexpected(reply.error());
  }
  const auto* deleted = std::get_if<std::int64_t>(&reply->value);
  const std::int64_t count = deleted == nullptr ? 0 : *deleted;
  if (arguments.json) {
    fmt::print("{}\n", printed(Json{{"deleted", count}}));
  } else {
    fmt::print("{} of {} deleted\n", count, arguments.keys.size());
  }
  return count > 0 ? ExitCode::fine : ExitCode::differs;
}

std::string expiry_text(const Json& sibling) {
  const std::int64_t expires = number_of(sibling, "expires_ms");
  return expires < 0 ? "never" : utc_text(expires);
}

std::string content_text(const Json& sibling) {
  const std::string state = text_of(sibling, "state");
  return state == "value" ? escaped(text_of(sibling, "value"), 60) : "(" + escaped(state) + ")";
}

Table sibling_table(const Json& siblings) {
  Table table({"READ AS", "WRITTEN (UTC)", "EXPIRES (UTC)", "DOT", "VALUE"});
  for (const Json& sibling : siblings) {
    table.add(
        {flag_of(sibling, "winner") ? "winner" : "lost",
         fmt::format("{}+{}", utc_text(number_of(sibling, "stamp_ms")), number_of(sibling, "stamp_counter")),
         expiry_text(sibling), escaped(text_of(sibling, "dot"), 60), content_text(sibling)});
  }
  return table;
}

Result<ExitCode> run_siblings(const Arguments& arguments) {
  const auto reply = ask_once(arguments, {"KNIT", "SIBLINGS", arguments.key}, Connection::endless_patience);
  if (!reply) {
    return tl::unexpected(reply.error());
  }
  const Json found = map_document(*reply);
  const Json& siblings = list_of(found, "siblings");
  if (arguments.json) {
    fmt::print("{}\n", printed(found));
  } else if (!siblings.empty()) {
    fmt::print("{}", sibling_table(siblings).text());
  }
  if (siblings.empty()) {
    return tl::unexpected(no_such_key(arguments.key));
  }
  return ExitCode::fine;
}

}  // namespace

void add_keys(CLI::App& app, Command& command) {
  Arguments& arguments = command.arguments;
  CLI::App* get = add_verb(app, command, "get", "the value of a key, byte for byte", run_get);
  get->add_option("KEY", arguments.key)->required();

  CLI::App* set = add_verb(app, command, "set", "give a key a value", run_set);
  set->add_option("KEY", arguments.key)->required();
  set->add_option("VALUE", arguments.value, "the value; - reads it from standard input")->required();
  set->add_option("--ttl", arguments.ttl_seconds, "expire after so many seconds")
      ->check(CLI::Range(0.001, ttl_seconds_max));

  CLI::App* remove = add_verb(app, command, "del", "delete keys", run_delete);
  remove->add_option("KEY", arguments.keys)->required();

  CLI::App* siblings =
      add_verb(app, command, "siblings", "all concurrent values of a key, the winner first", run_siblings);
  siblings->add_option("KEY", arguments.key)->required();
}

}  // namespace knit
