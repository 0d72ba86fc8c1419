#include "daemon/redis/parameter_table.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "daemon/redis/text.h"

namespace knit {

namespace {

using namespace parameter_kind;

constexpr PlainParameter table[] = {
    {"acllog-max-len", "128", number},
    {"active-defrag-cycle-max", "25", number},
    {"active-defrag-cycle-min", "1", number},
    {"active-defrag-ignore-bytes", "104857600", memory},
    {"active-defrag-max-scan-fields", "1000", number},
    {"active-defrag-threshold-lower", "10", number},
    {"active-defrag-threshold-upper", "100", number},
    {"active-expire-effort", "1", number},
    {"activedefrag", "no", flag},
    {"activerehashing", "yes", flag},
    {"aof-disable-auto-gc", "no", flag},
    {"aof-load-truncated", "yes", flag},
    {"aof-rewrite-incremental-fsync", "yes", flag},
    {"aof-timestamp-enabled", "no", flag},
    {"aof-use-rdb-preamble", "yes", flag},
    {"appenddirname", "appendonlydir", fixed},
    {"appendfilename", "appendonly.aof", fixed},
    {"appendfsync", "everysec", "everysec|always|no"},
    {"appendonly", "no", flag},
    {"auto-aof-rewrite-min-size", "67108864", memory},
    {"auto-aof-rewrite-percentage", "100", number},
    {"bind-source-addr", "", text},
    {"busy-reply-threshold", "5000", number},
    {"client-query-buffer-limit", "1073741824", memory},
    {"cluster-enabled", "no", fixed},
    {"crash-log-enabled", "yes", flag},
    {"crash-memcheck-enabled", "yes", flag},
    {"daemonize", "no", fixed},
    {"dbfilename", "dump.rdb", fixed},
    {"dir", "", fixed},
    {"disable-thp", "yes", fixed},
    {"dynamic-hz", "yes", flag},
    {"enable-module-command", "no", fixed},
    {"enable-protected-configs", "no", fixed},
    {"hash-max-listpack-entries", "512", number},
    {"hash-max-listpack-value", "64", memory},
    {"hash-max-ziplist-entries", "512", number},
    {"hash-max-ziplist-value", "64", memory},
    {"hll-sparse-max-bytes", "3000", memory},
    {"hz", "10", number},
    {"io-threads", "1", fixed},
    {"io-threads-do-reads", "no", fixed},
    {"latency-tracking-info-percentiles", "50 99 99.9", text},
    {"lazyfree-lazy-eviction", "no", flag},
    {"lazyfree-lazy-expire", "no", flag},
    {"lazyfree-lazy-server-del", "no", flag},
    {"lazyfree-lazy-user-del", "no", flag},
    {"lazyfree-lazy-user-flush", "no", flag},
    {"lfu-decay-time", "1", number},
    {"lfu-log-factor", "10", number},
    {"list-compress-depth", "0", number},
    {"list-max-listpack-size", "-2", number},
    {"list-max-ziplist-size", "-2", number},
    {"logfile", "", fixed},
    {"lua-time-limit", "5000", number},
    {"maxmemory", "0", memory},
    {"maxmemory-clients", "0", memory},
    {"maxmemory-eviction-tenacity", "10", number},
    {"maxmemory-policy", "noeviction",
     "volatile-lru|volatile-lfu|volatile-random|volatile-ttl|allkeys-lru|allkeys-lfu|allkeys-random|"
     "noeviction"},
    {"maxmemory-samples", "5", number},
    {"min-replicas-max-lag", "10", number},
    {"min-replicas-to-write", "0", number},
    {"min-slaves-max-lag", "10", number},
    {"min-slaves-to-write", "0", number},
    {"no-appendfsync-on-rewrite", "no", flag},
    {"notify-keyspace-events", "", text},
    {"oom-score-adj", "no", "no|yes|relative|absolute"},
    {"oom-score-adj-values", "0 200 800", text},
    {"pidfile", "", fixed},
    {"proc-title-template", "{title} {listen-addr} {server-mode}", text},
    {"propagation-error-behavior", "ignore", "ignore|panic|panic-on-replicas"},
    {"rdb-del-sync-files", "no", flag},
    {"rdb-save-incremental-fsync", "yes", flag},
    {"rdbchecksum", "yes", fixed},
    {"rdbcompression", "yes", flag},
    {"repl-backlog-size", "1048576", memory},
    {"repl-backlog-ttl", "3600", number},
    {"repl-disable-tcp-nodelay", "no", flag},
    {"repl-diskless-load", "disabled", "disabled|on-empty-db|swapdb"},
    {"repl-diskless-sync", "yes", flag},
    {"repl-diskless-sync-delay", "5", number},
    {"repl-diskless-sync-max-replicas", "0", number},
    {"repl-ping-replica-period", "10", number},
    {"repl-ping-slave-period", "10", number},
    {"repl-timeout", "60", number},
    {"replica-announce-ip", "", text},
    {"replica-announce-port", "0", number},
    {"replica-announced", "yes", flag},
    {"replica-ignore-disk-write-errors", "no", flag},
    {"replica-ignore-maxmemory", "yes", flag},
    {"replica-lazy-flush", "no", flag},
    {"replica-priority", "100", number},
    {"replica-read-only", "yes", flag},
    {"replica-serve-stale-data", "yes", flag},
    {"replicaof", "", fixed},
    {"sanitize-dump-payload", "no", "no|yes|clients"},
    {"save", "", text},
    {"set-max-intset-entries", "512", number},
    {"set-proc-title", "yes", fixed},
    {"shutdown-on-sigint", "default", "default|save|nosave|now|force"},
    {"shutdown-on-sigterm", "default", "default|save|nosave|now|force"},
    {"shutdown-timeout", "10", number},
    {"slave-announce-ip", "", text},
    {"slave-announce-port", "0", number},
    {"slave-ignore-maxmemory", "yes", flag},
    {"slave-lazy-flush", "no", flag},
    {"slave-priority", "100", number},
    {"slave-read-only", "yes", flag},
    {"slave-serve-stale-data", "yes", flag},
    {"slaveof", "", fixed},
    {"stop-writes-on-bgsave-error", "yes", flag},
    {"stream-node-max-bytes", "4096", memory},
    {"stream-node-max-entries", "100", number},
    {"supervised", "no", fixed},
    {"syslog-enabled", "no", fixed},
    {"syslog-facility", "local0", fixed},
    {"syslog-ident", "redis", fixed},
    {"tcp-keepalive", "300", number},
    {"timeout", "0", number},
    {"tracking-table-max-keys", "1000000", number},
    {"zset-max-listpack-entries", "128", number},
    {"zset-max-listpack-value", "64", memory},
    {"zset-max-ziplist-entries", "128", number},
    {"zset-max-ziplist-value", "64", memory},
};

std::vector<std::string_view> words_of(std::string_view kind) {
  std::vector<std::string_view> words;
  for (std::size_t start = 0; start <= kind.size();) {
    const std::size_t end = std::min(kind.find('|', start), kind.size());
    words.push_back(kind.substr(start, end - start));
    start = end + 1;
  }
  return words;
}

std::optional<std::string> misfit_word(std::string_view kind, std::string_view value) {
  std::string list;
  for (const std::string_view word : words_of(kind)) {
    if (equal_ignoring_case(word, value)) return std::nullopt;
    list += (list.empty() ? "" : ", ") + std::string(word);
  }
  return "argument(s) must be one of the following: " + list;
}

}  // namespace

std::span<const PlainParameter> plain_parameters() { return table; }

std::optional<std::uint64_t> parse_memory(std::string_view amount) {
  constexpr std::pair<std::string_view, std::uint64_t> units[] = {
      {"", 1},          {"b", 1},        {"k", 1000},          {"kb", 1 << 10},
      {"m", 1'000'000}, {"mb", 1 << 20}, {"g", 1'000'000'000}, {"gb", 1 << 30}};
  const std::size_t digits = std::min(amount.find_first_not_of("0123456789"), amount.size());
  const auto count = parse_unsigned(amount.substr(0, digits));
  if (!count) return std::nullopt;
  for (const auto& [unit, bytes] : units) {
    if (!equal_ignoring_case(unit, amount.substr(digits))) continue;
    std::uint64_t product = 0;
    if (__builtin_mul_overflow(*count, bytes, &product)) return std::nullopt;
    return product;
  }
  return std::nullopt;
}

std::optional<std::string> misfit_of(std::string_view kind, std::string_view value) {
  if (kind == fixed) return "can't set immutable config";
  if (kind == text) return std::nullopt;
  if (kind == flag && misfit_word(kind, value)) return "argument must be 'yes' or 'no'";
  if (kind == flag) return std::nullopt;
  if (kind == number && !parse_integer(value)) return "argument couldn't be parsed into an integer";
  if (kind == memory && !parse_memory(value)) return "argument must be a memory value";
  if (kind == number || kind == memory) return std::nullopt;
  return misfit_word(kind, value);
}

}  // namespace knit
