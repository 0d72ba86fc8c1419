#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "base/bytes.h"
#include "daemon/redis/knit_commands.h"
#include "daemon/redis/repair_forecast.h"

namespace knit {

namespace {

std::string_view outcome_name(Exchange::Outcome outcome) {
  switch (outcome) {
    case Exchange::Outcome::running: return "running";
    case Exchange::Outcome::equal: return "equal";
    case Exchange::Outcome::repaired: return "repaired";
    case Exchange::Outcome::compared: return "compared";
    case Exchange::Outcome::cleared: return "cleared";
    case Exchange::Outcome::incomplete: return "incomplete";
  }
  return "unknown";
}

std::string_view state_name(Content content) {
  switch (content) {
    case Content::tombstone: return "tombstone";
    case Content::value: return "value";
    case Content::dropped: return "expired";
    case Content::cleared: return "cleared";
  }
  return "unknown";
}

void write_side(Reply reply, const std::optional<RowSummary>& side) {
  if (!side) return reply.null();
  std::string dots;
  for (const RowVersion::Live& live : side->version.live)
    dots += (dots.empty() ? "" : ",") + to_string(live.dot);
  for (const Component& component : side->version.counter.components())
    dots += (dots.empty() ? "" : ",") + to_string(component.last_dot());
  MapReply map(reply.protocol());
  map.text("state", state_name(side->content));
  map.count("stamp_ms", side->stamp.time().millis);
  map.count("stamp_counter", side->stamp.value & 0xffff);
  map.count("value_bytes", side->value_bytes);
  map.text("dots", dots);
  map.write_to(reply);
}

void write_difference(Reply reply, const Difference& difference) {
  const RepairForecast expected = forecast(difference);
  MapReply map(reply.protocol());
  map.text("key", difference.key);
  map.text("row_key_hex", to_hex(difference.row_key));
  write_side(map.field("mine"), difference.mine);
  write_side(map.field("theirs"), difference.theirs);
  map.text("winner", name_of(expected.winner));
  map.text("kept", expected.sends && expected.receives ? "both" : expected.receives ? "theirs" : "mine");
  map.count("send_bytes", expected.send_bytes);
  map.count("receive_bytes", expected.receive_bytes);
  map.write_to(reply);
}

// What a repair would ship, as far as differences were listed at all.
void add_forecast(MapReply& map, const std::vector<Difference>& differences) {
  ExchangeStats sum;
  for (const Difference& difference : differences) {
    const RepairForecast expected = forecast(difference);
    sum.rows_sent += expected.sends ? 1 : 0;
    sum.row_bytes_sent += expected.send_bytes;
    sum.rows_received += expected.receives ? 1 : 0;
    sum.row_bytes_received += expected.receive_bytes;
  }
  map.count("forecast_of", differences.size());
  map.count("send_rows", sum.rows_sent);
  map.count("send_bytes", sum.row_bytes_sent);
  map.count("receive_rows", sum.rows_received);
  map.count("receive_bytes", sum.row_bytes_received);
}

void write_sibling(Reply reply, const Sibling& sibling, bool winner) {
  MapReply map(reply.protocol());
  map.flag("winner", winner);
  map.text("state", state_name(sibling.content));
  map.count("stamp_ms", sibling.stamp.time().millis);
  map.count("stamp_counter", sibling.stamp.value & 0xffff);
  map.text("dot", to_string(sibling.dot));
  map.integer("expires_ms", sibling.expiry.never() ? -1 : static_cast<std::int64_t>(sibling.expiry.millis));
  if (sibling.content == Content::value) {
    map.text("value", sibling.value);
  } else {
    map.field("value").null();
  }
  map.write_to(reply);
}

}  // namespace

void write_report(Reply reply, const ExchangeReport& report) {
  const ExchangeStats& stats = report.stats;
  MapReply map(reply.protocol());
  map.text("peer", to_string(report.peer));
  map.text("peer_name", report.peer_name);
  map.text("outcome", report.error.empty() ? outcome_name(report.outcome) : "failed");
  map.text("error", report.error);
  map.flag("initiated", report.initiated);
  map.integer("duration_ms", report.duration.count());
  map.count("ended_ms", report.ended.millis);
  map.count("messages", stats.messages_sent + stats.messages_received);
  map.count("comparison_bytes", stats.comparison_bytes_sent + stats.comparison_bytes_received);
  map.count("row_bytes", stats.row_bytes_sent + stats.row_bytes_received);
  map.count("rows_sent", stats.rows_sent);
  map.count("rows_received", stats.rows_received);
  map.count("rows_changed", stats.rows_changed);
  map.write_to(reply);
}

void write_diff(Reply reply, const JobDone& done, std::size_t limit) {
  const ExchangeReport report = done.exchange.value_or(ExchangeReport{});
  const ExchangeStats& stats = report.stats;
  const std::size_t listed = std::min(limit, done.differences.size());
  MapReply map(reply.protocol());
  map.text("peer", report.peer_name);
  map.count("found", done.differences_found);
  map.count("listed", listed);
  map.text("outcome", outcome_name(report.outcome));
  map.count("comparison_bytes", stats.comparison_bytes_sent + stats.comparison_bytes_received);
  map.count("messages", stats.messages_sent + stats.messages_received);
  map.integer("duration_ms", report.duration.count());
  add_forecast(map, done.differences);
  Reply differences = map.field("differences");
  differences.array(listed);
  for (std::size_t at = 0; at < listed; at++) write_difference(differences, done.differences[at]);
  map.write_to(reply);
}

void write_verification(Reply reply, const Store::Verification& verification, const ScrubStatus& scrub,
                        Millis duration) {
  MapReply map(reply.protocol());
  map.count("rows", verification.rows);
  map.count("damaged_rows", verification.damaged_rows);
  map.count("wrong_leaves", verification.wrong_leaves);
  map.integer("duration_ms", duration.count());
  Reply keys = map.field("damaged_keys");
  keys.array(verification.damaged_keys.size());
  for (const std::string& key : verification.damaged_keys) keys.bulk(key);
  const ScrubReport last = scrub.last.value_or(ScrubReport{});
  map.flag("scrub_on", scrub.on);
  map.text("scrub_progress", fmt::format("{:.4f}", scrub.progress));
  map.count("scrub_ended_ms", last.ended.millis);
  map.count("scrub_rows", last.rows);
  map.count("scrub_damaged_rows", last.damaged_rows);
  map.count("scrub_wrong_leaves", last.wrong_leaves);
  map.write_to(reply);
}

// What KNIT RESOLVE takes as what its client has seen.
std::string dots_text(const std::vector<Sibling>& siblings) {
  std::string text;
  for (const Sibling& sibling : siblings) text += (text.empty() ? "" : ",") + to_string(sibling.dot);
  return text;
}

void write_siblings(Reply reply, std::string_view key, const std::vector<Sibling>& siblings) {
  MapReply map(reply.protocol());
  map.text("key", key);
  Reply list = map.field("siblings");
  list.array(siblings.size());
  for (std::size_t at = 0; at < siblings.size(); at++) write_sibling(list, siblings[at], at == 0);
  map.text("context", dots_text(siblings));
  map.write_to(reply);
}

void write_conflicts(Reply reply, const Conflicts& conflicts, std::size_t limit) {
  MapReply map(reply.protocol());
  map.count("of_writes", conflicts.of_writes());
  map.count("of_deletes", conflicts.of_deletes());
  const auto& recent = conflicts.recent();
  const std::size_t listed = std::min(limit, recent.size());
  Reply list = map.field("recent");
  list.array(listed);
  for (std::size_t at = 0; at < listed; ++at) {
    const Conflict& conflict = recent[recent.size() - 1 - at];
    MapReply entry(reply.protocol());
    entry.text("key", conflict.key);
    entry.count("found_ms", conflict.found.millis);
    entry.text("cause", conflict.with_delete() ? "delete" : "writes");
    write_sibling(entry.field("winner"), conflict.winner, true);
    write_sibling(entry.field("loser"), conflict.loser, false);
    entry.count("winner_bytes", conflict.winner_bytes);
    entry.count("loser_bytes", conflict.loser_bytes);
    entry.write_to(list);
  }
  map.write_to(reply);
}

}  // namespace knit
