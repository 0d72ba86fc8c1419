// The log, and what streams bring.
#include <algorithm>
#include <map>

#include "crdt/row_key.h"
#include "store/log_key.h"
#include "store/row_record.h"
#include "store/store.h"

namespace knit {

namespace {

constexpr std::size_t entry_overhead_bytes = 32;  // The key, and what LMDB needs for an entry.
// Forgotten at once: not too much for one commit, unless it has grown far beyond its bounds.
constexpr std::uint64_t trimmed_bytes_max = 16 << 20;
constexpr std::uint64_t trimmed_share = 4;

}  // namespace

void Store::put_log(Dot dot, std::string_view row_key) {
  pending_.put(Table::log, LogKey(dot), row_key);
  log_.note(dot, row_key.size() + entry_overhead_bytes, hybrid_clock_.last().time());
}

void Store::trim_log(WallTime now) {
  const std::uint64_t bytes_before = log_.bytes();
  const std::uint64_t excess = bytes_before - std::min(bytes_before, options_.log.bytes_max);
  const std::uint64_t enough = std::max(trimmed_bytes_max, excess / trimmed_share);
  std::map<ActorId, std::uint64_t> up_to;
  while (bytes_before - log_.bytes() < enough) {
    const std::vector<Dot> segment = log_.trim(now);
    if (segment.empty()) break;
    for (const Dot last : segment) up_to[last.actor] = std::max(up_to[last.actor], last.sequence);
  }
  for (const auto& [actor, sequence] : up_to) {
    pending_.trim_log({std::string(LogKey({actor, 0})), std::string(LogKey({actor, sequence + 1}))});
    dirty_ = true;
  }
}

Result<void> Store::visit_log(
    ActorId actor, std::uint64_t after,
    FunctionRef<bool(std::uint64_t sequence, std::string_view row_key)> visit) const {
  return pending_.scan(Table::log, LogKey({actor, after + 1}),
                       [&](std::string_view key, std::string_view row_key) {
                         ByteReader in(key);
                         const Dot dot{{in.u64()}, in.u64()};
                         if (dot.actor != actor || !in.done()) return false;
                         return visit(dot.sequence, row_key);
                       });
}

std::optional<std::string_view> Store::body_of(std::string_view row_key) const {
  const auto found = pending_.get(Table::rows, row_key);
  if (!found || !found->value) return std::nullopt;
  if (found->layer != Pending::Layer::disk) return body_in_record(*found->value);  // Made by us, just now.
  const auto record = decode_record(row_key, *found->value);
  if (record) return record->body;
  found_damage(row_key);
  return std::nullopt;
}

void Store::count_stale_read(std::string_view row_key, const RegisterRow& theirs, WallTime now) {
  const auto read = read_marks_.last(position_of(row_key).key_hash, now);
  if (!read) return;
  for (const Sibling& sibling : theirs.siblings()) {
    const WallTime written = sibling.stamp.time();
    if (written >= *read || clock_.covers(sibling.dot)) continue;
    const Millis age(static_cast<Millis::rep>(read->millis - written.millis));
    ++stale_reads_.count;
    stale_reads_.last_age = age;
    stale_reads_.most_age = std::max(stale_reads_.most_age, age);
    return;
  }
}

Result<bool> Store::merge_streamed(std::string_view row_key, std::string_view body, Dot dot, WallTime now) {
  return merge(row_key, body, dot, floor_, now);
}

// What the clock gained with a row that stays as it is.
void Store::append_unchanged(std::string_view row_key) {
  if (!gained_.empty()) write_journal({.row_key = row_key, .row_unchanged = true});
}

Result<void> Store::note_streamed(std::string_view row_key, Dot dot) {
  if (auto space = check_space(has_reserve()); !space) return space;
  gain(dot);
  append_unchanged(row_key);
  return {};
}

Result<void> Store::cover_streamed(const Clock& dots) {
  if (auto space = check_space(has_reserve()); !space) return space;
  Clock joined = clock_;
  joined.join(dots);
  if (!joined.within_limits()) return fail(ErrorCode::refused, "a clock with too many actors or gaps");
  if (joined == clock_) return {};
  // What was not gained has no entry in the log.
  const bool logged = std::none_of(dots.entries().begin(), dots.entries().end(),
                                   [&](const auto& entry) { return ungained_.erase(entry.first) > 0; });
  if (!logged) log_.raise_by(dots, clock_);
  change_clock(std::move(joined), dots, logged ? ClockChange::streamed : ClockChange::joined);
  return {};
}

void Store::change_clock(Clock clock, const Clock& told, ClockChange change) {
  clock_ = std::move(clock);
  ByteWriter out(joined_);
  told.encode(out);
  clock_change_ = change;
  append({}, {}, std::nullopt);
}

}  // namespace knit
