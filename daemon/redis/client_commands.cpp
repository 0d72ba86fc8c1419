// What one client may know of the others, and do to them.
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "daemon/redis/arguments.h"
#include "daemon/redis/call.h"
#include "daemon/redis/text.h"

namespace knit {

namespace {

std::string quoted(std::string_view text) { return "'" + std::string(text.substr(0, 128)) + "'"; }

// Every client is a normal one: there are no replicas, and nobody subscribes to anything.
struct ClientType {
  std::string_view name;
  bool has_clients;
};
constexpr ClientType client_types[] = {
    {"normal", true}, {"slave", false}, {"replica", false}, {"pubsub", false}, {"master", false}};

// Whether clients can be of the type in argument `at`. Empty: the error is in the reply.
std::optional<bool> type_argument(Call& call, std::size_t at) {
  for (const ClientType& type : client_types) {
    if (call.is(at, type.name)) return type.has_clients;
  }
  call.reply.error("ERR Unknown client type " + quoted(call[at]));
  return std::nullopt;
}

std::string list_all(Call& call) {
  std::string lines;
  for (const auto& [id, session] : call.server().sessions) lines += session->describe() + "\n";
  return lines;
}

void list_ids(Call& call) {
  std::string lines;
  const std::size_t most = call.server().options.output_bytes_max;  // A client may name one again and again.
  for (std::size_t at = 3; at < call.size() && lines.size() <= most; at++) {
    const auto id = parse_integer(call[at]);
    if (!id) return call.reply.error("ERR Invalid client ID");
    const auto found = call.server().sessions.find(static_cast<std::uint64_t>(*id));
    if (found != call.server().sessions.end()) lines += found->second->describe() + "\n";
  }
  call.reply.verbatim(lines);
}

void client_list(Call& call) {
  if (call.size() == 2) return call.reply.verbatim(list_all(call));
  if (call.size() == 4 && call.is(2, "type")) {
    const auto has_clients = type_argument(call, 3);
    if (has_clients) call.reply.verbatim(*has_clients ? list_all(call) : std::string());
    return;
  }
  if (call.size() > 3 && call.is(2, "id")) return list_ids(call);
  call.syntax_error();
}

struct Victims {
  std::optional<std::uint64_t> id;
  std::optional<std::string> address;
  std::optional<std::string> local_address;
  bool of_type = true;  // False: of a type that no client is of.
  bool skip_me = true;

