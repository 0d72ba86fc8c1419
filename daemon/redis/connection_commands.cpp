// Who a client is and how it talks.
#include <algorithm>
#include <array>
#include <optional>

#include "daemon/redis/arguments.h"
#include "daemon/redis/call.h"
#include "daemon/redis/help.h"
#include "daemon/redis/info.h"
#include "daemon/redis/text.h"

namespace knit {

namespace {

// Of a name that appears in CLIENT LIST: its fields are divided by spaces.
bool is_listable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= '!' && c <= '~'; });
}

constexpr std::string_view bad_name =
    "ERR Client names cannot contain spaces, newlines or special characters.";
constexpr std::string_view wrong_password = "WRONGPASS invalid username-password pair or user is disabled.";
constexpr std::string_view no_password_set =
    "ERR AUTH <password> called without any password configured for the default user. Are you sure your "
    "configuration is correct?";
constexpr std::string_view hello_needs_auth =
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH "
    "<user> <pass> option can be used to authenticate the client and select the RESP protocol version at the "
    "same time";

void ping(Call& call) {
  if (call.size() > 2) return call.reply.error("ERR wrong number of arguments for 'ping' command");
  if (call.size() == 1) return call.reply.simple("PONG");
  call.bulk(call[1]);
}

void echo(Call& call) { call.bulk(call[1]); }

bool authenticate(Call& call, std::string_view user, std::string_view password) {
  const std::string& secret = call.server().options.password;
  const bool right = secret.empty() || secret_equals(secret, password);
  if (user != "default" || !right) return false;
  call.session().set_authenticated(true);
  return true;
}

void auth(Call& call) {
  if (call.size() > 3) return call.syntax_error();
  const bool with_user = call.size() == 3;
  if (!with_user && call.server().options.password.empty()) return call.reply.error(no_password_set);
  if (!authenticate(call, with_user ? call[1] : "default", call[call.size() - 1])) {
    return call.reply.error(wrong_password);
  }
  call.reply.ok();
}

struct Hello {
  std::optional<std::int64_t> protocol;
  std::optional<std::size_t> user;  // Positions of arguments.
  std::optional<std::size_t> name;
};

// Answers whether the options are well formed; else the error is in the reply.
bool parse_hello(Call& call, Hello& hello) {
  if (call.size() > 1) {
    hello.protocol = parse_integer(call[1]);
    if (!hello.protocol) {
      call.reply.error("ERR Protocol version is not an integer or out of range");
      return false;
    }
    if (*hello.protocol != 2 && *hello.protocol != 3) {
      call.reply.error("NOPROTO unsupported protocol version");
      return false;
    }
  }
  for (std::size_t at = 2; at < call.size();) {
    const std::size_t left = call.size() - at - 1;
    if (left >= 2 && call.is(at, "auth")) {
      hello.user = at + 1;
      at += 3;
    } else if (left >= 1 && call.is(at, "setname")) {
      hello.name = at + 1;
      at += 2;
    } else {
      call.reply.error("ERR Syntax error in HELLO option '" + std::string(call[at].substr(0, 128)) + "'");
      return false;
    }
  }
  return true;
}

void answer_hello(Call& call) {
  Reply& reply = call.reply;
  reply.map(7);
  reply.bulk("server");
  reply.bulk("redis");  // Clients choose what they expect by it.
  reply.bulk("version");
  reply.bulk(redis_version);
  reply.bulk("proto");
  reply.integer(call.session().protocol);
  reply.bulk("id");
  reply.integer(static_cast<std::int64_t>(call.session().id()));
  reply.bulk("mode");
  reply.bulk("standalone");
  reply.bulk("role");
  reply.bulk("master");
  reply.bulk("modules");
  reply.array(0);
}

