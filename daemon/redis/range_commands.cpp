// Parts of values. Changes read the value that is shown, change it and write it whole: of two hosts that
// change different parts at once, one wins.
#include <algorithm>
#include <string>
#include <utility>

#include "daemon/redis/call.h"
#include "daemon/redis/text.h"

namespace knit {

namespace {

constexpr std::string_view too_long = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";

void count_lookup(Call& call, bool found) {
  ServerStatistics& statistics = call.server().statistics;
  (found ? statistics.hits : statistics.misses)++;
}

// Empty: the error is in the reply.
std::optional<std::string> value_or_empty(Call& call) {
  const auto found = call.keyspace()->get(call[1], call.now().wall);
  if (!found) {
    call.reply.error(found.error());
    return std::nullopt;
  }
  return *found ? std::string((*found)->value) : std::string();
}

// Writes the value and answers how long it is.
void replace(Call& call, std::string value) {
  const auto size = static_cast<std::int64_t>(value.size());
  const auto outcome =
      call.keyspace()->set(call[1], std::move(value), {.keep_expiry = true}, call.now().wall);
  if (!outcome) return call.reply.error(outcome.error());
  call.reply.integer(size);
}

void strlen(Call& call) {
  const auto found = call.keyspace()->get(call[1], call.now().wall);
  if (!found) return call.reply.error(found.error());
  count_lookup(call, found->has_value());
  call.reply.integer(*found ? static_cast<std::int64_t>((*found)->value.size()) : 0);
}

// First and last byte, counted from the end if negative, of a value of `size` bytes. Empty: no byte.
std::string_view part(std::string_view value, std::int64_t first, std::int64_t last) {
  const auto size = static_cast<std::int64_t>(value.size());
  if (first < 0 && last < 0 && first > last) return {};
  const auto from_front = [&](std::int64_t at) {
    return at < 0 ? std::max<std::int64_t>(at < -size ? 0 : size + at, 0) : at;
  };
  first = from_front(first);
  last = std::min(from_front(last), size - 1);
  if (size == 0 || first > last) return {};
  return value.substr(static_cast<std::size_t>(first), static_cast<std::size_t>(last - first + 1));
}

void getrange(Call& call) {
  const auto first = parse_integer(call[2]);
  const auto last = parse_integer(call[3]);
  if (!first || !last) return call.not_an_integer();
  const auto found = call.keyspace()->get(call[1], call.now().wall);
  if (!found) return call.reply.error(found.error());
  count_lookup(call, found->has_value());
  if (!*found) return call.reply.bulk("");
  call.bulk(std::string(part((*found)->value, *first, *last)));
}

void append(Call& call) {
  auto value = value_or_empty(call);
  if (!value) return;
  if (value->size() + call[2].size() > value_bytes_max) return call.reply.error(too_long);
  value->append(call[2]);
  replace(call, std::move(*value));
}

void setrange(Call& call) {
  const auto offset = parse_integer(call[2]);
  if (!offset) return call.not_an_integer();
  if (*offset < 0) return call.reply.error("ERR offset is out of range");
  auto value = value_or_empty(call);
  if (!value) return;
  const std::string_view patch = call[3];
  if (patch.empty()) return call.reply.integer(static_cast<std::int64_t>(value->size()));
  const auto start = static_cast<std::uint64_t>(*offset);
  if (start > value_bytes_max || start + patch.size() > value_bytes_max) return call.reply.error(too_long);
  if (value->size() < start + patch.size()) value->resize(start + patch.size(), '\0');
  value->replace(start, patch.size(), patch);
  replace(call, std::move(*value));
}

using namespace command_flag;
constexpr std::string_view group = "string";

constexpr Command table[] = {
    {"append", 3, write | denyoom | fast, 1, 1, 1, group, "key value", "Appends to the value of a key.",
     append},
    {"getrange", 4, readonly, 1, 1, 1, group, "key start end", "Returns a part of the value of a key.",
     getrange},
    {"setrange", 4, write | denyoom, 1, 1, 1, group, "key offset value",
     "Overwrites a part of the value of a key.", setrange},
    {"strlen", 2, readonly | fast, 1, 1, 1, group, "key", "Returns the length of the value of a key.",
     strlen},
    {"substr", 4, readonly, 1, 1, 1, group, "key start end", "The old name of GETRANGE.", getrange},
};

}  // namespace

std::span<const Command> range_commands() { return table; }

}  // namespace knit