  bool include(const Session& session, const Session& me) const {
    return of_type && (!id || session.id() == *id) && (!address || session.peer().address == *address) &&
           (!local_address || session.peer().local_address == *local_address) &&
           !(skip_me && &session == &me);
  }
};

// Answers whether the pair at `at` is well formed; else the error is in the reply.
bool parse_victims(Call& call, std::size_t at, Victims& victims) {
  if (call.is(at, "id")) {
    const auto id = parse_integer(call[at + 1]);
    if (id && *id > 0) {
      victims.id = static_cast<std::uint64_t>(*id);
      return true;
    }
    call.reply.error("ERR client-id should be greater than 0");
  } else if (call.is(at, "addr")) {
    victims.address = call[at + 1];
    return true;
  } else if (call.is(at, "laddr")) {
    victims.local_address = call[at + 1];
    return true;
  } else if (call.is(at, "type")) {
    const auto has_clients = type_argument(call, at + 1);
    victims.of_type = has_clients.value_or(false);
    return has_clients.has_value();
  } else if (call.is(at, "user")) {
    if (call[at + 1] == "default") return true;
    call.reply.error("ERR No such user " + quoted(call[at + 1]));
  } else if (call.is(at, "skipme") && (call.is(at + 1, "yes") || call.is(at + 1, "no"))) {
    victims.skip_me = call.is(at + 1, "yes");
    return true;
  } else {
    call.syntax_error();
  }
  return false;
}

std::int64_t kill(Call& call, const Victims& victims) {
  std::int64_t killed = 0;
  for (const auto& [id, session] : call.server().sessions) {
    if (!victims.include(*session, call.session())) continue;
    killed++;
    if (session == &call.session()) {
      session->close_after_reply = true;
    } else {
      session->kill();
    }
  }
  return killed;
}

// The old form names an address and kills at most one; the new one has filters and counts.
void client_kill(Call& call) {
  Victims victims;
  if (call.size() == 3) {
    victims.address = call[2];
    victims.skip_me = false;
    if (kill(call, victims) == 0) return call.reply.error("ERR No such client");
    return call.reply.ok();
  }
  if (call.size() % 2 != 0) return call.syntax_error();
  for (std::size_t at = 2; at < call.size(); at += 2) {
    if (!parse_victims(call, at, victims)) return;
  }
  call.reply.integer(kill(call, victims));
}

// A pause that runs is made longer or stricter, never less so.
void client_pause(Call& call) {
  if (call.size() > 4) return call.syntax_error();
  const bool writes_only = call.size() == 4 && call.is(3, "write");
  if (call.size() == 4 && !writes_only && !call.is(3, "all")) {
    return call.reply.error("ERR CLIENT PAUSE mode must be WRITE or ALL");
  }
  const auto millis = timeout_argument(call, 2);
  if (!millis) return;
  ServerState& server = call.server();
  constexpr std::int64_t longest = std::int64_t{1} << 53;  // So that no sum of times overflows.
  const bool was_all = server.paused() && server.pause.all;
  server.pause.all = !writes_only || was_all;
  server.pause.until = std::max(server.paused() ? server.pause.until : Millis{},
                                server.now.steady + Millis(std::min(*millis, longest)));
  call.reply.ok();
}

void client_unpause(Call& call) {
  call.server().pause = {};
  call.reply.ok();
}

void client_reply(Call& call) {
  using Replies = Session::Replies;
  if (call.is(2, "on")) {
    call.set_replies(Replies::on);
    call.reply.ok();
  } else if (call.is(2, "off")) {
    call.set_replies(Replies::off);
  } else if (call.is(2, "skip")) {
    call.set_replies(Replies::skip_one);
  } else {
    call.syntax_error();
  }
}

void client_no_evict(Call& call) {
  if (!call.is(2, "on") && !call.is(2, "off")) return call.syntax_error();
  call.reply.ok();
}

void client_getredir(Call& call) { call.reply.integer(-1); }

void client_trackinginfo(Call& call) {
  call.reply.map(3);
  call.reply.bulk("flags");
  call.reply.set(1);
  call.reply.bulk("off");
  call.reply.bulk("redirect");
  call.reply.integer(-1);
  call.reply.bulk("prefixes");
  call.reply.array(0);
}

// Only commands that wait for a job of the node wait at all.
void client_unblock(Call& call) {
  const bool error = call.size() == 4 && call.is(3, "error");
  if (call.size() > 4) return call.syntax_error();
  if (call.size() == 4 && !error && !call.is(3, "timeout")) {
    return call.reply.error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
  }
  const auto id = integer_argument(call, 2);
  if (!id) return;
  const auto found = call.server().sessions.find(static_cast<std::uint64_t>(*id));
  if (found == call.server().sessions.end()) return call.reply.integer(0);
  Session& session = *found->second;
  const std::string_view timed_out = session.protocol == 3 ? "_\r\n" : "*-1\r\n";
  const std::string_view why = error ? "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n" : timed_out;
  call.reply.integer(session.unblock(why) ? 1 : 0);
}

using namespace command_flag;
constexpr std::uint32_t anytime = loading | stale | noscript;
constexpr std::string_view group = "connection";

constexpr Command table[] = {
    {"client|getredir", 2, anytime, 0, 0, 0, group, "", "-1: there is no tracking.", client_getredir},
    {"client|kill", -3, anytime | admin, 0, 0, 0, group,
     "<ip:port | [ID client-id] [TYPE type] [USER username] [ADDR ip:port] [LADDR ip:port] [SKIPME yes/no]>",
     "Closes connections.", client_kill},
    {"client|list", -2, anytime | admin, 0, 0, 0, group,
     "[TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] [ID client-id [client-id ...]]",
     "Describes connections, a line each.", client_list},
    {"client|no-evict", 3, anytime | admin, 0, 0, 0, group, "<ON | OFF>", "Does nothing: nobody is evicted.",
     client_no_evict},
    {"client|pause", -3, anytime | admin, 0, 0, 0, group, "timeout [WRITE | ALL]",
     "Makes the commands of all clients wait for some milliseconds.", client_pause},
    {"client|reply", 3, anytime, 0, 0, 0, group, "<ON | OFF | SKIP>",
     "Says whether the connection wants replies.", client_reply},
    {"client|trackinginfo", 2, anytime, 0, 0, 0, group, "", "Says that there is no tracking.",
     client_trackinginfo},
    {"client|unblock", -3, anytime | admin, 0, 0, 0, group, "client-id [TIMEOUT | ERROR]",
     "Ends the wait of a connection for its command.", client_unblock},
    {"client|unpause", 2, anytime | admin, 0, 0, 0, group, "", "Ends a CLIENT PAUSE.", client_unpause},
};

}  // namespace

std::span<const Command> client_commands() { return table; }

}  // namespace knit
