// Reads that ask more than this node.
#include <optional>
#include <string>

#include "daemon/redis/call.h"
#include "daemon/redis/text.h"

namespace knit {

namespace {

// QUORUM's argument, of so many replicas in all. Empty: it was answered with an error.
std::optional<std::size_t> quorum_argument(Call& call, std::size_t at, std::size_t all) {
  if (call.is(at, "all")) return all;
  if (call.is(at, "majority")) return all / 2 + 1;
  const auto number = parse_unsigned(call[at]);
  if (!number || *number == 0) {
    call.reply.error("ERR QUORUM takes a number of replicas, MAJORITY or ALL");
    return std::nullopt;
  }
  if (*number > all) {
    call.reply.error("NOQUORUM there are only " + std::to_string(all) + " replicas");
    return std::nullopt;
  }
  return *number;
}

void answer(Call& call) {
  const auto found = call.keyspace()->get(call[2], call.now().wall);
  if (!found) return call.reply.error(found.error());
  if (!*found) return call.reply.null();
  call.bulk((*found)->value);
}

// KNIT GET key [QUORUM n]: the newest value that n replicas have.
void get(Call& call) {
  if (const JobDone* read = call.fetched()) {
    if (!read->error.empty()) return call.reply.error("NOQUORUM " + read->error);
    return answer(call);
  }
  if (call.size() == 3) return answer(call);
  if (call.size() != 5 || !call.is(3, "quorum")) return call.syntax_error();
  const auto replicas = quorum_argument(call, 4, call.node().replicas());
  if (!replicas) return;
  if (*replicas == 1) return answer(call);
  if (call.server().stopping) return call.reply.error("NOQUORUM " + std::string(daemon_stops));
  Outbox out;
  const auto job = call.node().start_read({call[2]}, *replicas - 1, Node::ReadFrom::nearest, call.now(), out);
  if (!job) return call.reply.error("NOQUORUM " + job.error().message);
  call.fetch_first(*job);
  call.server().hooks.deliver(out);
}

using namespace command_flag;

constexpr Command table[] = {
    {"knit|get", -3, readonly | stale, 2, 2, 1, "knit", "key [QUORUM <count | MAJORITY | ALL>]",
     "Reads a key from so many replicas, this node included, and mends those that are behind.", get},
};

}  // namespace

std::span<const Command> read_commands() { return table; }

}  // namespace knit
