// Concurrent writes: what met here, what a key holds beside what it shows, and what an application makes of
// that.
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "daemon/redis/arguments.h"
#include "daemon/redis/call.h"
#include "daemon/redis/knit_commands.h"
#include "daemon/redis/text.h"

namespace knit {

namespace {

constexpr std::size_t conflicts_listed = 20;

void conflicts(Call& call) {
  std::size_t limit = conflicts_listed;
  if (call.size() != 2) {
    if (call.size() != 4 || !call.is(2, "limit")) return call.syntax_error();
    const auto number = parse_unsigned(call[3]);
    if (!number) return call.not_an_integer();
    limit = *number;
  }
  write_conflicts(call.reply, call.node().store().conflicts(), limit);
}

void siblings(Call& call) {
  const auto found = call.keyspace()->siblings(call[2]);
  if (!found) return call.reply.error(found.error());
  write_siblings(call.reply, call[2], *found);
}

// actor:sequence,... as SIBLINGS shows it; empty: nothing was seen.
std::optional<std::vector<Dot>> parse_dots(std::string_view text) {
  std::vector<Dot> dots;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(','), text.size());
    const auto dot = parse_dot(text.substr(0, end));
    const bool ends_in_comma = end + 1 == text.size();
    if (!dot || ends_in_comma || dots.size() == siblings_max) return std::nullopt;
    dots.push_back(*dot);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return dots;
}

void resolve(Call& call) {
  const auto dots = parse_dots(call[3]);
  if (!dots) return call.reply.error("ERR expected the context that KNIT SIBLINGS showed");
  const auto resolved = call.keyspace()->resolve(call[2], *dots, call.take(4), call.now().wall);
  if (!resolved) return call.reply.error(resolved.error());
  call.reply.ok();
}

using namespace command_flag;
constexpr std::string_view group = "knit";

constexpr Command table[] = {
    {"knit|conflicts", -2, loading | stale, 0, 0, 0, group, "[LIMIT count]",
     "Counts the concurrent writes that met on this node, and lists the last of them.", conflicts},
    {"knit|resolve", 5, write | denyoom, 2, 2, 1, group, "key context value",
     "Writes a value in place of the siblings that the context names.", resolve},
    {"knit|siblings", 3, readonly, 2, 2, 1, group, "key",
     "Lists the concurrent values of a key, the winner first.", siblings},
};

}  // namespace

std::span<const Command> conflict_commands() { return table; }

}  // namespace knit
