// What values are made of, as Redis would tell it, and what memory there is.
#include <malloc.h>
#include <uv.h>

#include <string>

#include "crdt/row_key.h"
#include "daemon/redis/arguments.h"
#include "daemon/redis/call.h"
#include "daemon/redis/help.h"
#include "daemon/redis/text.h"

namespace knit {

namespace {

constexpr std::size_t embedded_bytes_max = 44;   // Of strings that Redis keeps beside their header.
constexpr std::size_t row_overhead_bytes = 150;  // Row key, dot, stamp, checksum, and what LMDB adds.

// Answers whether the key exists; else the reply is made.
bool answer_absent(Call& call, std::size_t at) {
  const auto found = call.keyspace()->find(call[at], call.now().wall);
  if (found && *found) return true;
  if (found) {
    call.reply.null();
  } else {
    call.reply.error(found.error());
  }
  return false;
}

std::string_view encoding_of(std::string_view value) {
  if (value.size() <= 20 && parse_integer(value)) return "int";
  return value.size() <= embedded_bytes_max ? "embstr" : "raw";
}

void object_encoding(Call& call) {
  const auto found = call.keyspace()->get(call[2], call.now().wall);
  if (!found) return call.reply.error(found.error());
  if (!*found) return call.reply.null();
  call.reply.bulk(encoding_of((*found)->value));
}

void object_freq(Call& call) {
  if (!answer_absent(call, 2)) return;
  call.reply.error(
      "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when "
      "switching between policies at runtime LRU and LFU data will take some time to adjust.");
}

void object_idletime(Call& call) {
  if (answer_absent(call, 2)) call.reply.integer(0);
}

void object_refcount(Call& call) {
  if (answer_absent(call, 2)) call.reply.integer(1);
}

// Answers whether the options are well formed; else the error is in the reply. A string has no samples.
bool parse_usage(Call& call) {
  for (std::size_t at = 3; at < call.size(); at += 2) {
    if (!call.is(at, "samples") || at + 1 == call.size()) {
      call.syntax_error();
      return false;
    }
    const auto samples = integer_argument(call, at + 1);
    if (!samples) return false;
    if (*samples < 0) {
      call.syntax_error();
      return false;
    }
  }
  return true;
}

void memory_usage(Call& call) {
  if (!parse_usage(call)) return;
  const auto found = call.keyspace()->get(call[2], call.now().wall);
  if (!found) return call.reply.error(found.error());
  if (!*found) return call.reply.null();
  call.reply.integer(static_cast<std::int64_t>(call[2].size() + (*found)->value.size() + row_overhead_bytes));
}

void memory_doctor(Call& call) {
  const Store& store = call.node().store();
  if (!store.has_space()) return call.reply.verbatim("Writes are refused: the disk or the map is full.\n");
  if (call.server().under_pressure()) {
    return call.reply.verbatim(
        "Commands wait: more is pending than the disk takes (store.pending_bytes_max).\n");
  }
  call.reply.verbatim("Nothing is wrong. Rows live on disk; memory holds the tree and what is pending.\n");
}

void memory_malloc_stats(Call& call) { call.reply.verbatim("Stats not supported for the current allocator"); }

void memory_purge(Call& call) {
  malloc_trim(0);
  call.reply.ok();
}

void memory_stats(Call& call) {
  const Store& store = call.node().store();
  std::size_t resident = 0;
  uv_resident_set_memory(&resident);
  std::size_t clients = 0;
  for (const auto& [id, session] : call.server().sessions) clients += session->memory_bytes();
  const std::uint64_t keys = call.keyspace()->size(call.now().wall);
  MapReply map(call.reply.protocol());
  map.count("peak.allocated", call.server().peak_memory());
  map.count("total.allocated", resident);
  map.count("replication.backlog", 0);
  map.count("clients.slaves", 0);
  map.count("clients.normal", clients);
  map.count("aof.buffer", store.pending_bytes());
  map.count("overhead.total", store.tree().memory_bytes() + store.pending_bytes() + clients);
  map.count("keys.count", keys);
  map.count("keys.bytes-per-key", keys == 0 ? 0 : store.bytes_on_disk() / keys);
  map.count("dataset.bytes", store.bytes_on_disk());
  map.count("knit.tree", store.tree().memory_bytes());
  map.count("knit.pending", store.pending_bytes());
  map.write_to(call.reply);
}

using namespace command_flag;
constexpr std::uint32_t anytime = loading | stale;

constexpr Command table[] = {
    {"memory", -2, container, 0, 0, 0, "server", "", "A container for commands about memory.", nullptr},
    {"memory|doctor", 2, 0, 0, 0, 0, "server", "", "Says what is wrong, in words.", memory_doctor},
    {"memory|help", 2, anytime, 0, 0, 0, "server", "", "Lists these subcommands.", container_help},
    {"memory|malloc-stats", 2, 0, 0, 0, 0, "server", "", "The allocator has none.", memory_malloc_stats},
    {"memory|purge", 2, 0, 0, 0, 0, "server", "", "Gives free memory back to the system.", memory_purge},
    {"memory|stats", 2, 0, 0, 0, 0, "server", "", "Shows where memory went.", memory_stats},
    {"memory|usage", -3, readonly, 2, 2, 1, "server", "key [SAMPLES count]",
     "Estimates the bytes that a key takes on disk.", memory_usage},
    {"object", -2, container, 0, 0, 0, "generic", "", "A container for commands about the form of values.",
     nullptr},
    {"object|encoding", 3, readonly, 2, 2, 1, "generic", "key", "Returns how Redis would hold the value.",
     object_encoding},
    {"object|freq", 3, readonly, 2, 2, 1, "generic", "key", "An error: use of keys is not counted.",
     object_freq},
    {"object|help", 2, anytime, 0, 0, 0, "generic", "", "Lists these subcommands.", container_help},
    {"object|idletime", 3, readonly, 2, 2, 1, "generic", "key", "0: use of keys is not noted.",
     object_idletime},
    {"object|refcount", 3, readonly, 2, 2, 1, "generic", "key", "1: values are not shared.", object_refcount},
};

}  // namespace

std::span<const Command> object_commands() { return table; }

}  // namespace knit
