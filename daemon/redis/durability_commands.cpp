// What Redis needs to be asked for and knit does by itself: a reply to a write leaves when the write is
// durable. So these wait for what was written before them, here or on peers, and that is all.
#include <algorithm>
#include <memory>
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

// Peers that have what this client wrote last, durably: they acknowledge nothing else.
class Replicated final : public Condition {
 public:
  Replicated(Dot written, std::size_t replicas, bool with_local)
      : written_(written), replicas_(replicas), with_local_(with_local) {}
  bool met(const Node& node) const override { return count(node) >= replicas_; }
  void answer(Reply& reply, const Node& node, Now, bool) const override {
    if (with_local_) {
      reply.array(2);
      reply.integer(1);  // The reply leaves when it is so.
    }
    reply.integer(static_cast<std::int64_t>(count(node)));
  }

 private:
  // Once the node has taken a fresh actor, what it wrote since its start has other dots: all it has by now
  // are no fewer. And what was undone, for want of space, is nowhere.
  std::size_t count(const Node& node) const {
    const Dot own = node.last_write();
    const bool exists = written_.actor == own.actor && written_.sequence <= own.sequence;
    if (written_.sequence > 0 && !exists) written_ = own;
    Clock written;
    if (written_.sequence > 0) written.add(written_.actor, {1, written_.sequence});
    return node.replicas_with(written);
  }

  mutable Dot written_;
  std::size_t replicas_;
  bool with_local_;
};

void wait_for_replicas(Call& call, std::int64_t replicas, std::int64_t timeout, bool with_local) {
  const auto wanted = static_cast<std::size_t>(std::max<std::int64_t>(0, replicas));
  call.wait_for(std::make_unique<Replicated>(call.session().last_written, wanted, with_local),
                Millis(timeout));
}

void wait(Call& call) {
  const auto replicas = integer_argument(call, 1);
  if (!replicas) return;
  const auto timeout = timeout_argument(call, 2);
  if (timeout) wait_for_replicas(call, *replicas, *timeout, false);
}

// The local copy is always waited for: no reply to a write leaves before it is durable.
void waitaof(Call& call) {
  const auto local = integer_argument(call, 1);
  if (!local) return;
  const auto replicas = integer_argument(call, 2);
  if (!replicas) return;
  const auto timeout = timeout_argument(call, 3);
  if (!timeout) return;
  if (*local < 0 || *local > 1) return call.reply.error("ERR value is out of range, must be between 0 and 1");
  if (*replicas < 0) return call.reply.error("ERR value is out of range, must be positive");
  wait_for_replicas(call, *replicas, *timeout, true);
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
    {"wait", 3, noscript | blocking, 0, 0, 0, "generic", "numreplicas timeout",
     "Waits until so many peers have what this client wrote, durably. Answers how many have.", wait},
    {"waitaof", 4, noscript | blocking, 0, 0, 0, "generic", "numlocal numreplicas timeout",
     "As WAIT, and for the local copy. Answers 1, and how many peers have it.", waitaof},
};

}  // namespace

std::span<const Command> durability_commands() { return table; }

}  // namespace knit
