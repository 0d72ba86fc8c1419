#include "daemon/redis/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/check.h"
#include "daemon/redis/call.h"
#include "daemon/redis/text.h"

namespace knit {

namespace {

constexpr std::size_t requests_ahead = 16;     // Whose rows are fetched from memory at once.
constexpr std::size_t quoted_bytes_max = 128;  // Of what a client sent, in an error about it.

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
  std::string error;  // If there is none.
};

Resolved resolve(const RequestParser& request, bool debug_commands) {
  const Command* command = find_command(request[0]);
  if (command == nullptr) return {nullptr, unknown_command(request)};
  if (request.size() > 1 && command->has(command_flag::container)) {
    const Command* subcommand = find_subcommand(*command, request[1]);
    const bool hidden = subcommand != nullptr && subcommand->has(command_flag::debug) && !debug_commands;
    if (subcommand == nullptr || hidden) return {nullptr, unknown_subcommand(*command, request[1])};
    command = subcommand;
  }
  if (!command->takes(request.size()) || command->handler == nullptr) return {nullptr, wrong_arity(*command)};
  return {command, {}};
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
  if (!wait_) return;
  for (const JobWait::Job& job : wait_->jobs) {
    if (job.done) continue;
    server_.jobs.erase(job.id);
    server_.node.cancel(job.id);
  }
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
  if (wait_) close_after_reply = true;
}

Session::Pause Session::run() {
  if (turn_ != server_.turn) {
    turn_ = server_.turn;
    commands_in_turn_ = 0;
  }
  for (bool executed = true; executed;) {
    if (overflown()) return Pause::overflow;
    if (close_after_reply) return Pause::closing;
    if (wait_) return Pause::job;
    if (!may_run()) return Pause::pressure;
    if (commands_in_turn_ >= commands_per_turn) return Pause::turn;
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
  switch (parser_.next()) {
    case RequestParser::Step::request: execute(); break;
    case RequestParser::Step::refused: answer_error(parser_.error()); break;
    case RequestParser::Step::broken:
      answer_error(parser_.error());
      close_after_reply = true;
      break;
    case RequestParser::Step::incomplete: executed = false; break;
  }
  return input_ended_ ? Pause::closing : Pause::input;
}

void Session::answer_error(std::string_view line) {
  server_.statistics.error_replies++;
  Reply(output_.tail(), protocol).error(line);
  output_.end_reply({});
}

void Session::execute() {
  const Resolved resolved = resolve(parser_, server_.options.debug_commands);
  if (!authenticated && (resolved.command == nullptr || !resolved.command->has(command_flag::no_auth))) {
    return answer_error("NOAUTH Authentication required.");
  }
  if (resolved.command == nullptr) return answer_error(resolved.error);
  last_command_ = resolved.command;
  server_.statistics.commands++;
  const std::string& reply = output_.tail();  // Where it begins. Chunks stay where they are.
  const std::size_t start = reply.size();
  Call call(*this, *resolved.command);
  resolved.command->handler(call);
  if (call.deferred()) return;
  if (reply.size() > start && reply[start] == '-') server_.statistics.error_replies++;
  output_.end_reply(call.saw());
}

void Session::wait_for(JobWait wait) {
  for (const JobWait::Job& job : wait.jobs) {
    if (!job.done) server_.jobs.emplace(job.id, id_);
  }
  wait_ = std::move(wait);
  wait_->started = server_.now.steady;
  if (wait_->over()) finish_wait();
}

void Session::on_job_done(const JobDone& done) {
  server_.jobs.erase(done.job);
  if (!wait_) return;
  for (JobWait::Job& job : wait_->jobs) {
    if (!job.done && job.id == done.job) job.done = done;
  }
  if (wait_->over()) finish_wait();
}

// What a job did is synced or not by itself: its report says nothing that a crash could take back.
void Session::finish_wait() {
  wait_->duration = server_.hooks.now().steady - wait_->started;
  Reply reply(output_.tail(), protocol);
  wait_->answer(reply, *wait_);
  output_.end_reply({});
  wait_.reset();
}

void Session::on_undone(std::string_view error_line) {
  output_.replace_unsynced(server_.node.store().synced(), error_line);
}

std::string Session::describe() const {
  const auto seconds = [&](Now since) { return (server_.now.steady - since.steady).count() / 1000; };
  std::string flags;
  if (peer_.unix_socket) flags.push_back('U');
  if (wait_) flags.push_back('b');
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
  session_.output_.append(std::string(bytes));
  reply = Reply(session_.output_.tail(), reply.protocol());
  reply.line_end();
}

void Call::set_protocol(int protocol) {
  session_.protocol = protocol;
  reply = Reply(session_.output_.tail(), protocol);
}

void Call::wait_for(JobWait wait) {
  deferred_ = true;
  session_.wait_for(std::move(wait));
}

}  // namespace knit
