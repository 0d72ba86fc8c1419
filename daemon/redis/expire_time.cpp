#include "daemon/redis/expire_time.h"

#include <algorithm>

#include "daemon/redis/call.h"
#include "daemon/redis/text.h"

namespace knit {

namespace {

void invalid(Call& call) {
  call.reply.error("ERR invalid expire time in '" + std::string(call.command().name) + "' command");
}

// Milliseconds since 1970; empty on overflow.
std::optional<std::int64_t> absolute(std::int64_t number, TimeUnit unit, WallTime now) {
  std::int64_t millis = number;
  if (unit.seconds && __builtin_mul_overflow(number, std::int64_t{1000}, &millis)) return std::nullopt;
  if (!unit.relative) return millis;
  if (__builtin_add_overflow(millis, static_cast<std::int64_t>(now.millis), &millis)) return std::nullopt;
  return millis;
}

std::optional<Expiry> checked_expiry(Call& call, std::size_t at, TimeUnit unit, bool positive) {
  const auto number = parse_integer(call[at]);
  if (!number) {
    call.not_an_integer();
    return std::nullopt;
  }
  const auto millis = absolute(*number, unit, call.now().wall);
  if (!millis || (positive && *number < 1)) {
    invalid(call);
    return std::nullopt;
  }
  return Expiry{static_cast<std::uint64_t>(std::max<std::int64_t>(*millis, 0))};
}

}  // namespace

std::optional<TimeUnit> time_unit(std::string_view option) {
  if (equal_ignoring_case(option, "ex")) return TimeUnit{true, true};
  if (equal_ignoring_case(option, "px")) return TimeUnit{false, true};
  if (equal_ignoring_case(option, "exat")) return TimeUnit{true, false};
  if (equal_ignoring_case(option, "pxat")) return TimeUnit{false, false};
  return std::nullopt;
}

std::optional<Expiry> expiry_of(Call& call, std::size_t at, TimeUnit unit) {
  return checked_expiry(call, at, unit, false);
}

std::optional<Expiry> positive_expiry(Call& call, std::size_t at, TimeUnit unit) {
  return checked_expiry(call, at, unit, true);
}

}  // namespace knit
