#include "daemon/redis/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/check.h"
#include "daemon/redis/call.h"
#include "daemon/redis/text.h"

namespace knit {

namespace {

constexpr std::size_t requests_ahead = 16;     // Whose rows are fetched from memory at once.
constexpr std::size_t quoted_bytes_max = 128;  // Of what a client sent, in an error about it.
constexpr Millis nudge_after{50};
constexpr std::size_t error_bytes_max = 64;  // Enough to see which error it is.

std::string unknown_command(const RequestParser& request) {
  std::string text = fmt::format("ERR unknown command '{}', with args beginning with: ",
                                 request[0].substr(0, quoted_bytes_max));
  std::size_t left = quoted_bytes_max;
  for (std::size_t at = 1; at < request.size() && left > 0; at++) {
    const std::string_view argument = request[at].substr(0, left);
    left -= argument.size();
    text += fmt::format("'{}' ", argument);
    if (at > 32) break;
  }
  return text;
}

std::string unknown_subcommand(const Command& container, std::string_view name) {
  std::string upper(container.name);
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  return fmt::format("ERR unknown subcommand '{}'. Try {} HELP.", name.substr(0, quoted_bytes_max), upper);
}

std::string wrong_arity(const Command& command) {
  return fmt::format("ERR wrong number of arguments for '{}' command", command.name);
}

struct Resolved {
  const Command* command = nullptr;
  std::string error{};             // If there is none.
  const Command* named = nullptr;  // The one that was meant, if its arguments were wrong.
};

Resolved resolve(const RequestParser& request, bool debug_commands) {
  const Command* command = find_command(request[0]);
  const bool hidden = command != nullptr && command->has(command_flag::debug) && !debug_commands;
  if (command == nullptr || hidden) return {nullptr, unknown_command(request)};
  if (request.size() > 1 && command->has(command_flag::container)) {
    const Command* subcommand = find_subcommand(*command, request[1]);
    const bool shown = subcommand != nullptr && (!subcommand->has(command_flag::debug) || debug_commands);
    if (!shown) return {nullptr, unknown_subcommand(*command, request[1])};
    command = subcommand;
  }
  if (!command->takes(request.size()) || command->handler == nullptr) {
    return {nullptr, wrong_arity(*command), command};
  }
  return {command, {}, command};
}

}  // namespace

bool JobWait::over() const {
  return std::all_of(jobs.begin(), jobs.end(), [](const Job& job) { return job.done.has_value(); });
}

Session::Session(ServerState& server, Peer peer)
    : server_(server),
      peer_(std::move(peer)),
      id_(++server.last_session),
      connected_(server.now),
      last_used_(server.now),
      parser_(RequestLimits::before_authentication()) {
  set_authenticated(server.options.password.empty());
  server_.sessions.emplace(id_, this);
}

Session::~Session() {
  server_.sessions.erase(id_);
  forget_jobs();
}

void Session::forget_jobs() {
  condition_.reset();
  if (fetching()) {
    server_.jobs.erase(fetch_->job);
    server_.node.cancel(fetch_->job);
  }
  fetch_.reset();
  if (!wait_) return;
  for (const JobWait::Job& job : wait_->jobs) {
    if (job.done) continue;
    server_.jobs.erase(job.id);
    server_.node.cancel(job.id);
  }
  wait_.reset();
}

void Session::set_authenticated(bool yes) {
  authenticated = yes;
  parser_.set_limits(yes ? RequestLimits::authenticated() : RequestLimits::before_authentication());
}

void Session::feed(std::string_view bytes) {
  server_.statistics.input_bytes += bytes.size();
  last_used_ = server_.now;
  parser_.feed(bytes);
}

void Session::end_input() {
  input_ended_ = true;
  if (waiting()) close_after_reply = true;
}

bool Session::may_run() const {
  if (condition_ != nullptr) {
    return condition_->met(server_.node) || is_late(condition_since_, condition_timeout_) || nudge_is_due() ||
           server_.stopping;
  }
  return !server_.under_pressure() && queued_bytes() <= output_soft_bytes &&
         (!held_ || !must_hold() || nudge_is_due());
}

bool Session::is_late(Millis since, Millis timeout) const {
  return timeout > Millis{0} && server_.now.steady >= since + timeout;
}

// What other nodes have is waited for: by a condition, or in front of the gate.
std::optional<Millis> Session::waits_since() const {
  if (condition_ != nullptr) return condition_since_;
  return held_ && gate.needed ? gate.closed_since : std::nullopt;
}

std::optional<Millis> Session::deadline() const {
  const auto since = waits_since();
  if (!since) return std::nullopt;
  const Millis timeout = condition_ != nullptr ? condition_timeout_ : gate.timeout;
  std::optional<Millis> next;
  if (timeout > Millis{0}) next = *since + timeout;
  if (!nudged_) next = std::min(next.value_or(Millis::max()), *since + nudge_after);
  return next;
}

bool Session::nudge_is_due() const {
  const auto since = waits_since();
  return since && !nudged_ && server_.now.steady >= *since + nudge_after;
}

void Session::nudge() {
  if (!nudge_is_due()) return;
  nudged_ = true;
  Outbox out;
  if (condition_ != nullptr) {
    condition_->nudge(server_.node, server_.now, out);
  } else {
    server_.node.fetch(gate.needed->clock, server_.now, out);
  }
  server_.hooks.deliver(out);
}

Session::Pause Session::run() {
  if (turn_ != server_.turn) {
    turn_ = server_.turn;
    commands_in_turn_ = 0;
  }
  server_.command_began = server_.hooks.stopwatch();
  for (bool executed = true; executed;) {
    if (overflown()) return Pause::overflow;
    if (close_after_reply) return Pause::closing;
    if (wait_) return Pause::job;
    if (condition_ != nullptr && !finish_condition()) return Pause::condition;
    if (!may_run()) return Pause::pressure;
    if (commands_in_turn_ >= commands_per_turn) return Pause::turn;
    if (steps_ != nullptr) {
      if (!run_steps()) return Pause::turn;
      continue;
    }
    commands_in_turn_++;
    expect_keys();
    if (const Pause pause = run_one(executed); !executed) return pause;
  }
  return Pause::input;
}

// In a pipeline, the rows of several requests are fetched from memory at once.
void Session::expect_keys() {
  std::array<std::string_view, requests_ahead> keys;
  const std::size_t count = parser_.glimpse(keys);
  if (count > 1) server_.keyspace.expect({keys.data(), count});
}

Session::Pause Session::run_one(bool& executed) {
  executed = true;
  if (held_) return run_request(executed);
  switch (parser_.next()) {
    case RequestParser::Step::request: return run_request(executed);
    case RequestParser::Step::refused: answer_error(parser_.error()); break;
    case RequestParser::Step::broken:
      answer_error(parser_.error());
      close_after_reply = true;
      break;
    case RequestParser::Step::incomplete: executed = false; break;
  }
  return input_ended_ ? Pause::closing : Pause::input;
}

Session::Pause Session::run_request(bool& executed) {
  held_ = must_hold();
  executed = !held_;
  if (held_) {
    if (gate.needed && !gate.closed_since) {
      gate.closed_since = server_.now.steady;
      nudged_ = false;
    }
    nudge();
    return Pause::pressure;
  }
  execute();
  if (fetching()) {
    held_ = true;
    executed = false;
    return Pause::pressure;
  }
  fetch_.reset();
  gate.closed_since.reset();
  return input_ended_ ? Pause::closing : Pause::input;
}

// By a CLIENT PAUSE, until what the client has seen elsewhere is here too, or until rows of peers are.
bool Session::must_hold() const {
  if (fetch_) return fetching();
  if (!server_.paused() && !gate.needed) return false;
  if (server_.paused() && server_.pause.all) return true;
  const Command* command = resolve(parser_, server_.options.debug_commands).command;
  if (command == nullptr) return false;
  if (server_.paused() && command->has(command_flag::write)) return true;
  if (!is_gated(*command) || server_.node.shows(*gate.needed)) return false;
  return !server_.stopping && (!gate.closed_since || !is_late(*gate.closed_since, gate.timeout));
}

bool Session::is_gated(const Command& command) const {
  return gate.needed && command.has(command_flag::readonly | command_flag::write);
}

std::string Session::behind() const {
  const std::uint64_t missing = server_.node.lacks(gate.needed->clock);
  if (missing == 0) return std::string(not_caught_up);
  return fmt::format("BEHIND {} writes that this client has seen are not here yet", missing);
}

// Answers whether the command is over.
bool Session::finish_condition() {
  const bool met = condition_->met(server_.node);
  if (!met && !is_late(condition_since_, condition_timeout_) && !server_.stopping) {
    nudge();
    return false;
  }
  answer_condition(met);
  return true;
}

void Session::on_stop() {
  if (condition_ != nullptr) {
    answer_condition(false);
    server_.unblocked.push_back(id_);
  }
  if (fetching()) {
    server_.jobs.erase(fetch_->job);
    server_.node.cancel(fetch_->job);
    fetch_->done.emplace().error = daemon_stops;
  }
  if (wait_) unblock(fmt::format("-ERR {}\r\n", daemon_stops));
}

void Session::answer_condition(bool met) {
  Reply reply(reply_target(), protocol);
  condition_->answer(reply, server_.node, server_.hooks.now(), met);
  end_reply(server_.node.store().applied());
  condition_.reset();
}

void Session::answer_error(std::string_view line) {
  server_.statistics.error_replies++;
  server_.commands.add_error(line);
  Reply(reply_target(), protocol).error(line);
  end_reply({});
}

// The reply is whole. What is not wanted goes nowhere.
void Session::end_reply(JournalPosition saw) {
  if (replies_off()) {
    unsent_.clear();
  } else {
    output_.end_reply(saw);
  }
  skip_this_ = false;
  if (replies_ == Replies::skip_one) {
    skip_this_ = true;
    replies_ = Replies::on;
  }
}

void Session::set_replies(Replies replies) {
  if (replies == Replies::skip_one && replies_ == Replies::off) return;
  replies_ = replies;
}

std::string Session::take_argument(std::size_t index) {
  std::string argument = parser_.take(index);
  const bool moved = parser_[index].size() != argument.size();
  if (moved && index < SlowLog::arguments_max) {
    taken_.push_back({index, shortened_argument(argument, argument.size())});
  }
  return argument;
}

void Session::reject(const Command* command, std::string_view line) {
  if (command != nullptr) server_.commands.of(*command).rejected++;
  answer_error(line);
}

void Session::execute() {
  // A browser was made to send it: what follows may be commands in a body. (As Redis, since CVE-2016-10517.)
  if (equal_ignoring_case(parser_[0], "post") || equal_ignoring_case(parser_[0], "host:")) {
    close_after_reply = true;
    return reject(nullptr, "ERR this is no web server");
  }
  const Resolved resolved = resolve(parser_, server_.options.debug_commands);
  if (!authenticated && (resolved.command == nullptr || !resolved.command->has(command_flag::no_auth))) {
    return reject(resolved.named, "NOAUTH Authentication required.");
  }
  if (resolved.command == nullptr) return reject(resolved.named, resolved.error);
  if (is_gated(*resolved.command)) {
    if (!server_.node.shows(*gate.needed)) return reject(resolved.command, behind());
    gate.needed.reset();
  }
  if (const auto refusal = freshen(*resolved.command)) return reject(resolved.command, *refusal);
  if (fetching()) return;
  if (last_command_ != resolved.command) {
    last_command_ = resolved.command;
    last_statistic_ = &server_.commands.of(*last_command_);
  }
  const std::string& reply = reply_target();  // Where it begins. Chunks stay where they are.
  const std::size_t start = reply.size();
  Call call(*this, *resolved.command);
  resolved.command->handler(call);
  if (steps_ != nullptr || fetching()) return;
  if (call.deferred()) return account(*resolved.command, false);
  conclude(call, std::string_view(reply).substr(start, error_bytes_max));
}

void Session::fetch_first(JobId job) {
  fetch_ = Fetch{job};
  server_.jobs.emplace(job, id_);
}

// What a stale node is to read is got from a fresher peer before. Answers why that cannot be.
std::optional<std::string> Session::freshen(const Command& command) {
  const Node& node = server_.node;
  if (!node.is_stale() || !command.has(command_flag::readonly) || command.has(command_flag::stale))
    return std::nullopt;
  const auto refuse = [&](std::string_view why) {
    ++server_.statistics.reads_refused;
    return fmt::format("STALE this node is {} ms behind its peers{}", node.lag().count(), why);
  };
  if (fetch_) {
    if (!fetch_->done->error.empty()) return refuse(", and " + fetch_->done->error);
    ++server_.statistics.reads_fetched;
    return std::nullopt;
  }
  if (!server_.options.read_from_peers) return refuse("");
  if (server_.stopping) return refuse(fmt::format(", and {}", daemon_stops));
  std::vector<std::string_view> keys;
  for (const std::size_t at : key_positions(command, parser_.size())) keys.push_back(parser_[at]);
  if (keys.empty()) return refuse(", and this command cannot be answered by one of them");
  Outbox out;
  const auto job = server_.node.start_read(keys, 1, Node::ReadFrom::freshest, server_.now, out);
  if (!job) return refuse(", and " + job.error().message);
  fetch_first(*job);
  server_.hooks.deliver(out);
  return std::nullopt;
}

// Answers whether the command is over. It is accounted for as if its steps were one.
bool Session::run_steps() {
  const std::string& reply = reply_target();
  const std::size_t start = reply.size();
  Call call(*this, *last_command_);
  const bool over = steps_->step(call);
  const Nanos end = server_.hooks.stopwatch();
  steps_taken_ += end - std::exchange(server_.command_began, end);
  commands_in_turn_ = commands_per_turn;  // A step is the share of a turn.
  if (!over) return false;
  server_.command_began = end - std::exchange(steps_taken_, {});
  steps_.reset();
  conclude(call, std::string_view(reply).substr(start, error_bytes_max));
  return true;
}

// `front` is how the reply begins.
void Session::conclude(const Call& call, std::string_view front) {
  if (call.command().has(command_flag::write)) last_written = server_.node.last_write();
  const bool failed = front.starts_with('-');
  if (failed) {
    server_.statistics.error_replies++;
    server_.commands.add_error(front.substr(1));
  }
  account(call.command(), failed);
  end_reply(call.saw());
}

void Session::account(const Command& command, bool failed) {
  const Nanos taken = server_.account(*last_statistic_, failed);
  if (server_.is_slow(taken)) note_slow(command, taken);
  taken_.clear();
}

void Session::note_slow(const Command& command, Nanos taken) {
  server_.note_latency(command, taken);
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(taken).count();
  const std::int64_t threshold = server_.settings.slow_micros;
  if (threshold < 0 || micros < threshold || command.has(command_flag::secret)) return;
  server_.slow_log.add({.ended = server_.now.wall,
                        .micros = static_cast<std::uint64_t>(micros),
                        .arguments = shown_arguments(command),
                        .client_address = peer_.address,
                        .client_name = name});
}

std::vector<std::string> Session::shown_arguments(const Command& command) const {
  const std::size_t shown = std::min(parser_.size(), SlowLog::arguments_max);
  std::vector<std::string> arguments;
  for (std::size_t at = 0; at < shown; at++) {
    arguments.push_back(shortened_argument(parser_[at], parser_[at].size()));
  }
  for (const Taken& taken : taken_) arguments[taken.index] = taken.shown;
  if (command.has(command_flag::sensitive)) {
    const std::size_t first = command.is_subcommand() ? 2 : 1;
    for (std::size_t at = first; at < shown; at++) arguments[at] = "(redacted)";
  }
  if (shown < parser_.size()) {
    arguments.back() = fmt::format("... ({} more arguments)", parser_.size() - shown + 1);
  }
  return arguments;
}

void Session::kill() {
  close_after_reply = true;
  server_.to_close.push_back(id_);
}

bool Session::unblock(std::string_view resp) {
  if (!waiting()) return false;
  if (condition_ != nullptr && !resp.starts_with('-')) {
    answer_condition(false);
  } else {
    reply_target().append(resp);
    end_reply({});
  }
  forget_jobs();
  server_.unblocked.push_back(id_);
  return true;
}

void Session::wait_for(JobWait wait) {
  for (const JobWait::Job& job : wait.jobs) {
    if (!job.done) server_.jobs.emplace(job.id, id_);
  }
  wait_ = std::move(wait);
  wait_->started = server_.now.steady;
  if (wait_->over()) return finish_wait();
  if (server_.stopping) unblock(fmt::format("-ERR {}\r\n", daemon_stops));
}

void Session::on_job_done(const JobDone& done) {
  server_.jobs.erase(done.job);
  if (fetching() && fetch_->job == done.job) fetch_->done = done;
  if (!wait_) return;
  for (JobWait::Job& job : wait_->jobs) {
    if (!job.done && job.id == done.job) job.done = done;
  }
  if (wait_->over()) finish_wait();
}

// What a job did is synced or not by itself: its report says nothing that a crash could take back.
void Session::finish_wait() {
  wait_->duration = server_.hooks.now().steady - wait_->started;
  Reply reply(reply_target(), protocol);
  wait_->answer(reply, *wait_);
  end_reply({});
  wait_.reset();
}

void Session::on_undone(std::string_view error_line) {
  output_.replace_unsynced(server_.node.store().synced(), error_line);
}

std::string Session::describe() const {
  const auto seconds = [&](Now since) { return (server_.now.steady - since.steady).count() / 1000; };
  std::string flags;
  if (peer_.unix_socket) flags.push_back('U');
  if (waiting()) flags.push_back('b');
  if (close_after_reply) flags.push_back('c');
  if (flags.empty()) flags.push_back('N');
  return fmt::format(
      "id={} addr={} laddr={} fd=-1 name={} age={} idle={} flags={} db=0 sub=0 psub=0 ssub=0 multi=-1 "
      "qbuf={} qbuf-free=0 argv-mem=0 multi-mem=0 obl=0 oll=0 omem={} tot-mem={} events=r cmd={} "
      "user=default redir=-1 resp={} lib-name={} lib-ver={}",
      id_, peer_.address, peer_.local_address, name, seconds(connected_), seconds(last_used_), flags,
      parser_.unread(), queued_bytes(), queued_bytes() + parser_.memory_bytes(),
      last_command_ == nullptr ? "NULL" : last_command_->name, protocol, client_library_name,
      client_library_version);
}

bool Call::is(std::size_t index, std::string_view word) const {
  return equal_ignoring_case((*this)[index], word);
}

void Call::bulk(std::string_view bytes) {
  if (bytes.size() < ReplyQueue::chunk_bytes) return reply.bulk(bytes);
  reply.bulk_header(bytes.size());
  raw(std::string(bytes));
  reply.line_end();
}

void Call::raw(std::string resp) {
  if (resp.size() < ReplyQueue::chunk_bytes || session_.replies_off()) return reply.raw(resp);
  session_.output_.append(std::move(resp));
  reply = Reply(session_.output_.tail(), reply.protocol());
}

void Call::set_protocol(int protocol) {
  session_.protocol = protocol;
  reply = Reply(session_.reply_target(), protocol);
}

void Call::set_replies(Session::Replies replies) {
  session_.set_replies(replies);
  reply = Reply(session_.reply_target(), reply.protocol());
}

void Call::fetch_first(JobId job) { session_.fetch_first(job); }

const JobDone* Call::fetched() const {
  return session_.fetch_ && session_.fetch_->done ? &*session_.fetch_->done : nullptr;
}

void Call::go_on(std::unique_ptr<Steps> steps) {
  deferred_ = true;
  session_.steps_ = std::move(steps);
}

void Call::wait_for(std::unique_ptr<Condition> condition, Millis timeout) {
  deferred_ = true;
  session_.condition_ = std::move(condition);
  session_.condition_since_ = now().steady;
  session_.condition_timeout_ = timeout;
  session_.nudged_ = false;
}

void Call::wait_for(JobWait wait) {
  deferred_ = true;
  session_.wait_for(std::move(wait));
}

}  // namespace knit
