#include "daemon/redis/repair_forecast.h"

#include <algorithm>
#include <string>
#include <tuple>

#include "base/bytes.h"
#include "crdt/expiry.h"
#include "crdt/row_body.h"

namespace knit {

namespace {

using Winner = RepairForecast::Winner;

std::size_t varint_bytes(std::uint64_t value) {
  std::string bytes;
  ByteWriter(bytes).varint(value);
  return bytes.size();
}

std::uint64_t with_length(std::uint64_t size) { return varint_bytes(size) + size; }

// As RegisterRow::encode() would make it, the bytes of values aside.
std::uint64_t version_bytes(const RowSummary& side) {
  std::string bytes;
  ByteWriter out(bytes);
  out.varint(side.version.live.size());
  for (const RowVersion::Live& live : side.version.live) {
    out.u64(live.dot.actor.value);
    out.varint(live.dot.sequence);
    out.u64(side.stamp.value);
    encode_expiry(out, live.expiry);
    out.u8(0);
  }
  side.version.context.encode(out);
  side.version.counter.encode(out);
  return bytes.size();
}

std::uint64_t row_bytes(const Difference& difference, const RowSummary& side) {
  const bool has_value = side.content == Content::value && !side.version.live.empty();
  const std::uint64_t value = has_value ? with_length(side.value_bytes) : 0;
  const std::uint64_t name = with_length(body_name(difference.key).size());
  return with_length(difference.row_key.size()) + with_length(name + version_bytes(side) + value);
}

bool shares_a_dot(const RowVersion& mine, const RowVersion& theirs) {
  return std::any_of(mine.live.begin(), mine.live.end(), [&](const RowVersion::Live& live) {
    return std::any_of(theirs.live.begin(), theirs.live.end(),
                       [&](const RowVersion::Live& other) { return other.dot == live.dot; });
  });
}

// Versions do not say which of their dots is the winner's; a stamp is hardly ever issued twice.
bool shows_the_same(const RowSummary& mine, const RowSummary& theirs) {
  return mine.stamp == theirs.stamp && mine.content == theirs.content &&
         mine.version.counter == theirs.version.counter && shares_a_dot(mine.version, theirs.version);
}

bool shows_lower(const RowSummary& a, const RowSummary& b) {
  const auto rank = [](const RowSummary& side) {
    const auto& live = side.version.live;
    return std::tuple(side.content != Content::cleared, side.stamp, live.empty() ? Dot{} : live.back().dot);
  };
  return rank(a) < rank(b);
}

Winner winner_of(const RepairForecast& expected, const RowSummary& mine, const RowSummary& theirs) {
  if (shows_the_same(mine, theirs)) return Winner::equal;
  if (!expected.receives) return Winner::mine;
  if (!expected.sends) return Winner::theirs;
  if (mine.version.counter != theirs.version.counter) return Winner::both;
  return shows_lower(mine, theirs) ? Winner::theirs : Winner::mine;
}

}  // namespace

RepairForecast forecast(const Difference& difference) {
  const auto& [mine, theirs] = std::tie(difference.mine, difference.theirs);
  RepairForecast expected;
  expected.sends = mine && (!theirs || has_news(mine->version, theirs->version));
  expected.receives = theirs && (!mine || has_news(theirs->version, mine->version));
  if (expected.sends) expected.send_bytes = row_bytes(difference, *mine);
  if (expected.receives) expected.receive_bytes = row_bytes(difference, *theirs);
  if (mine && theirs) {
    expected.winner = winner_of(expected, *mine, *theirs);
  } else {
    expected.winner = mine ? Winner::mine : Winner::theirs;
  }
  return expected;
}

std::string_view name_of(Winner winner) {
  switch (winner) {
    case Winner::mine: return "mine";
    case Winner::theirs: return "theirs";
    case Winner::equal: return "equal";
    case Winner::both: return "both";
  }
  return "unknown";
}

}  // namespace knit
