// One command being executed: its arguments, its reply, and what it may touch.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "daemon/redis/reply.h"
#include "daemon/redis/session.h"

namespace knit {

class Call {
 public:
  Call(Session& session, const Command& command)
      : reply(session.reply_target(), session.protocol), command_(command), session_(session) {}

  std::size_t size() const { return session_.parser_.size(); }  // With the name.
  std::string_view operator[](std::size_t index) const { return session_.parser_[index]; }
  std::string take(std::size_t index) { return session_.take_argument(index); }
  bool is(std::size_t index, std::string_view word) const;  // Of either case.

  const Command& command() const { return command_; }
  Session& session() { return session_; }
  ServerState& server() { return session_.server_; }
  Node& node() { return server().node; }
  const Now& now() { return server().now; }

  // The keyspace, for one call: what that call saw holds the reply back.
  class Access {
   public:
    Access(Keyspace& keyspace, JournalPosition& saw) : keyspace_(keyspace), saw_(saw) {}
    ~Access() { saw_ = std::max(saw_, keyspace_.seen()); }
    Access(const Access&) = delete;
    Access& operator=(const Access&) = delete;
    Keyspace* operator->() { return &keyspace_; }

   private:
    Keyspace& keyspace_;
    JournalPosition& saw_;
  };
  Access keyspace() { return {server().keyspace, saw_}; }
  void saw_everything() { saw_ = std::max(saw_, node().store().applied()); }
  JournalPosition saw() const { return saw_; }

  void bulk(std::string_view bytes);                       // As reply.bulk(), large ones copied only once.
  void raw(std::string resp);                              // As reply.raw(), large ones without a copy.
  bool overflown() const { return session_.overflown(); }  // The client is lost; no need to go on.
  void set_protocol(int protocol);
  void set_replies(Session::Replies replies);

  // The command is answered later, when all jobs have ended. Nothing may be in the reply.
  void wait_for(JobWait wait);
  // The command is answered once `condition` is met, or after `timeout`; zero: only then. Nothing may be in
  // the reply.
  void wait_for(std::unique_ptr<Condition> condition, Millis timeout);
  // The command is executed again once this read of peers is over; fetched() is not null then. Nothing may be
  // in the reply.
  void fetch_first(JobId job);
  const JobDone* fetched() const;
  // The command goes on in steps, one a turn. Nothing may be in the reply.
  void go_on(std::unique_ptr<Steps> steps);
  bool deferred() const { return deferred_; }

  // Frequent errors.
  void syntax_error() { reply.error("ERR syntax error"); }
  void not_an_integer() { reply.error("ERR value is not an integer or out of range"); }

  Reply reply;

 private:
  const Command& command_;
  Session& session_;
  JournalPosition saw_;
  bool deferred_ = false;
};

}  // namespace knit
