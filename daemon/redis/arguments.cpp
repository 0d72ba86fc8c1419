#include "daemon/redis/arguments.h"

#include <algorithm>
#include <limits>

#include "daemon/redis/call.h"
#include "daemon/redis/text.h"

namespace knit {

std::optional<std::int64_t> integer_argument(Call& call, std::size_t at) {
  const auto number = parse_integer(call[at]);
  if (!number) call.not_an_integer();
  return number;
}

std::optional<int> int_argument(Call& call, std::size_t at) {
  using Limits = std::numeric_limits<int>;
  const auto number = integer_argument(call, at);
  if (!number) return std::nullopt;
  if (*number >= Limits::min() && *number <= Limits::max()) return static_cast<int>(*number);
  call.reply.error("ERR value is out of range, value must between -2147483648 and 2147483647");
  return std::nullopt;
}

std::optional<std::int64_t> timeout_argument(Call& call, std::size_t at) {
  constexpr std::int64_t timeout_max = std::int64_t{1} << 53;  // So that times can be added.
  const auto millis = parse_integer(call[at]);
  if (millis && *millis >= 0) return std::min(*millis, timeout_max);
  call.reply.error(millis ? "ERR timeout is negative" : "ERR timeout is not an integer or out of range");
  return std::nullopt;
}

bool is_only_database(Call& call, std::size_t at) {
  const auto database = int_argument(call, at);
  if (database && *database != 0) call.reply.error("ERR DB index is out of range");
  return database && *database == 0;
}

}  // namespace knit
