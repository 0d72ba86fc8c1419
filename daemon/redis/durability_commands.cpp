// What Redis needs to be asked for and knit does by itself: a reply to a write leaves when the write is
// durable. So these wait for what was written before them, and that is all.
#include <optional>
#include <string>

#include "daemon/redis/arguments.h"
#include "daemon/redis/call.h"
#include "daemon/redis/text.h"

namespace knit {

namespace {

void save(Call& call) {
  call.saw_everything();
  call.reply.ok();
}

void bgsave(Call& call) {
  if (call.size() > 2 || (call.size() == 2 && !call.is(1, "schedule"))) return call.syntax_error();
  call.reply.simple("Background saving started");
}

void bgrewriteaof(Call& call) { call.reply.simple("Background append only file rewriting started"); }

void lastsave(Call& call) {
  call.server().sample_rates();  // Notes a sync of this very turn.
  call.reply.integer(static_cast<std::int64_t>(call.server().last_sync.millis / 1000));
}

// Peers do not tell yet which writes they have, so none is counted and nobody is waited for.
void wait(Call& call) {
  if (!integer_argument(call, 1) || !timeout_argument(call, 2)) return;
  call.saw_everything();
  call.reply.integer(0);
}

struct Shutdown {
  bool save = false;
  bool no_save = false;
  bool abort = false;
  bool other = false;  // NOW, FORCE: it stops at once anyway, and data are safe anyway.
};

// Empty: a syntax error.
std::optional<Shutdown> parse_shutdown(Call& call) {
  Shutdown shutdown;
  for (std::size_t at = 1; at < call.size(); at++) {
    if (call.is(at, "save")) {
      shutdown.save = true;
    } else if (call.is(at, "nosave")) {
      shutdown.no_save = true;
    } else if (call.is(at, "abort")) {
      shutdown.abort = true;
    } else if (call.is(at, "now") || call.is(at, "force")) {
      shutdown.other = true;
    } else {
      return std::nullopt;
    }
  }
  const bool mixed = shutdown.abort && (shutdown.save || shutdown.no_save || shutdown.other);
  if (mixed || (shutdown.save && shutdown.no_save)) return std::nullopt;
  return shutdown;
}

// Not answered: the client sees that the connection ends.
void shutdown(Call& call) {
  const auto options = parse_shutdown(call);
  if (!options) return call.syntax_error();
  if (options->abort) return call.reply.error("ERR No shutdown in progress.");
  if (!call.server().hooks.stop) return call.reply.error("ERR Errors trying to SHUTDOWN. Check logs.");
  call.server().stop_wanted = true;
  call.session().close_after_reply = true;
}

using namespace command_flag;
constexpr std::string_view group = "server";

constexpr Command table[] = {
    {"bgrewriteaof", 1, admin | noscript, 0, 0, 0, group, "", "Does nothing: there is no such file.",
     bgrewriteaof},
    {"bgsave", -1, admin | noscript, 0, 0, 0, group, "[SCHEDULE]",
     "Does nothing: data are saved all the time.", bgsave},
    {"lastsave", 1, fast | loading | stale, 0, 0, 0, group, "", "Returns when data were last saved.",
     lastsave},
    {"save", 1, admin | noscript, 0, 0, 0, group, "", "Waits until all that was written is durable.", save},
    {"shutdown", -1, admin | noscript | loading | stale, 0, 0, 0, group,
     "[NOSAVE | SAVE] [NOW] [FORCE] [ABORT]", "Stops the daemon, as SIGTERM does. All data are saved.",
     shutdown},
    {"wait", 3, noscript, 0, 0, 0, "generic", "numreplicas timeout",
     "Waits until all that was written is durable here. Answers 0: peers do not acknowledge yet.", wait},
};

}  // namespace

std::span<const Command> durability_commands() { return table; }

}  // namespace knit
