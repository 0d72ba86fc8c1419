// Numbers that are added to.
#include <limits>

#include "daemon/redis/call.h"
#include "daemon/redis/text.h"

namespace knit {

namespace {

void answer(Call& call, std::int64_t by) {
  const auto sum = call.keyspace()->add(call[1], by, call.now().wall);
  if (!sum) return call.reply.error(sum.error());
  call.reply.integer(*sum);
}

void incr(Call& call) { answer(call, 1); }
void decr(Call& call) { answer(call, -1); }

void incrby(Call& call) {
  const auto by = parse_integer(call[2]);
  if (!by) return call.not_an_integer();
  answer(call, *by);
}

void decrby(Call& call) {
  const auto by = parse_integer(call[2]);
  if (!by) return call.not_an_integer();
  if (*by == std::numeric_limits<std::int64_t>::min())
    return call.reply.error("ERR decrement would overflow");
  answer(call, -*by);
}

void incrbyfloat(Call& call) {
  auto sum = call.keyspace()->add_decimal(call[1], call[2], call.now().wall);
  if (!sum) return call.reply.error(sum.error());
  call.bulk(std::move(*sum));
}

using namespace command_flag;
constexpr std::string_view group = "string";

constexpr Command table[] = {
    {"decr", 2, write | denyoom | fast, 1, 1, 1, group, "key",
     "Subtracts one from a number; 0 if there is none.", decr},
    {"decrby", 3, write | denyoom | fast, 1, 1, 1, group, "key decrement",
     "Subtracts from a number; 0 if there is none.", decrby},
    {"incr", 2, write | denyoom | fast, 1, 1, 1, group, "key", "Adds one to a number; 0 if there is none.",
     incr},
    {"incrby", 3, write | denyoom | fast, 1, 1, 1, group, "key increment",
     "Adds to a number; 0 if there is none.", incrby},
    {"incrbyfloat", 3, write | denyoom | fast, 1, 1, 1, group, "key increment",
     "Adds a decimal number to a number; 0 if there is none.", incrbyfloat},
};

}  // namespace

std::span<const Command> counter_commands() { return table; }

}  // namespace knit
