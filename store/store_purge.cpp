// What all nodes have, and what may vanish because of it.
//
// Two lines (crdt/line.h) that never fall (but see recall_purged()):
//  - the floor: what all members have. Nobody may merge rows from a node that does not have it.
//  - purged: what all members know to be below their floors. Spent rows at or below it vanish here. So a
//    write over a vanished row meets the old tombstone, or the expired value, only where the floor tells that
//    it is spent (see RegisterRow::settle_spent()).
// The log names the rows to look at. Where it is not complete, or memory of a row that had to wait was lost,
// or values have expired, all rows are looked at once: a pass. What is missed all the same is found by an
// exchange.
#include <algorithm>
#include <utility>

#include "base/fault.h"
#include "store/log_key.h"
#include "store/row_record.h"
#include "store/store.h"

namespace knit {

namespace {

constexpr std::size_t spent_rows_max = 1 << 16;  // Remembered, of each kind.

}  // namespace

Result<void> Store::raise_floor(const Line& floor) {
  if (floor_.covers(floor)) return {};
  if (!floor_.clock.covers(floor.clock)) ++floor_number_;
  floor_.join(floor);
  put_floor();
  return {};
}

// What this node lacks it cannot have purged, whatever its floor was before damage took it.
void Store::purge_to(const Line& common_floor) {
  const bool has_all = clock_.covers(common_floor.clock) || planted(Fault::purged_what_was_lost);
  const Line part{Clock::common_bases(common_floor.clock, clock_), {}};
  purge_target_.join(has_all ? common_floor : part);
}

// After a start: damage to the journal may have taken deletes that were purged already, and left what they
// had deleted. Peers that hold them still are to send them.
void Store::recall_purged() {
  if (clock_.covers(purged_.clock) || planted(Fault::purged_what_was_lost)) return;
  purged_ = {Clock::common_bases(purged_.clock, clock_), {}};
  put_floor();
}

void Store::forget_expired() {
  floor_.expired = purged_.expired = purge_target_.expired = {};
  put_floor();
}

// The first actor of whom there is something to purge.
std::optional<ActorId> Store::next_to_purge() const {
  for (const auto& [actor, entry] : purge_target_.clock.entries()) {
    if (purged_.clock.base(actor) < entry.base) return actor;
  }
  return std::nullopt;
}

bool Store::has_to_purge() const {
  const bool rises = next_to_purge() || purged_.expired < purge_target_.expired;
  return passes() || (!purge_held_ && rises);
}

// Where nothing was deleted or has expired, and nothing waits, there is nothing to look for: writers do not
// pay for it.
bool Store::has_spent_rows() {
  return tree_->total().count != census_.stored() || !unripe_.empty() || census_.any_expired(purged_.expired);
}

Result<void> Store::purge_step(std::size_t rows, WallTime now) {
  if (const auto actor = next_to_purge()) {
    if (!has_spent_rows()) {
      purged_.clock.join(purge_target_.clock);
    } else if (auto purged = purge_logged(*actor, purge_target_.clock.base(*actor), rows, now); !purged) {
      return purged;
    }
    put_floor();
    return {};
  }
  if (purged_.expired < purge_target_.expired) {
    purged_.expired = purge_target_.expired;
    ask_pass();
    put_floor();
    return {};
  }
  for (; rows > 0 && !found_spent_.empty(); --rows) {
    const auto found = found_spent_.extract(found_spent_.begin());
    if (auto purged = purge_row(found.value(), now); !purged) return tl::unexpected(purged.error());
  }
  return pass_ == PurgePass::none || rows == 0 ? Result<void>{} : pass_step(rows, now);
}

// A part of a pass over all rows.
Result<void> Store::pass_step(std::size_t rows, WallTime now) {
  struct Found {
    std::string row_key;
    bool expired = false;
  };
  std::vector<Found> found;
  if (pass_ == PurgePass::due) {
    pass_ = PurgePass::on;
    pass_from_.clear();
    unripe_.clear();
    unspent_ = 0;
  }
  const WallTime expired = std::min(purged_.expired, now);
  std::size_t looked_at = 0;
  std::string next;
  auto scanned =
      pending_.scan(Table::rows, pass_from_, [&](std::string_view row_key, std::string_view bytes) {
        if (looked_at++ == rows) {
          next = row_key;
          return false;
        }
        const auto record = decode_record(row_key, bytes);
        if (record && record->shown_until <= expired.millis)
          found.push_back({std::string(row_key), record->shown_until != shows_nothing});
        return true;
      });
  if (!scanned) return scanned;
  for (const Found& row : found) {
    const auto went = purge_row(row.row_key, now);
    if (!went) return tl::unexpected(went.error());
    if (row.expired && !*went) ++unspent_;
  }
  pass_from_ = next;
  if (!next.empty()) return {};
  pass_ = std::exchange(pass_again_, false) ? PurgePass::due : PurgePass::none;
  return {};
}

// Purges what the log names of this actor, up to `to`, at most so many rows.
Result<void> Store::purge_logged(ActorId actor, std::uint64_t to, std::size_t rows, WallTime now) {
  std::vector<std::string> named;
  auto visited =
      visit_log(actor, purged_.clock.base(actor), [&](std::uint64_t sequence, std::string_view row_key) {
        if (sequence > to) return false;
        if (named.size() == rows) {
          to = sequence - 1;
          return false;
        }
        named.emplace_back(row_key);
        return true;
      });
  if (!visited) return visited;
  const bool all_named = log_.complete_from(actor) <= purged_.clock.base(actor) && !unripe_forgotten_;
  if (!all_named) ask_pass();
  unripe_forgotten_ = false;
  purged_.clock.add(actor, {1, to});
  const auto ripe = unripe_.upper_bound({actor, to});
  for (auto waiting = unripe_.lower_bound({actor, 0}); waiting != ripe; waiting = unripe_.erase(waiting)) {
    if (named.size() < 2 * rows) {
      named.push_back(std::move(waiting->second));
    } else {
      found_spent(waiting->second);
    }
  }
  for (const std::string& row_key : named) {
    if (auto purged = purge_row(row_key, now); !purged) return tl::unexpected(purged.error());
  }
  return {};
}

// Answers false for a row that is not spent. (One that is damaged is healed by a peer.) What the line says of
// a time that is still to come is not so: the clock was set back.
Result<bool> Store::purge_row(const std::string& row_key, WallTime now) {
  const WallTime expired = std::min(purged_.expired, now);
  const auto stored = pending_.get(Table::rows, row_key);
  if (!stored) return tl::unexpected(stored.error());
  if (!stored->value) return true;
  const auto record = decode_record(row_key, *stored->value);
  if (!record || record->shown_until > expired.millis) return false;
  const auto body = decode_body(record->body);
  if (!body || !body->row.is_spent(expired)) return false;
  const auto above = body->row.above(purged_.clock);
  if (above && !planted(Fault::purged_above_floor)) {
    note_unripe(*above, row_key);
    return true;
  }
  tree_->apply(position_of(row_key), record->digest, std::nullopt);
  census_.remove(record->shown_until);
  pending_.erase(Table::rows, row_key);
  gone_lately_.note_gone(row_key);
  ++purged_rows_;
  dirty_ = true;
  return true;
}

void Store::note_unripe(Dot waits_for, std::string_view row_key) const {
  if (unripe_.size() < spent_rows_max) {
    unripe_.emplace(waits_for, row_key);
  } else {
    unripe_forgotten_ = true;
  }
}

void Store::note_spent(std::string_view row_key, std::string_view bytes) const {
  const auto body = decode_body(bytes);
  if (!body || !body->row.is_spent(purged_.expired)) return;
  if (const auto above = body->row.above(purged_.clock)) {
    note_unripe(*above, row_key);
  } else {
    found_spent(row_key);
  }
}

void Store::found_spent(std::string_view row_key) const {
  if (found_spent_.size() < spent_rows_max) {
    found_spent_.emplace(row_key);
  } else {
    ask_pass();
  }
}

// One that is under way may have passed what is looked for.
void Store::ask_pass() const {
  if (pass_ == PurgePass::on) {
    pass_again_ = true;
  } else {
    pass_ = PurgePass::due;
  }
}

Result<void> Store::keep_what_is_in(std::string_view row_key, const RowVersion& theirs, const Clock& fence) {
  if (auto space = check_space(has_reserve()); !space) return space;
  auto mine = open_row(std::string(row_key));
  if (!mine) return mine.error().code == ErrorCode::corrupt ? Result<void>{} : tl::unexpected(mine.error());
  if (!mine->row.keep_what_is_in(theirs, fence) || planted(Fault::rejoined_with_all)) return {};
  const auto stored = pending_.get(Table::rows, row_key);
  if (!stored) return tl::unexpected(stored.error());
  const auto body = decode_body(body_in_record(*stored->value));
  if (mine->row.empty()) mine->row = {};
  const std::string name(body ? body->name : std::string_view{});
  store_row(*mine, name, std::nullopt);
  return {};
}

}  // namespace knit
