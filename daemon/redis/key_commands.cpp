// Keys, whatever they hold.
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "daemon/redis/call.h"
#include "daemon/redis/expire_time.h"
#include "daemon/redis/text.h"

namespace knit {

namespace {

constexpr std::size_t scan_rows_max =
    10'000;  // Looked at in one call, whatever COUNT says: a few milliseconds.

void del(Call& call) {
  std::int64_t removed = 0;
  for (std::size_t at = 1; at < call.size(); at++) {
    const auto existed = call.keyspace()->remove(call[at], call.now().wall);
    if (!existed) return call.reply.error(existed.error());
    removed += *existed ? 1 : 0;
  }
  call.reply.integer(removed);
}

void exists(Call& call) {
  std::int64_t count = 0;
  for (std::size_t at = 1; at < call.size(); at++) {
    const auto found = call.keyspace()->find(call[at], call.now().wall);
    if (!found) return call.reply.error(found.error());
    count += *found ? 1 : 0;
  }
  call.reply.integer(count);
}

void type(Call& call) {
  const auto found = call.keyspace()->find(call[1], call.now().wall);
  if (!found) return call.reply.error(found.error());
  call.reply.simple(*found ? "string" : "none");
}

struct ExpireConditions {
  bool if_never = false;    // NX: only a key that does not expire.
  bool if_expires = false;  // XX
  bool if_later = false;    // GT: never is later than any time.
  bool if_earlier = false;  // LT

