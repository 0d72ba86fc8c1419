#include "store/store.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "base/fault.h"
#include "store/log_key.h"
#include "store/row_record.h"
#include "store/tree_rows.h"

namespace knit {

namespace {

constexpr std::size_t continued_max = 65'536;  // Counters; the rest begin a new component in each boot.
constexpr std::uint64_t reserve_share = 4;     // The last quarter of the reserve is for the database itself.

constexpr std::size_t record_kept_bytes = 1 << 20;

}  // namespace

Store::Store(OrderedStore& disk, Journal& journal, StoreOptions options)
    : disk_(disk),
      journal_(journal),
      options_(std::move(options)),
      identity_(options_.fresh),
      pending_(disk),
      hybrid_clock_(options_.clock_max_ahead),
      log_(options_.log),
      tree_rows_(std::make_unique<TreeRows>(*this)),
      tree_(std::make_unique<Tree>(*tree_rows_)) {}

Store::~Store() = default;

Result<OpenRow> Store::read(std::string_view key) {
  auto row = open_row(string_row_key(key, hash_keys()));
  if (!row) return row;
  row->name = body_name(key);
  if (context_may_go(row->row)) row->row.forget_context();
  return row;
}

Result<OpenRow> Store::read_to_replace(std::string_view key, Values values) {
  auto row = open_row(string_row_key(key, hash_keys()), values);
  if (row) {
    row->name = body_name(key);
    if (context_may_go(row->row)) row->row.forget_context();
    return row;
  }
  if (row.error().code != ErrorCode::corrupt) return row;
  OpenRow blank;
  blank.name = body_name(key);
  blank.row_key = string_row_key(key, hash_keys());
  blank.row = RegisterRow::unreadable(clock_);
  if (damaged_.contains(blank.row_key)) return blank;
  return row;
}

// What a read out of this layer must wait for before it is shown.
JournalPosition Store::seen_in(Pending::Layer layer) const {
  JournalPosition seen;
  if (planted(Fault::read_before_sync)) return seen;
  if (layer == Pending::Layer::growing) seen = position_;
  if (layer == Pending::Layer::committing) seen = pending_.committing_position();
  return swept_ ? seen : std::max(seen, cleared_at_);
}

Result<Store::Glance> Store::glance(std::string_view key, WallTime now) {
  const StringRowKey row_key(key, hash_keys());
  read_marks_.note(position_of(row_key).key_hash, now);
  const auto found = pending_.get(Table::rows, row_key);
  if (!found) return tl::unexpected(found.error());
  Glance glance;
  glance.seen = seen_in(found->layer);
  if (!found->value) return glance;
  if (swept_) {
    if (const auto record = decode_record(row_key, *found->value)) {
      glance.sibling = decode_only_sibling(record->body);
    }
  }
  glance.decisive = glance.sibling.has_value();
  return glance;
}

void Store::expect(std::span<const std::string_view> keys) const {
  std::array<std::uint64_t, 32> hashes{};
  const std::size_t count = std::min(keys.size(), hashes.size());
  for (std::size_t i = 0; i < count; i++) hashes[i] = siphash64(keys[i], hash_keys().position);
  const std::span<const std::uint64_t> expected(hashes.data(), count);
  pending_.expect(expected);
  if (!pending_.empty()) tree_->expect(expected);  // Somebody writes.
}

Result<OpenRow> Store::open_row(std::string row_key, Values values) {
  const auto found = pending_.get(Table::rows, row_key);
  if (!found) return tl::unexpected(found.error());
  OpenRow row;
  row.row_key = std::move(row_key);
  row.seen = seen_in(found->layer);
  if (!found->value) return row;
  const auto record = decode_record(row.row_key, *found->value);
  const auto decode = values == Values::decoded ? decode_body : decode_body_heads;
  auto body = record ? decode(record->body) : tl::unexpected(record.error());
  if (!body) {
    found_damage(row.row_key);
    return tl::unexpected(body.error());
  }
  row.row = std::move(body->row);
  row.digest = record->digest;
  row.shown_until = record->shown_until;
  if (!swept_) {
    row.row.apply_clear(clear_);
    row.digest = digest_of(row.row_key, row.row);
    row.shown_until = knit::shown_until(row.row);
  }
  return row;
}

// Nothing is written for its sake: it goes when the row is changed. Not before a clear is swept, which asks
// for contexts each time that it meets a row.
bool Store::context_may_go(const RegisterRow& row) const {
  const Clock& floor = planted(Fault::context_trimmed_above_floor) ? clock_ : purged_.clock;
  return swept_ && !purge_held_ && row.context_may_go(floor);
}

Result<void> Store::check_space(bool enough) const {
  if (enough) return {};
  const bool quota =
      options_.bytes_max != 0 && disk_.bytes_free() >= options_.disk_reserve_bytes + pending_.bytes();
  return fail(ErrorCode::disk_full, quota ? "the data has reached store.max_bytes: delete some, or raise it"
                                          : "no space left on the disk of the data directory");
}

// A clock with one actor more than the limit nobody could read again.
Result<void> Store::check_write(bool has_space) const {
  const bool known = clock_.highest(identity_.actor) != 0;
  if (known || clock_.entries().size() < Clock::actors_max) return check_space(has_space);
  return fail(ErrorCode::refused, "the cluster has had " + std::to_string(Clock::actors_max) +
                                      " actors, and this node is none of them: it cannot write");
}

Dot Store::peek_dot() const { return {identity_.actor, clock_.base(identity_.actor) + 1}; }

Dot Store::next_dot() {
  const Dot dot = peek_dot();
  clock_.add(dot);
  return dot;
}

// Adds what is in the rows to the clock, also above a gap: whoever joins our clock, and whatever clears by
// it, must know what our later writes have superseded. Left out beyond the limit of gaps: a clock may
// cover less than the rows hold. Our own dots come in order.
//
// Of a component this is its last change: the earlier ones may have been other rows' business too.
void Store::cover(const RegisterRow& row) {
  for (const Sibling& sibling : row.siblings()) gain(sibling.dot);
  for (const Component& component : row.counter().components()) gain(component.last_dot());
}

void Store::gain(Dot dot) {
  if (dot.actor == identity_.actor || clock_.covers(dot)) return;
  if (!clock_.has_room()) {
    ungained_.insert(dot.actor);
    return;
  }
  clock_.add(dot);
  gained_.push_back(dot);
}

Result<void> Store::write(OpenRow& row, Content content, std::string value, Expiry expiry, WallTime now) {
  if (auto may = check_write(content == Content::tombstone ? has_reserve() : has_space()); !may) return may;
  cover(row.row);
  const Stamp stamp = hybrid_clock_.issue(now, row.row.greatest_stamp());
  const Dot dot = next_dot();
  row.row.write({dot, stamp, expiry, content, std::move(value)});
  store_row(row, row.name, dot);
  return {};
}

Result<void> Store::raise_expiry(OpenRow& row, Expiry expiry, WallTime) {
  if (auto may = check_write(has_space()); !may) return may;
  row.row.raise_expiry(expiry);
  store_row(row, row.name, next_dot());
  return {};
}

Result<void> Store::add(OpenRow& row, const Decimal& amount, WallTime now) {
  if (auto may = check_write(has_space()); !may) return may;
  const Component* mine = row.row.continuable(identity_.actor, now);
  RegisterRow::Increment increment{
      peek_dot(), {}, amount, mine != nullptr && !may_continue(row.row_key, *mine)};
  increment.stamp = hybrid_clock_.issue(now, row.row.greatest_stamp());
  cover(row.row);
  const auto incremented = row.row.increment(increment, now);
  if (incremented != RegisterRow::Incremented::done) append_unchanged(row.row_key);
  switch (incremented) {
    case RegisterRow::Incremented::done: break;
    case RegisterRow::Incremented::too_many:
      return fail(ErrorCode::refused, "too many nodes have incremented this counter");
    case RegisterRow::Incremented::too_great:
      return fail(ErrorCode::bad_input, "the counter has seen too much");
  }
  store_row(row, row.name, next_dot());
  return {};
}

// Whether what this boot adds to `mine` could be told apart again, should the dots turn out to be another's.
bool Store::may_continue(const std::string& row_key, const Component& mine) {
  if (mine.created.sequence > clock_at_start_.base(identity_.actor)) return true;
  const auto known = continued_.find(row_key);
  if (known != continued_.end()) return known->second.created == mine.created;
  if (continued_.size() >= continued_max) return false;
  continued_.emplace(row_key, mine);
  return true;
}

// A row that a clear left empty is no row.
std::optional<Uint128> Store::digest_of(std::string_view row_key, const RegisterRow& row) const {
  if (row.empty()) return std::nullopt;
  return row.digest(row_key, hash_keys());
}

// Lays the changed row over the store, and lets tree, counts, log and journal follow.
Result<void> Store::resolve(OpenRow& row, std::span<const Dot> superseded, std::string value, Expiry expiry,
                            WallTime now) {
  if (row.row.counter().live(now))
    return fail(ErrorCode::refused, "the key is a counter: concurrent increments all count");
  if (auto may = check_write(has_space()); !may) return may;
  cover(row.row);
  const Stamp stamp = hybrid_clock_.issue(now, row.row.greatest_stamp());
  const Dot dot = next_dot();
  row.row.resolve({dot, stamp, expiry, Content::value, std::move(value)}, superseded);
  store_row(row, row.name, dot);
  return {};
}

void Store::store_row(OpenRow& row, std::string_view name, std::optional<Dot> dot) {
  const Position position = position_of(row.row_key);
  const auto digest = digest_of(row.row_key, row.row);
  record_.clear();
  if (!digest) {
    pending_.erase(Table::rows, row.row_key);
  } else {
    encode_record(record_, row.row_key, name, row.row, *digest);
    pending_.put(Table::rows, row.row_key, record_);
    if (!row.digest) gone_lately_.note_back(row.row_key);
  }
  const std::uint64_t shown = knit::shown_until(row.row);
  census_.remove(row.shown_until);
  census_.add(shown);
  if (!tree_->complete() && position < tree_->built_to()) {
    recount_.remove(row.shown_until);
    recount_.add(shown);
  }
  append(row.row_key, record_, dot);
  if (record_.capacity() > record_kept_bytes) std::string().swap(record_);
  if (dot || !planted(Fault::delta_forgotten)) tree_->apply(position, row.digest, digest);
  row.digest = digest;
  row.shown_until = shown;
  if (!planted(Fault::answer_before_sync)) row.seen = position_;
  if (!damaged_.empty() && damaged_.erase(row.row_key) > 0) note_replaced(row.row_key);
}

void Store::append(std::string_view row_key, std::string_view record, std::optional<Dot> dot) {
  if (dot) gained_.insert(gained_.begin(), *dot);
  write_journal({.row_key = row_key, .row = record});
}

// What the clock gained with a change of a row is logged: the row holds it.
void Store::write_journal(JournalRecord record) {
  ++position_.value;
  dirty_ = true;
  record.position = position_;
  record.stamp = hybrid_clock_.last().value;
  record.dots = gained_;
  record.logged = !record.row_key.empty() && !gained_.empty();
  record.clock = joined_;
  record.clock_change = clock_change_;
  record.meta_name = meta_name_;
  record.meta_value = meta_value_;
  journal_.append(record);
  if (record.logged) {
    for (const Dot dot : gained_) {
      if (dot.actor == identity_.actor || !planted(Fault::streamed_not_logged)) put_log(dot, record.row_key);
    }
  }
  gained_.clear();
  joined_.clear();
  clock_change_ = {};
  meta_name_ = {};
  meta_value_.clear();
}

Result<void> Store::clear_all(WallTime now) {
  if (auto space = check_space(has_reserve()); !space) return space;
  Clock joined = clear_;
  joined.join(clock_);
  if (!joined.has_room()) {
    return fail(ErrorCode::refused, "too many gaps in what was cleared; try again when all peers agree");
  }
  hybrid_clock_.issue(now, {});
  const Dot dot = next_dot();
  joined.add(dot);
  clear_ = std::move(joined);
  begin_clear(dot);
  return {};
}

void Store::begin_clear(std::optional<Dot> dot) {
  ++clears_;
  swept_ = false;
  sweep_from_.clear();
  put_clear();
  append(clear_row_key(), {}, dot);
  cleared_at_ = position_;
  census_ = {};
  restart_tree();
}

Result<bool> Store::merge_row(std::string_view row_key, std::string_view body, WallTime now) {
  return merge(row_key, body, std::nullopt, floor_, now);
}

Result<bool> Store::merge_row_from_below(std::string_view row_key, std::string_view body, WallTime now) {
  return merge(row_key, body, std::nullopt, {}, now);
}

// `common_floor`: what both this node and the sender of the row have.
Result<bool> Store::merge(std::string_view row_key, std::string_view body, std::optional<Dot> dot,
                          const Line& common_floor, WallTime now) {
  if (auto space = check_space(has_reserve()); !space) return tl::unexpected(space.error());
  auto theirs = check_row(row_key, body, hash_keys());
  if (!theirs) return tl::unexpected(theirs.error());
  auto mine = open_row(std::string(row_key));
  const bool damaged = !mine && mine.error().code == ErrorCode::corrupt;
  if (!mine && !damaged) return tl::unexpected(mine.error());
  if (damaged && planted(Fault::absence_deletes)) return false;
  if (damaged && !damaged_.contains(row_key))
    return fail(ErrorCode::refused, "too many damaged rows to heal");
  if (damaged)
    mine = OpenRow{.name = {}, .row_key = std::string(row_key), .row = {}, .seen = {}, .digest = {}};
  count_stale_read(row_key, theirs->body.row, now);
  theirs->body.row.apply_clear(clear_);
  for (const Sibling& sibling : theirs->body.row.siblings()) hybrid_clock_.observe(sibling.stamp, now);
  if (!mine->row.siblings().empty()) {
    const std::string_view name = theirs->key.inline_name ? theirs->key.name : theirs->body.name;
    conflicts_.note(name, mine->row, theirs->body.row, now);
  }
  RegisterRow& row = mine->row;
  const bool existed = !row.empty();
  const VersionVector context = context_may_go(row) ? row.context() : VersionVector{};
  // What a line says of a time that is still to come is not so: the clock was set back.
  const bool gave_up =
      row.settle_spent(theirs->body.row, common_floor.clock, std::min(common_floor.expired, now));
  bool changed = row.merge_at(identity_.actor, theirs->body.row) || gave_up;
  if (!common_floor.empty() && !purge_held_ &&
      row.may_vanish(purged_.clock, std::min(purged_.expired, now))) {
    row = {};
    changed = existed;
  }
  if (!changed && !damaged) {
    if (dot) gain(*dot);
    append_unchanged(row_key);
    return false;
  }
  if (!context.empty()) row.forget_context(context, theirs->body.row);
  if (!mine->row.within_limits()) return fail(ErrorCode::refused, "a row with too many actors");
  cover(mine->row);
  if (dot) gain(*dot);
  if (planted(Fault::row_after_its_clock)) append({}, {}, std::nullopt);
  store_row(*mine, theirs->body.name, std::nullopt);
  return true;
}

Result<void> Store::merge_clear(const Clock& clear, WallTime) {
  if (auto space = check_space(has_reserve()); !space) return space;
  if (clear_.covers(clear)) return {};
  Clock joined = clear_;
  joined.join(clear);
  if (!joined.within_limits()) return fail(ErrorCode::refused, "a clear with too many actors");
  clear_ = std::move(joined);
  begin_clear(std::nullopt);
  return {};
}

Result<void> Store::join_clock(const Clock& clock, WallTime) {
  if (auto space = check_space(has_reserve()); !space) return space;
  Clock joined = clock_;
  joined.join(clock);
  if (!joined.within_limits()) return fail(ErrorCode::refused, "a clock with too many actors or gaps");
  if (joined == clock_) return {};
  if (!planted(Fault::log_kept_by_join)) log_.raise_by(clock, clock_);
  change_clock(std::move(joined), clock, ClockChange::joined);
  return {};
}

Result<void> Store::reincarnate(ActorId fresh, WallTime) {
  if (auto space = check_space(has_reserve()); !space) return space;
  if (clock_.entries().size() >= Clock::actors_max)
    return fail(ErrorCode::refused, "a clock with too many actors");
  const ActorId old = identity_.actor;
  const std::uint64_t owned = clock_at_start_.base(old);
  const std::uint64_t last = clock_.base(old);
  identity_.take(fresh);
  Clock kept = clock_;
  kept.truncate(old, owned);
  log_.raise(
      old,
      std::numeric_limits<std::uint64_t>::max());  // It may name rows that the other life did not change.
  put_identity();
  change_clock(kept, kept, ClockChange::replaced);
  for (std::uint64_t sequence = owned + 1; sequence <= last; ++sequence) {
    if (auto reissued = reissue({old, sequence}, owned); !reissued) return reissued;
  }
  continued_.clear();
  return {};
}

Result<void> Store::reissue(Dot disowned, std::uint64_t owned) {
  const auto logged = pending_.get(Table::log, LogKey(disowned));
  if (!logged) return tl::unexpected(logged.error());
  if (!logged->value || logged->value->empty()) return {};
  std::string row_key(*logged->value);
  pending_.erase(Table::log, LogKey(disowned));
  if (row_key == clear_row_key()) {
    const Dot dot = next_dot();
    clear_.truncate(disowned.actor, owned);
    clear_.add(dot);
    begin_clear(dot);
    return {};
  }
  auto row = open_row(std::move(row_key));
  if (!row && row.error().code == ErrorCode::corrupt) return {};  // There is no write left to issue anew.
  if (!row) return tl::unexpected(row.error());
  const auto continued = continued_.find(row->row_key);
  const auto before = continued == continued_.end() ? std::nullopt : std::optional(continued->second);
  if (!row->row.reissue(disowned.actor, owned, peek_dot(), before)) return {};
  const auto stored = pending_.get(Table::rows, row->row_key);
  const auto record = decode_record(row->row_key, stored->value.value());
  const std::string name(decode_body(record->body)->name);
  store_row(*row, name, next_dot());
  return {};
}

std::uint64_t Store::key_count(WallTime now) { return census_.existing(now); }

bool Store::start_commit() {
  if (pending_.committing() || (pending_.empty() && !dirty_)) return false;
  if (postponed_ && !has_reserve()) return false;
  postponed_ = false;
  put_meta();
  dirty_ = false;
  pending_.start_commit(position_);
  return true;
}

Store::CommitOutcome Store::on_committed(const Result<void>& result) {
  if (result) {
    const bool early = planted(Fault::journal_dropped_early);
    journal_.on_committed(early ? synced() : pending_.committing_position());
    committed_ = pending_.committing_position();
    ++commits_.count;
    commits_.rows += pending_.committing_rows();
    pending_.finish_commit();
    refresh_space();
    return CommitOutcome::committed;
  }
  if (result.error().code != ErrorCode::disk_full) return CommitOutcome::broken;
  pending_.fail_commit();
  postponed_ = true;
  bytes_free_ = 0;  // Whatever the system says: until it says so again.
  return CommitOutcome::postponed;
}

Result<void> Store::undo_unsynced() {
  journal_.discard_unsynced();
  pending_.discard();
  restart_tree();
  const HybridClock stamps = hybrid_clock_;
  const Clock clock = planted(Fault::clock_kept_by_undo) ? clock_ : Clock{};
  position_ = cleared_at_ = {};
  gained_.clear();
  dirty_ = postponed_ = false;
  if (auto loaded = load(); !loaded) return loaded;
  if (auto replayed = replay(); !replayed) return replayed;
  keep_place();
  clock_.join(clock);
  hybrid_clock_ = stamps;  // Stamps are never issued twice, not even those that nobody saw.
  damaged_.clear();
  return {};
}

void Store::refresh_space() {
  bytes_free_ = disk_.bytes_free();
  if (options_.bytes_max == 0) return;
  const std::uint64_t used = disk_.bytes_used();
  bytes_free_ = std::min(bytes_free_, options_.bytes_max - std::min(options_.bytes_max, used));
}

// What is pending needs its place too, and more is added every moment.
bool Store::has_room_for(std::uint64_t reserve) const { return bytes_free_ >= reserve + pending_.bytes(); }

bool Store::has_space() const { return has_room_for(options_.disk_reserve_bytes); }

bool Store::has_reserve() const { return has_room_for(options_.disk_reserve_bytes / reserve_share); }

}  // namespace knit
