// Keys that get another name, or a copy under one. To rename is to write the new key and then to delete the
// old one: an error between the two leaves both, and a peer may see the one before the other.
#include <optional>
#include <string>
#include <utility>

#include "daemon/redis/arguments.h"
#include "daemon/redis/call.h"
#include "daemon/redis/text.h"

namespace knit {

namespace {

struct Source {
  std::string value;
  Expiry expiry;
};

// Empty: there is no such key, or the error is in the reply.
std::optional<Source> read_source(Call& call, bool& failed) {
  const auto found = call.keyspace()->get(call[1], call.now().wall);
  failed = !found;
  if (failed) call.reply.error(found.error());
  if (failed || !*found) return std::nullopt;
  return Source{std::string((*found)->value), (*found)->expiry};
}

// Whether the value was written: not if the target exists and must not. Empty: the error is in the reply.
std::optional<bool> write_target(Call& call, Source source, bool replace) {
  using Condition = SetOptions::Condition;
  const SetOptions options{.condition = replace ? Condition::always : Condition::if_absent,
                           .expiry = source.expiry};
  const auto outcome = call.keyspace()->set(call[2], std::move(source.value), options, call.now().wall);
  if (outcome) return outcome->written;
  call.reply.error(outcome.error());
  return std::nullopt;
}

// Whether it was renamed; empty: the error is in the reply.
std::optional<bool> rename_key(Call& call, bool replace) {
  bool failed = false;
  auto source = read_source(call, failed);
  if (failed) return std::nullopt;
  if (!source) {
    call.reply.error("ERR no such key");
    return std::nullopt;
  }
  if (call[1] == call[2]) return replace;
  const auto written = write_target(call, std::move(*source), replace);
  if (!written || !*written) return written;
  const auto removed = call.keyspace()->remove(call[1], call.now().wall);
  if (removed) return true;
  call.reply.error(removed.error());
  return std::nullopt;
}

void rename(Call& call) {
  if (rename_key(call, true)) call.reply.ok();
}

void renamenx(Call& call) {
  if (const auto renamed = rename_key(call, false)) call.reply.integer(*renamed ? 1 : 0);
}

// Answers whether the options are well formed; else the error is in the reply.
bool parse_copy(Call& call, bool& replace) {
  for (std::size_t at = 3; at < call.size(); at++) {
    if (call.is(at, "replace")) {
      replace = true;
    } else if (call.is(at, "db") && at + 1 < call.size()) {
      if (!is_only_database(call, ++at)) return false;
    } else {
      call.syntax_error();
      return false;
    }
  }
  return true;
}

void copy(Call& call) {
  bool replace = false;
  if (!parse_copy(call, replace)) return;
  if (call[1] == call[2]) return call.reply.error("ERR source and destination objects are the same");
  bool failed = false;
  auto source = read_source(call, failed);
  if (failed) return;
  if (!source) return call.reply.integer(0);
  const auto written = write_target(call, std::move(*source), replace);
  if (written) call.reply.integer(*written ? 1 : 0);
}

// There is no other database to move to.
void move(Call& call) {
  if (is_only_database(call, 2)) call.reply.error("ERR source and destination objects are the same");
}

void swapdb(Call& call) {
  for (const std::size_t at : {std::size_t{1}, std::size_t{2}}) {
    if (parse_integer(call[at])) continue;
    return call.reply.error(at == 1 ? "ERR invalid first DB index" : "ERR invalid second DB index");
  }
  if (*parse_integer(call[1]) != 0 || *parse_integer(call[2]) != 0) {
    return call.reply.error("ERR DB index is out of range");
  }
  call.reply.ok();
}

using namespace command_flag;
constexpr std::string_view group = "generic";

constexpr Command table[] = {
    {"copy", -3, write | denyoom, 1, 2, 1, group, "source destination [DB destination-db] [REPLACE]",
     "Copies the value of a key, with its expiry, to another key.", copy},
    {"move", 3, write | fast, 1, 1, 1, group, "key db", "An error always: there is only database 0.", move},
    {"rename", 3, write, 1, 2, 1, group, "key newkey", "Renames a key, whatever the new name held.", rename},
    {"renamenx", 3, write | fast, 1, 2, 1, group, "key newkey",
     "Renames a key if the new name does not exist on this node.", renamenx},
    {"swapdb", 3, write | fast, 0, 0, 0, "server", "index1 index2", "Does nothing: there is only database 0.",
     swapdb},
};

}  // namespace

std::span<const Command> copy_commands() { return table; }

}  // namespace knit