  bool allow(Expiry current, Expiry wanted) const {
    return !(if_never && !current.never()) && !(if_expires && current.never()) &&
           !(if_later && wanted <= current) && !(if_earlier && wanted >= current);
  }
};

// Empty: the error is in the reply.
std::optional<ExpireConditions> parse_conditions(Call& call) {
  ExpireConditions conditions;
  for (std::size_t at = 3; at < call.size(); at++) {
    if (call.is(at, "nx")) {
      conditions.if_never = true;
    } else if (call.is(at, "xx")) {
      conditions.if_expires = true;
    } else if (call.is(at, "gt")) {
      conditions.if_later = true;
    } else if (call.is(at, "lt")) {
      conditions.if_earlier = true;
    } else {
      call.reply.error("ERR Unsupported option " + std::string(call[at].substr(0, 128)));
      return std::nullopt;
    }
  }
  if (conditions.if_never && (conditions.if_expires || conditions.if_later || conditions.if_earlier)) {
    call.reply.error("ERR NX and XX, GT or LT options at the same time are not compatible");
    return std::nullopt;
  }
  if (conditions.if_later && conditions.if_earlier) {
    call.reply.error("ERR GT and LT options at the same time are not compatible");
    return std::nullopt;
  }
  return conditions;
}

void expire_generic(Call& call, TimeUnit unit) {
  const auto conditions = parse_conditions(call);
  if (!conditions) return;
  const auto wanted = expiry_of(call, 2, unit);
  if (!wanted) return;
  const auto current = call.keyspace()->find(call[1], call.now().wall);
  if (!current) return call.reply.error(current.error());
  if (!*current || !conditions->allow(**current, *wanted)) return call.reply.integer(0);
  const auto existed = call.keyspace()->set_expiry(call[1], *wanted, call.now().wall);
  if (!existed) return call.reply.error(existed.error());
  call.reply.integer(*existed ? 1 : 0);
}

void expire(Call& call) { expire_generic(call, {.seconds = true, .relative = true}); }
void pexpire(Call& call) { expire_generic(call, {.seconds = false, .relative = true}); }
void expireat(Call& call) { expire_generic(call, {.seconds = true, .relative = false}); }
void pexpireat(Call& call) { expire_generic(call, {.seconds = false, .relative = false}); }

void ttl_generic(Call& call, std::uint64_t millis_per_unit) {
  const auto found = call.keyspace()->find(call[1], call.now().wall);
  if (!found) return call.reply.error(found.error());
  if (!*found) return call.reply.integer(-2);
  if ((*found)->never()) return call.reply.integer(-1);
  const std::uint64_t left = (*found)->millis - std::min((*found)->millis, call.now().wall.millis);
  call.reply.integer(static_cast<std::int64_t>((left + millis_per_unit / 2) / millis_per_unit));
}

void ttl(Call& call) { ttl_generic(call, 1000); }
void pttl(Call& call) { ttl_generic(call, 1); }

void expiretime_generic(Call& call, std::uint64_t millis_per_unit) {
  const auto found = call.keyspace()->find(call[1], call.now().wall);
  if (!found) return call.reply.error(found.error());
  if (!*found) return call.reply.integer(-2);
  if ((*found)->never()) return call.reply.integer(-1);
  call.reply.integer(static_cast<std::int64_t>(((*found)->millis + millis_per_unit / 2) / millis_per_unit));
}

void expiretime(Call& call) { expiretime_generic(call, 1000); }
void pexpiretime(Call& call) { expiretime_generic(call, 1); }

void persist(Call& call) {
  const auto found = call.keyspace()->find(call[1], call.now().wall);
  if (!found) return call.reply.error(found.error());
  if (!*found || (*found)->never()) return call.reply.integer(0);
  const auto existed = call.keyspace()->set_expiry(call[1], Expiry{}, call.now().wall);
  if (!existed) return call.reply.error(existed.error());
  call.reply.integer(*existed ? 1 : 0);
}

struct Scan {
  std::uint64_t cursor = 0;
  std::size_t rows = 10;
  std::optional<std::string> pattern;
  bool strings = true;  // False: a type is asked for that no key has.
};

// Answers whether the option at `at` is well formed; else the error is in the reply.
bool parse_scan_option(Call& call, std::size_t at, Scan& scan) {
  if (at + 1 == call.size()) {
    call.syntax_error();
    return false;
  }
  if (call.is(at, "match")) {
    scan.pattern = call[at + 1];
  } else if (call.is(at, "type")) {
    scan.strings = call.is(at + 1, "string");
  } else if (call.is(at, "count")) {
    const auto count = parse_integer(call[at + 1]);
    if (!count) {
      call.not_an_integer();
    } else if (*count < 1) {
      call.syntax_error();
    } else {
      scan.rows = static_cast<std::size_t>(std::min<std::int64_t>(*count, scan_rows_max));
    }
    return count && *count >= 1;
  } else {
    call.syntax_error();
    return false;
  }
  return true;
}

void scan(Call& call) {
  Scan scan;
  const auto cursor = parse_unsigned(call[1]);
  if (!cursor) return call.reply.error("ERR invalid cursor");
  for (std::size_t at = 2; at < call.size(); at += 2) {
    if (!parse_scan_option(call, at, scan)) return;
  }
  auto page = call.keyspace()->scan(*cursor, scan.rows, call.now().wall);
  if (!page) return call.reply.error(page.error());
  std::erase_if(page->keys, [&](const std::string& key) {
    return !scan.strings || (scan.pattern && !glob_matches(*scan.pattern, key));
  });
  call.reply.array(2);
  call.reply.bulk(std::to_string(page->next));
  call.reply.array(page->keys.size());
  for (const std::string& key : page->keys) call.bulk(key);
}

using namespace command_flag;
constexpr std::string_view group = "generic";

constexpr Command table[] = {
    {"del", -2, write, 1, -1, 1, group, "key [key ...]", "Deletes keys.", del},
    {"exists", -2, readonly | fast, 1, -1, 1, group, "key [key ...]", "Counts the keys that exist.", exists},
    {"expire", -3, write | fast, 1, 1, 1, group, "key seconds [NX | XX | GT | LT]",
     "Sets the expiry of a key, in seconds from now.", expire},
    {"expireat", -3, write | fast, 1, 1, 1, group, "key unix-time-seconds [NX | XX | GT | LT]",
     "Sets the expiry of a key, in seconds since 1970.", expireat},
    {"expiretime", 2, readonly | fast, 1, 1, 1, group, "key",
     "Returns when a key expires, in seconds since 1970.", expiretime},
    {"persist", 2, write | fast, 1, 1, 1, group, "key", "Removes the expiry of a key.", persist},
    {"pexpire", -3, write | fast, 1, 1, 1, group, "key milliseconds [NX | XX | GT | LT]",
     "Sets the expiry of a key, in milliseconds from now.", pexpire},
    {"pexpireat", -3, write | fast, 1, 1, 1, group, "key unix-time-milliseconds [NX | XX | GT | LT]",
     "Sets the expiry of a key, in milliseconds since 1970.", pexpireat},
    {"pexpiretime", 2, readonly | fast, 1, 1, 1, group, "key",
     "Returns when a key expires, in milliseconds since 1970.", pexpiretime},
    {"pttl", 2, readonly | fast, 1, 1, 1, group, "key", "Returns how long a key lives, in milliseconds.",
     pttl},
    {"scan", -2, readonly, 0, 0, 0, group, "cursor [MATCH pattern] [COUNT count] [TYPE type]",
     "Walks over the keys, a page a call.", scan},
    {"touch", -2, readonly | fast, 1, -1, 1, group, "key [key ...]", "Counts the keys that exist.", exists},
    {"ttl", 2, readonly | fast, 1, 1, 1, group, "key", "Returns how long a key lives, in seconds.", ttl},
    {"type", 2, readonly | fast, 1, 1, 1, group, "key", "Returns the type of the value of a key.", type},
    {"unlink", -2, write | fast, 1, -1, 1, group, "key [key ...]", "Deletes keys, as DEL does.", del},
};

}  // namespace

std::span<const Command> key_commands() { return table; }

}  // namespace knit
