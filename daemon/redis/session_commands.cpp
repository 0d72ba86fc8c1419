// What a client takes with it from one node to another: it reads there what it has written and read here.
#include <fmt/format.h>

#include <memory>
#include <optional>
#include <string>

#include "daemon/redis/arguments.h"
#include "daemon/redis/call.h"
#include "node/token.h"

namespace knit {

namespace {

constexpr Millis gate_timeout{1000};

// All that this node shows: the client may have read it.
void token(Call& call) {
  call.saw_everything();
  Node& node = call.node();
  call.reply.bulk(token_text(node.token(), node.store().hash_keys()));
}

std::optional<Node::Needed> token_argument(Call& call, std::size_t at) {
  auto token = parse_token(call[at], call.node().store().hash_keys());
  if (token) return call.node().needed(*std::move(token));
  call.reply.error("ERR " + token.error().message);
  return std::nullopt;
}

class Visible final : public Condition {
 public:
  explicit Visible(Node::Needed needed) : needed_(std::move(needed)) {}
  bool met(const Node& node) const override { return node.shows(needed_); }
  void nudge(Node& node, Now now, Outbox& out) override { node.fetch(needed_.clock, now, out); }
  void answer(Reply& reply, const Node& node, Now, bool in_time) const override {
    if (in_time) return reply.ok();
    const std::uint64_t missing = node.lacks(needed_.clock);
    if (missing == 0) return reply.error(not_caught_up);
    reply.error(fmt::format("BEHIND {} writes that the token names are not here yet", missing));
  }

 private:
  Node::Needed needed_;
};

void waitfor(Call& call) {
  auto needed = token_argument(call, 2);
  if (!needed) return;
  const auto timeout = timeout_argument(call, 3);
  if (timeout) call.wait_for(std::make_unique<Visible>(*std::move(needed)), Millis(*timeout));
}

// KNIT SESSION ON [token] [TIMEOUT milliseconds], KNIT SESSION OFF
void session(Call& call) {
  if (call.is(2, "off") && call.size() == 3) {
    call.session().gate = {};
    return call.reply.ok();
  }
  const bool with_timeout = call.size() >= 5 && call.is(call.size() - 2, "timeout");
  const std::size_t end = call.size() - (with_timeout ? 2 : 0);
  if (!call.is(2, "on") || end > 4) return call.syntax_error();
  ReadGate gate{{}, gate_timeout};
  if (with_timeout) {
    const auto timeout = timeout_argument(call, end + 1);
    if (!timeout) return;
    if (*timeout == 0) return call.reply.error("ERR timeout must not be zero");
    gate.timeout = Millis(*timeout);
  }
  if (end == 4) {
    auto needed = token_argument(call, 3);
    if (!needed) return;
    gate.needed = *std::move(needed);
  }
  call.session().gate = std::move(gate);
  call.reply.ok();
}

using namespace command_flag;
constexpr std::string_view group = "knit";

constexpr Command table[] = {
    {"knit|session", -3, fast, 0, 0, 0, group, "<ON [token] [TIMEOUT milliseconds] | OFF>",
     "From now on commands of this client wait until what the token names is here.", session},
    {"knit|token", 2, fast, 0, 0, 0, group, "",
     "Returns what this client may have written and read, to be presented to another node.", token},
    {"knit|waitfor", 4, blocking, 0, 0, 0, group, "token timeout",
     "Waits until what the token names is here; after timeout milliseconds (0: never) says what is missing.",
     waitfor},
};

}  // namespace

std::span<const Command> session_commands() { return table; }

}  // namespace knit
