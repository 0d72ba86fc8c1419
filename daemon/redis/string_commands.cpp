// Whole values.
#include "daemon/redis/call.h"
#include "daemon/redis/expire_time.h"
#include "daemon/redis/text.h"

namespace knit {

namespace {

void answer_found(Call& call, Result<std::optional<Keyspace::Found>> found) {
  if (!found) return call.reply.error(found.error());
  ServerStatistics& statistics = call.server().statistics;
  (*found ? statistics.hits : statistics.misses)++;
  if (!*found) return call.reply.null();
  call.bulk((*found)->value);
}

void get(Call& call) { answer_found(call, call.keyspace()->get(call[1], call.now().wall)); }

// One that cannot be read is a null among the others: a client expects an array.
void mget(Call& call) {
  call.reply.array(call.size() - 1);
  for (std::size_t at = 1; at < call.size() && !call.overflown(); at++) {
    auto found = call.keyspace()->get(call[at], call.now().wall);
    if (!found) {
      call.reply.error(found.error());
    } else {
      answer_found(call, std::move(found));
    }
  }
}

struct Set {
  SetOptions options;
  std::optional<TimeUnit> unit;  // Of the expiry.
  std::size_t expiry_at = 0;     // Its position.
};

bool parse_condition(Call& call, std::size_t at, SetOptions& options) {
  using Condition = SetOptions::Condition;
  const Condition condition = call.is(at, "nx") ? Condition::if_absent : Condition::if_present;
  if (options.condition != Condition::always && options.condition != condition) return false;
  options.condition = condition;
  return true;
}

// Answers how many arguments the option took, 0 if it is a syntax error.
std::size_t parse_option(Call& call, std::size_t at, Set& set) {
  if (call.is(at, "nx") || call.is(at, "xx")) return parse_condition(call, at, set.options) ? 1 : 0;
  if (call.is(at, "get")) {
    set.options.want_old = true;
    return 1;
  }
  if (call.is(at, "keepttl")) {
    if (set.unit) return 0;
    set.options.keep_expiry = true;
    return 1;
  }
  const auto unit = time_unit(call[at]);
  if (!unit || set.unit || set.options.keep_expiry || at + 1 == call.size()) return 0;
  set.unit = unit;
  set.expiry_at = at + 1;
  return 2;
}

// Answers whether the options are well formed; else the error is in the reply.
bool parse_set(Call& call, Set& set) {
  for (std::size_t at = 3; at < call.size();) {
    const std::size_t taken = parse_option(call, at, set);
    if (taken == 0) {
      call.syntax_error();
      return false;
    }
    at += taken;
  }
  if (!set.unit) return true;
  const auto expiry = positive_expiry(call, set.expiry_at, *set.unit);
  if (expiry) set.options.expiry = *expiry;
  return expiry.has_value();
}

void set(Call& call) {
  Set set;
  if (!parse_set(call, set)) return;
  auto outcome = call.keyspace()->set(call[1], call.take(2), set.options, call.now().wall);
  if (!outcome) return call.reply.error(outcome.error());
  if (set.options.want_old) {
    if (!outcome->old) return call.reply.null();
    return call.bulk(*outcome->old);
  }
  if (!outcome->written) return call.reply.null();
  call.reply.ok();
}

// Each key is a write of its own: an error in the middle leaves those before it written. What can
// be seen to fail is seen before the first.
void mset(Call& call) {
  if (call.size() % 2 == 0) return call.reply.error("ERR wrong number of arguments for 'mset' command");
  for (std::size_t at = 1; at < call.size(); at += 2) {
    if (call[at].size() > key_bytes_max) return call.reply.error("ERR a key is too long");
  }
  for (std::size_t at = 1; at < call.size(); at += 2) {
    const auto outcome = call.keyspace()->set(call[at], call.take(at + 1), {}, call.now().wall);
    if (!outcome) return call.reply.error(outcome.error());
  }
  call.reply.ok();
}

void setnx(Call& call) {
  const SetOptions options{.condition = SetOptions::Condition::if_absent};
  const auto outcome = call.keyspace()->set(call[1], call.take(2), options, call.now().wall);
  if (!outcome) return call.reply.error(outcome.error());
  call.reply.integer(outcome->written ? 1 : 0);
}

// Not one decision among hosts: two that call it at once may both be told that they set the keys.
void msetnx(Call& call) {
  if (call.size() % 2 == 0) return call.reply.error("ERR wrong number of arguments for 'msetnx' command");
  for (std::size_t at = 1; at < call.size(); at += 2) {
    const auto found = call.keyspace()->find(call[at], call.now().wall);
    if (!found) return call.reply.error(found.error());
    if (*found) return call.reply.integer(0);
  }
  for (std::size_t at = 1; at < call.size(); at += 2) {
    const auto outcome = call.keyspace()->set(call[at], call.take(at + 1), {}, call.now().wall);
    if (!outcome) return call.reply.error(outcome.error());
  }
  call.reply.integer(1);
}

void set_expiring(Call& call, TimeUnit unit) {
  const auto expiry = positive_expiry(call, 2, unit);
  if (!expiry) return;
  const auto outcome = call.keyspace()->set(call[1], call.take(3), {.expiry = *expiry}, call.now().wall);
  if (!outcome) return call.reply.error(outcome.error());
  call.reply.ok();
}

void setex(Call& call) { set_expiring(call, {.seconds = true, .relative = true}); }
void psetex(Call& call) { set_expiring(call, {.seconds = false, .relative = true}); }

void getset(Call& call) {
  auto outcome = call.keyspace()->set(call[1], call.take(2), {.want_old = true}, call.now().wall);
  if (!outcome) return call.reply.error(outcome.error());
  if (!outcome->old) return call.reply.null();
  call.bulk(std::move(*outcome->old));
}

// The value of the key, for those that answer it and then change the key. Empty: the reply is made.
std::optional<std::string> value_to_answer(Call& call) {
  const auto found = call.keyspace()->get(call[1], call.now().wall);
  if (!found || !*found) {
    answer_found(call, found);
    return std::nullopt;
  }
  call.server().statistics.hits++;
  return std::string((*found)->value);
}

void getdel(Call& call) {
  auto value = value_to_answer(call);
  if (!value) return;
  const auto removed = call.keyspace()->remove(call[1], call.now().wall);
  if (!removed) return call.reply.error(removed.error());
  call.bulk(std::move(*value));
}

struct ExpiryChange {
  std::optional<TimeUnit> unit;  // Of a new expiry, in argument 3.
  bool persist = false;
};

// Empty: the error is in the reply.
std::optional<ExpiryChange> parse_getex(Call& call) {
  ExpiryChange change;
  if (call.size() == 2) return change;
  change.persist = call.is(2, "persist");
  if (!change.persist) change.unit = time_unit(call[2]);
  const bool well_formed = change.persist ? call.size() == 3 : change.unit && call.size() == 4;
  if (well_formed) return change;
  call.syntax_error();
  return std::nullopt;
}

void getex(Call& call) {
  const auto change = parse_getex(call);
  if (!change) return;
  std::optional<Expiry> expiry;
  if (change->persist) expiry = Expiry{};
  if (change->unit && !(expiry = positive_expiry(call, 3, *change->unit))) return;
  auto value = value_to_answer(call);
  if (!value) return;
  if (expiry) {
    const auto changed = call.keyspace()->set_expiry(call[1], *expiry, call.now().wall);
    if (!changed) return call.reply.error(changed.error());
  }
  call.bulk(std::move(*value));
}

using namespace command_flag;
constexpr std::string_view group = "string";

constexpr Command table[] = {
    {"get", 2, readonly | fast, 1, 1, 1, group, "key", "Returns the value of a key.", get},
    {"getdel", 2, write | fast, 1, 1, 1, group, "key", "Returns the value of a key and deletes the key.",
     getdel},
    {"getex", -2, write | fast, 1, 1, 1, group,
     "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST]",
     "Returns the value of a key and changes its expiry.", getex},
    {"getset", 3, write | denyoom | fast, 1, 1, 1, group, "key value", "Sets a key and returns what it held.",
     getset},
    {"mget", -2, readonly | fast, 1, -1, 1, group, "key [key ...]", "Returns the values of several keys.",
     mget},
    {"mset", -3, write | denyoom, 1, -1, 2, group, "key value [key value ...]", "Sets several keys.", mset},
    {"msetnx", -3, write | denyoom, 1, -1, 2, group, "key value [key value ...]",
     "Sets several keys if none of them exists on this node.", msetnx},
    {"psetex", 4, write | denyoom, 1, 1, 1, group, "key milliseconds value",
     "Sets a key and its expiry, in milliseconds from now.", psetex},
    {"set", -3, write | denyoom, 1, 1, 1, group,
     "key value [NX | XX] [GET] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT "
     "unix-time-milliseconds | KEEPTTL]",
     "Sets a key, whatever it held.", set},
    {"setex", 4, write | denyoom, 1, 1, 1, group, "key seconds value",
     "Sets a key and its expiry, in seconds from now.", setex},
    {"setnx", 3, write | denyoom | fast, 1, 1, 1, group, "key value",
     "Sets a key if it does not exist on this node.", setnx},
};

}  // namespace

std::span<const Command> string_commands() { return table; }

}  // namespace knit