void hello(Call& call) {
  Hello options;
  if (!parse_hello(call, options)) return;
  if (options.user && !authenticate(call, call[*options.user], call[*options.user + 1])) {
    return call.reply.error(wrong_password);
  }
  if (!call.session().authenticated) return call.reply.error(hello_needs_auth);
  if (options.name) {
    if (!is_listable(call[*options.name])) return call.reply.error(bad_name);
    call.session().name = call.take(*options.name);
  }
  if (options.protocol) call.set_protocol(static_cast<int>(*options.protocol));
  answer_hello(call);
}

void select(Call& call) {
  if (is_only_database(call, 1)) call.reply.ok();
}

void quit(Call& call) {
  call.session().close_after_reply = true;
  call.reply.ok();
}

void reset(Call& call) {
  call.set_protocol(2);
  call.session().name.clear();
  call.session().gate = {};
  call.session().set_authenticated(call.server().options.password.empty());
  call.set_replies(Session::Replies::on);
  call.reply.simple("RESET");
}

void client_id(Call& call) { call.reply.integer(static_cast<std::int64_t>(call.session().id())); }

void client_getname(Call& call) {
  if (call.session().name.empty()) return call.reply.null();
  call.reply.bulk(call.session().name);
}

void client_setname(Call& call) {
  if (!is_listable(call[2])) return call.reply.error(bad_name);
  call.session().name = call.take(2);
  call.reply.ok();
}

void client_setinfo(Call& call) {
  const bool is_name = call.is(2, "lib-name");
  if (!is_name && !call.is(2, "lib-ver")) {
    return call.reply.error("ERR Unrecognized option '" + std::string(call[2].substr(0, 128)) + "'");
  }
  if (!is_listable(call[3])) {
    return call.reply.error(std::string("ERR ") + (is_name ? "lib-name" : "lib-ver") +
                            " cannot contain spaces, newlines or special characters.");
  }
  (is_name ? call.session().client_library_name : call.session().client_library_version) = call.take(3);
  call.reply.ok();
}

void client_info(Call& call) { call.reply.verbatim(call.session().describe() + "\n"); }

using namespace command_flag;
constexpr std::uint32_t anytime = loading | stale | noscript;
constexpr std::string_view group = "connection";

constexpr Command table[] = {
    {"auth", -2, anytime | fast | no_auth | secret, 0, 0, 0, group, "[username] password",
     "Authenticates the connection.", auth},
    {"client", -2, container, 0, 0, 0, group, "", "A container for commands about connections.", nullptr},
    {"client|getname", 2, anytime, 0, 0, 0, group, "", "Returns the name of the connection.", client_getname},
    {"client|help", 2, loading | stale, 0, 0, 0, group, "", "Lists these subcommands.", container_help},
    {"client|id", 2, anytime, 0, 0, 0, group, "", "Returns the id of the connection.", client_id},
    {"client|info", 2, anytime, 0, 0, 0, group, "", "Describes the connection.", client_info},
    {"client|setinfo", 4, anytime, 0, 0, 0, group, "<LIB-NAME libname | LIB-VER libver>",
     "Says which client library is used.", client_setinfo},
    {"client|setname", 3, anytime, 0, 0, 0, group, "connection-name", "Names the connection.",
     client_setname},
    {"echo", 2, loading | stale | fast, 0, 0, 0, group, "message", "Returns the message.", echo},
    {"hello", -1, anytime | fast | no_auth | sensitive, 0, 0, 0, group,
     "[protover [AUTH username password] [SETNAME clientname]]",
     "Chooses the protocol version, authenticates, names the connection.", hello},
    {"ping", -1, fast, 0, 0, 0, group, "[message]", "Shows that the server answers.", ping},
    {"quit", -1, anytime | fast | no_auth, 0, 0, 0, group, "", "Closes the connection.", quit},
    {"reset", 1, anytime | fast | no_auth, 0, 0, 0, group, "", "Makes the connection as it was at first.",
     reset},
    {"select", 2, loading | stale | fast, 0, 0, 0, group, "index", "Chooses the database: there is only 0.",
     select},
};

}  // namespace

std::span<const Command> connection_commands() { return table; }

}  // namespace knit
