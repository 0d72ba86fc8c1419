#include "daemon/redis/knit_commands.h"

#include <algorithm>
#include <string>
#include <utility>

#include "daemon/redis/call.h"
#include "daemon/redis/help.h"
#include "daemon/redis/text.h"

namespace knit {

namespace {

constexpr std::size_t differences_listed = 1000;

StatusExtras extras(Call& call) {
  const ServerState& server = call.server();
  return {server.sessions.size(), server.now.steady - server.started.steady};
}

// Not held back for the disk: an operator asks for it when the disk is in trouble.
void status(Call& call) {
  write_status(call.reply, call.node(), call.node().status(call.now()), extras(call));
}
void members(Call& call) { write_members(call.reply, call.node().members(), call.node().status(call.now())); }
void lag(Call& call) { write_lags(call.reply, call.node().status(call.now())); }
void hints(Call& call) { write_hints(call.reply, call.node().status(call.now())); }

// The error, if the only job has one.
bool answer_failure(Reply& reply, const JobDone& done) {
  if (done.error.empty()) return false;
  reply.error("ERR " + done.error);
  return true;
}

void answer_diff(Reply& reply, const JobWait& wait) {
  const JobDone& done = *wait.jobs.front().done;
  if (!answer_failure(reply, done)) write_diff(reply, done, wait.limit);
}

void answer_verify(Reply& reply, const JobWait& wait) {
  const JobDone& done = *wait.jobs.front().done;
  if (answer_failure(reply, done)) return;
  write_verification(reply, done.verification.value_or(Store::Verification{}),
                     done.scrub.value_or(ScrubStatus{}), wait.duration);
}

void answer_reports(Reply& reply, const JobWait& wait) {
  reply.array(wait.jobs.size());
  for (const JobWait::Job& job : wait.jobs) {
    ExchangeReport report = job.done->exchange.value_or(ExchangeReport{});
    report.peer = job.peer;
    if (report.peer_name.empty()) report.peer_name = job.peer_name;
    if (report.error.empty()) report.error = job.done->error;
    write_report(reply, report);
  }
}

void answer_repair(Reply& reply, const JobWait& wait) {
  const JobDone& done = *wait.jobs.front().done;
  if (answer_failure(reply, done)) return;
  reply.array(1);
  write_report(reply, done.exchange.value_or(ExchangeReport{}));
}

// Waits for one job, or answers why there is none. What the node said on the way goes out last: the
// job may end in it.
void wait_for_one(Call& call, Result<JobId> job, JobWait wait, Outbox& out) {
  if (!job) {
    call.reply.error(job.error());
  } else {
    wait.jobs.push_back({.id = *job});
    call.wait_for(std::move(wait));
  }
  call.server().hooks.deliver(out);
}

// KNIT DIFF peer, or KNIT REPAIR peer DRYRUN; from the argument `at` on a limit may be given.
void compare(Call& call, std::size_t at) {
  std::size_t limit = differences_listed;
  if (call.size() != at) {
    if (call.size() != at + 2 || !call.is(at, "limit")) return call.syntax_error();
    const auto number = parse_unsigned(call[at + 1]);
    if (!number) return call.not_an_integer();
    limit = *number;
  }
  Outbox out;
  auto job = call.node().start_diff(call[2], call.now(), out);
  wait_for_one(call, std::move(job), {.limit = limit, .answer = answer_diff}, out);
}

void diff(Call& call) { compare(call, 3); }

void verify(Call& call) {
  Outbox out;
  wait_for_one(call, call.node().start_verify(), {.answer = answer_verify}, out);
}

void repair_all(Call& call) {
  Outbox out;
  JobWait wait{.answer = answer_reports};
  for (const PeerStatus& peer : call.node().status(call.now()).peers) {
    if (!peer.reachable) continue;
    JobWait::Job waiting{.peer = peer.node, .peer_name = peer.name};
    const auto job = call.node().start_repair(to_string(peer.node), call.now(), out);
    if (job) {
      waiting.id = *job;
    } else {
      waiting.done.emplace().error = job.error().message;
    }
    wait.jobs.push_back(std::move(waiting));
  }
  call.wait_for(std::move(wait));
  call.server().hooks.deliver(out);
}

void repair(Call& call) {
  if (call.size() > 3 && call.is(3, "dryrun") && !call.is(2, "all")) return compare(call, 4);
  if (call.size() > 3) return call.syntax_error();
  if (call.size() == 2 || call.is(2, "all")) return repair_all(call);
  Outbox out;
  auto job = call.node().start_repair(call[2], call.now(), out);
  wait_for_one(call, std::move(job), {.answer = answer_repair}, out);
}

// What came of a command that made the node say something.
void answer(Call& call, const Result<void>& done, Outbox& out) {
  call.server().hooks.deliver(out);
  if (!done) return call.reply.error(done.error());
  call.reply.ok();
}

void isolate(Call& call) {
  const bool on = call.is(3, "on");
  if (!on && !call.is(3, "off")) return call.syntax_error();
  Outbox out;
  const auto peer = call.is(2, "all") ? std::string_view{} : call[2];
  const auto isolated = call.node().isolate(peer, on, call.now(), out);
  answer(call, isolated, out);
}

void join(Call& call) {
  if (call.size() > 3) return call.syntax_error();
  if (call.size() == 3) {
    Outbox nothing;
    return answer(call, call.node().join(call[2]), nothing);
  }
  const auto& addresses = call.node().to_join();
  call.reply.array(addresses.size());
  for (const std::string& address : addresses) call.reply.bulk(address);
}

// Answered before this node goes: the hook is called at the end of the turn.
void leave(Call& call) {
  if (!call.server().hooks.leave) return call.reply.error("ERR this node cannot leave");
  call.server().leave_wanted = true;
  call.reply.ok();
}

void forget(Call& call) {
  Outbox out;
  const auto forgotten = call.node().forget(call[2], call.now(), out);
  answer(call, forgotten, out);
}

// name=value sets a tag, name= removes one; the others stay.
void tags(Call& call) {
  const Swim* swim = call.node().swim();
  if (swim == nullptr) return call.reply.error("ERR this node has no membership");
  auto changed = swim->self().profile->tags;
  if (call.size() == 2) return write_tags(call.reply, changed);
  for (std::size_t at = 2; at < call.size(); at++) {
    const std::string_view tag = call[at];
    const std::size_t end = tag.find('=');
    if (end == std::string_view::npos || end == 0)
      return call.reply.error("ERR expected name=value, or name=");
    changed[std::string(tag.substr(0, end))] = tag.substr(end + 1);
  }
  std::erase_if(changed, [](const auto& tag) { return tag.second.empty(); });
  Outbox out;
  const auto set = call.node().set_tags(std::move(changed), call.now(), out);
  answer(call, set, out);
}

using namespace command_flag;
constexpr std::string_view group = "knit";

constexpr Command table[] = {
    {"knit", -2, container, 0, 0, 0, group, "", "A container for commands about the cluster.", nullptr},
    {"knit|diff", -3, admin | blocking, 0, 0, 0, group, "peer [LIMIT count]",
     "Lists the keys in which a peer differs, and changes nothing.", diff},
    {"knit|forget", 3, admin, 0, 0, 0, group, "peer",
     "Takes a member that is dead or has left off the list, on all nodes.", forget},
    {"knit|help", 2, loading | stale, 0, 0, 0, group, "", "Lists these subcommands.", container_help},
    {"knit|hints", 2, loading | stale, 0, 0, 0, group, "", "Shows for each peer the writes that wait for it.",
     hints},
    {"knit|isolate", 4, admin | debug, 0, 0, 0, group, "<peer | ALL> <ON | OFF>",
     "Drops everything to and from a peer.", isolate},
    {"knit|join", -2, admin, 0, 0, 0, group, "[ip:port]",
     "Tries an address until a node is met there. Without one: lists those that are tried.", join},
    {"knit|keys", -3, admin, 0, 0, 0, group,
     "<LIST | ADD file | USE fingerprint | REMOVE fingerprint [FORCE]>",
     "Lists or changes the secret keys of the cluster.", knit_keys},
    {"knit|lag", 2, loading | stale, 0, 0, 0, group, "",
     "Shows how far each node is behind the writes of each other one.", lag},
    {"knit|leave", 2, admin, 0, 0, 0, group, "",
     "Tells all members that this node goes, and stops the daemon.", leave},
    {"knit|members", 2, loading | stale, 0, 0, 0, group, "", "Lists the nodes of the cluster.", members},
    {"knit|repair", -2, admin | blocking, 0, 0, 0, group, "[peer | ALL | peer DRYRUN [LIMIT count]]",
     "Makes the data of this node and of peers equal.", repair},
    {"knit|status", 2, loading | stale, 0, 0, 0, group, "", "Shows the state of this node and its peers.",
     status},
    {"knit|tags", -2, admin, 0, 0, 0, group, "[name=value [name=value ...]]",
     "Sets tags of this node until the daemon ends; an empty value removes one. Without any: lists them.",
     tags},
    {"knit|verify", 2, admin | blocking, 0, 0, 0, group, "",
     "Checks the tree and all checksums against the rows.", verify},
};

}  // namespace

std::span<const Command> knit_commands() { return table; }

}  // namespace knit
