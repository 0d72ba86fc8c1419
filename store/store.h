// The rows of one node, its clock, its log and its tree, over an ordered store and a journal.
//
// A change passes three stages: it is applied to the pending layer (readable at once, has a journal
// position), becomes durable (synced() reaches that position), and lies in the ordered store. Who
// shows anything to a client or a peer holds it back until synced() covers what was seen.
//
// One thread. Invariants:
//  1. The clock covers a dot only if its effect is in the rows.
//  2. The tree, once complete, equals the sum over the applied rows, seen as if every clear were swept.
//  3. If the journal fails, everything after synced() is undone, dots too: nobody has seen them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "crdt/clock.h"
#include "crdt/register_row.h"
#include "crdt/row_body.h"
#include "crdt/stamp.h"
#include "merkle/replica.h"
#include "merkle/tree.h"
#include "store/conflicts.h"
#include "store/gone_rows.h"
#include "store/identity.h"
#include "store/key_census.h"
#include "store/log_extent.h"
#include "store/pending.h"
#include "store/ports.h"
#include "store/read_marks.h"

namespace knit {

struct StoreOptions {
  ClusterIdentity cluster;
  NodeIdentity fresh;           // Taken by a data directory that is new.
  std::uint64_t place = 0;      // Where it lies, kept with the data: see is_copy(). 0: not known.
  Millis clock_max_ahead{500};  // How far a remote stamp may move our clock.
  LogExtent::Bounds log{std::uint64_t{256} << 20, Millis{86'400'000}};
  // Clients' new values are refused when less than this is free, everything when a quarter of it is not.
  std::uint64_t disk_reserve_bytes = 16 << 20;
  std::uint64_t bytes_max = 0;  // A quota for the data, with the same reserve below it; 0: none.
};

// Reads here that a remote write has shown to be stale: it was written before them and came after.
struct StaleReads {
  std::uint64_t count{};
  Millis last_age{};  // How much later than the write the read was.
  Millis most_age{};
};

// A row taken out to be looked at or written. Rows that do not exist are empty.
struct OpenRow {
  std::string name;  // Of the key, if the row key does not hold it: see body_name().
  std::string row_key;
  RegisterRow row;
  JournalPosition seen;           // What is shown of it may leave the node once this is synced.
  std::optional<Uint128> digest;  // As the tree has it.
  std::uint64_t shown_until{};    // As it was counted; see row_record.h.
};

class Store final : public Replica {
 public:
  // Reads what the ordered store holds, or makes a new data set in an empty one.
  // Then applies what the journal holds beyond it; if the journal's tail is uncertain, options.fresh's
  // actor is taken. refused: the data belongs to another cluster. wrong_format: written by a newer knit.
  static Result<std::unique_ptr<Store>> open(OrderedStore& disk, Journal& journal, StoreOptions options);
  ~Store() override;

  // To be committed before anything else. A data set that open() made: so that the journal has an owner.
  // After damage to the journal: so that what could not be read is never replayed, should it be readable next
  // time.
  bool must_commit_first() const { return is_new_ || took_fresh_actor_; }
  // The data were written in another place: whoever wrote them may still run there, and issue the same dots.
  bool is_copy() const;
  bool is_new() const { return is_new_; }
  // How many records open() took from the journal, and whether it took a fresh actor.
  std::uint64_t replayed() const { return replayed_; }
  bool took_fresh_actor() const { return took_fresh_actor_; }

  const NodeIdentity& identity() const { return identity_; }
  const ClusterIdentity& cluster() const { return options_.cluster; }

  // Reading. corrupt: the stored bytes fail their checksum; a peer's copy will replace them.
  Result<OpenRow> read(std::string_view key);
  // As read(), for a write that does not ask what was there: a damaged row counts as none. With its values
  // skipped, which is cheaper, a row is good for write() alone.
  enum class Values : std::uint8_t { decoded, skipped };
  Result<OpenRow> read_to_replace(std::string_view key, Values values = Values::decoded);

  // What a row shows, without taking it out. A view until the next call that changes something, or
  // end_reads(). Errors as read()'s. It counts as a read at that time: see stale_reads().
  struct Glance {
    JournalPosition seen;  // As in OpenRow.
    std::optional<OnlySibling> sibling;
    bool decisive = true;  // False: read() must be asked. True and no sibling: the row does not exist.
  };
  Result<Glance> glance(std::string_view key, WallTime now);
  // The rows of these keys are to be read next. Only makes that quicker.
  void expect(std::span<const std::string_view> keys) const;

  // Local writes. Each issues one dot and is applied at once, or fails and changes nothing:
  // disk_full while there is no room, io.
  // Requires: `row` was read() in this turn and nothing was written since.
  Result<void> write(OpenRow& row, Content content, std::string value, Expiry expiry, WallTime now);
  Result<void> raise_expiry(OpenRow& row, Expiry expiry, WallTime now);
  // Adds to the counter of the row; see RegisterRow::increment(). bad_input: the amounts would go beyond 128
  // bits. refused: the row has too many components. Requires, too: amount is not zero.
  Result<void> add(OpenRow& row, const Decimal& amount, WallTime now);
  // As write(), of a value that supersedes the siblings with these dots and no others. refused, too, if
  // increments are live in the row: their sum is no sibling.
  Result<void> resolve(OpenRow& row, std::span<const Dot> superseded, std::string value, Expiry expiry,
                       WallTime now);
  // Everything that the clock covers. refused, too, if the clear would have too many gaps.
  Result<void> clear_all(WallTime now);

  // Replica: what tree and exchange see, and how a peer's rows come in.
  Result<void> visit_rows(Range range, std::string_view from_row_key,
                          FunctionRef<bool(const RowView&)> visit) const override;
  // The same, with rows that a clear has emptied and that were not swept yet: with an empty body.
  Result<void> visit_stored(Range range, std::string_view from_row_key,
                            FunctionRef<bool(const RowView&)> visit) const;
  const Tree& tree() const override { return *tree_; }
  const HashKeys& hash_keys() const override { return options_.cluster.hash_keys; }
  const Clock& clock() const override { return clock_; }
  bool has_damage() const override { return lost_rows_; }
  std::uint64_t losses() const override { return losses_; }
  const Clock& clear() const override { return clear_; }
  Result<bool> merge_row(std::string_view row_key, std::string_view body, WallTime now) override;
  Result<bool> merge_row_from_below(std::string_view row_key, std::string_view body, WallTime now) override;
  void visit_damaged(Range range, FunctionRef<void(std::string_view row_key)> visit) const override;
  Result<void> merge_clear(const Clock& clear, WallTime now) override;
  Result<void> join_clock(const Clock& clock, WallTime now) override;

  // Streams: the log, and what comes of a peer's.
  const LogExtent& log() const { return log_; }
  // The entries of `actor` above `after`, ascending, until `visit` answers false.
  Result<void> visit_log(ActorId actor, std::uint64_t after,
                         FunctionRef<bool(std::uint64_t sequence, std::string_view row_key)> visit) const;
  // The body of a row, as it travels. Empty: there is none, or it is damaged. A view until the next call that
  // changes something, or end_reads().
  std::optional<std::string_view> body_of(std::string_view row_key) const;
  // As merge_row(), of a row that holds the effect of `dot`: the clock covers it from now on, and the log has
  // it.
  Result<bool> merge_streamed(std::string_view row_key, std::string_view body, Dot dot, WallTime now);
  // The effect of `dot` is here already: it was a clear that was merged, or the row was streamed before.
  Result<void> note_streamed(std::string_view row_key, Dot dot);
  // The rows hold the effects of all these dots, and the log what superseded those that it does not hold.
  Result<void> cover_streamed(const Clock& dots);
  // Of glances that did not see what had been written before them.
  const StaleReads& stale_reads() const { return stale_reads_; }
  // Concurrent writes that met here since the start.
  const Conflicts& conflicts() const { return conflicts_; }
  // Changes with the clear.
  std::uint64_t clears() const { return clears_; }
  // Forgets the oldest part of a log beyond its bounds. To be called about once a second.
  void trim_log(WallTime now);

  // Purge; see store_purge.cpp. All members have come to `floor`: a fact that never changes.
  Result<void> raise_floor(const Line& floor);
  const Line& floor() const { return floor_; }
  // Rises with its clock, and when this node has rejoined; from 1 at each start.
  std::uint64_t floor_number() const { return floor_number_; }
  void renumber_floor() { ++floor_number_; }
  // All members know of each other that they have come to `common_floor`: work() purges up to there.
  void purge_to(const Line& common_floor);
  // While somebody rejoins nothing is purged: what it is told to supersede must still be here when it comes
  // for it.
  void hold_purge(bool held) { purge_held_ = held; }
  bool has_to_purge() const;
  // It is no work() for now: something else is more urgent. What passes() and peers are told does not change.
  void rest_purge(bool rests) { purge_rests_ = rests; }
  // Purged, or swept after a clear. False may mean that it is not remembered.
  bool went_lately(std::string_view row_key) const { return gone_lately_.contains(row_key); }
  const Line& purged() const override { return purged_; }
  // Rows are being purged that lie at or below purged().
  bool passes() const { return !purge_held_ && (pass_ != PurgePass::none || !found_spent_.empty()); }
  // The times of both lines were agreed on when the clock was wrong: they lie ahead of it, and nobody shares
  // them.
  void forget_expired();
  // Rows whose keys have expired. None is known before the tree is complete.
  std::uint64_t expired_rows(WallTime now) { return census_.expired(now); }
  // All rows are looked at for what is at or below purged() by now.
  void ask_pass() const;
  // So many of them the last pass had to leave: something in them had not expired.
  std::uint64_t unspent_rows() const { return unspent_; }
  std::uint64_t purged_rows() const override { return purged_rows_; }  // Since the start.
  void found_spent(std::string_view row_key) const override;
  Result<void> keep_what_is_in(std::string_view row_key, const RowVersion& theirs,
                               const Clock& fence) override;

  // The tree was found to disagree with the rows: it is built anew.
  void distrust_tree() { tree_is_suspect_ = true; }

  // All peers have shown the same root, or one that has all that is covered here: where rows are damaged here
  // nobody shows anything, so they may go. And what was in those that were replaced since, which may be more
  // than what replaced them, is lost everywhere.
  void forget_damaged() override;

  // A peer knows more of this actor's dots than we do: the directory was restored or cloned. Takes a
  // fresh actor and issues anew what this boot wrote.
  Result<void> reincarnate(ActorId fresh, WallTime now);

  // Keys that exist, within a second of their expiry. Approximate until the tree is complete.
  std::uint64_t key_count(WallTime now);

  // Background work: builds the tree, then sweeps what a clear left, then purges. At most about `rows` rows.
  Result<void> work(std::size_t rows, WallTime now);
  bool has_work() const;

  // One step of a proof that rows and tree agree. Starts at the first position; done when `next` is empty.
  struct Verification {
    std::optional<Position> next = Position{};
    std::uint64_t rows{};
    std::uint64_t damaged_rows{};  // Fail their checksum, or their digest is not that of their siblings.
    std::uint64_t wrong_leaves{};  // Tree and rows disagree.
    std::vector<std::string> damaged_keys;  // The first hundred.
  };
  // Requires: tree().complete(), or the step ends the verification with refused.
  Result<void> verify_step(Verification& verification, std::size_t rows) const;

  // Durability.
  JournalPosition applied() const { return position_; }
  JournalPosition synced() const { return journal_.synced(); }
  JournalPosition answerable() const { return journal_.answerable(); }  // To clients, not to peers.
  // Hands what is pending to the ordered store if that is free. Answers whether a commit began.
  bool start_commit();
  bool committing() const { return pending_.committing(); }
  JournalPosition committed() const { return committed_; }  // What the ordered store holds.
  bool has_uncommitted() const { return dirty_ || !pending_.empty(); }
  enum class CommitOutcome : std::uint8_t {
    committed,
    postponed,  // No room. It is tried again when refresh_space() has found some.
    broken,     // The disk failed: the process must end.
  };
  CommitOutcome on_committed(const Result<void>& result);
  // The journal had no room: undoes everything after synced(). Whoever waits for it must be told.
  // Requires: not committing(). On an error the process must end.
  Result<void> undo_unsynced();
  // Of memory: what is not in the ordered store yet.
  std::size_t pending_bytes() const { return pending_.bytes() + journal_.bytes_waiting(); }
  // Asks how much room there is; local writes are refused below the reserve. To be called about once a
  // second.
  void refresh_space();
  struct Commits {
    std::uint64_t count{};
    std::uint64_t rows{};
  };
  const Commits& commits() const { return commits_; }  // Since the start.
  std::uint64_t journal_syncs() const { return journal_.syncs(); }
  std::uint64_t journal_bytes() const { return journal_.bytes_on_disk(); }
  bool has_space() const;
  // Whether there is room for what is not a client's new value: deletes, clears, what peers send.
  bool has_reserve() const;
  void end_reads() const { disk_.end_reads(); }

  std::uint64_t damaged_rows() const { return damaged_.size(); }
  bool damaged(std::string_view row_key) const { return damaged_.contains(row_key); }
  std::uint64_t bytes_on_disk() const { return disk_.bytes_on_disk(); }
  const Clock& clock_at_start() const { return clock_at_start_; }

 private:
  class TreeRows;

  Store(OrderedStore& disk, Journal& journal, StoreOptions options);

  Result<void> load();
  Result<bool> load_identity();  // False if there is none: a new data set.
  Result<void> load_state();
  Result<std::optional<std::string_view>> get_meta(std::string_view name) const;
  Result<std::string_view> require_meta(std::string_view name) const;
  Result<void> check_meta_names() const;
  Result<bool> holds_anything() const;
  void put_meta();
  void put_identity();
  std::string encode_identity() const;
  void keep_place();
  void put_clear();
  void put_swept();
  std::string encode_clear() const;
  Result<void> load_clear();
  Result<void> replay();
  Result<void> replay_record(const JournalRecord& record);
  Result<void> replay_clock(const JournalRecord& record);
  Result<void> replay_row(const JournalRecord& record);

  Result<OpenRow> open_row(std::string row_key, Values values = Values::decoded);
  bool context_may_go(const RegisterRow& row) const;
  JournalPosition seen_in(Pending::Layer layer) const;
  using VisitRecord = FunctionRef<bool(Position position, std::string_view row_key, std::string_view record)>;
  Result<void> visit_records(Range range, std::string_view from_row_key, VisitRecord visit) const;
  std::optional<Uint128> digest_of(std::string_view row_key, const RegisterRow& row) const;
  Result<void> check_write(bool has_space) const;
  Result<void> check_space(bool enough) const;
  Dot peek_dot() const;  // What next_dot() will issue.
  Dot next_dot();
  bool may_continue(const std::string& row_key, const Component& mine);
  void cover(const RegisterRow& row);
  void count_stale_read(std::string_view row_key, const RegisterRow& theirs, WallTime now);
  void gain(Dot dot);
  void change_clock(Clock clock, const Clock& told, ClockChange change);
  void store_row(OpenRow& row, std::string_view name, std::optional<Dot> dot);
  void append(std::string_view row_key, std::string_view record, std::optional<Dot> dot);
  void write_journal(JournalRecord record);
  void put_log(Dot dot, std::string_view row_key);
  Result<bool> merge(std::string_view row_key, std::string_view body, std::optional<Dot> dot,
                     const Line& common_floor, WallTime now);
  void append_unchanged(std::string_view row_key);
  Result<void> load_log();
  void put_sealed(std::string_view name, std::string_view value);
  void put_journaled_meta(std::string_view name, std::string_view value);
  bool has_room_for(std::uint64_t reserve) const;
  void found_damage(std::string_view row_key) const;
  void note_lost_rows() const;
  void note_replaced(std::string_view row_key);

  void put_floor();
  Result<void> load_floor();
  void recall_purged();
  Result<void> replay_purge(const Line& before);
  std::optional<ActorId> next_to_purge() const;
  Result<void> purge_step(std::size_t rows, WallTime now);
  Result<void> purge_logged(ActorId actor, std::uint64_t to, std::size_t rows, WallTime now);
  Result<bool> purge_row(const std::string& row_key, WallTime now);
  Result<void> pass_step(std::size_t rows, WallTime now);
  bool has_spent_rows();
  void note_spent(std::string_view row_key, std::string_view body) const;
  void note_unripe(Dot waits_for, std::string_view row_key) const;

  Result<void> build_step(std::size_t rows);
  Result<void> sweep_step(std::size_t rows);
  Result<void> sweep_row(const std::string& row_key);
  Result<void> verify_leaf(Verification& verification) const;
  void begin_clear(std::optional<Dot> dot);
  Result<void> reissue(Dot disowned, std::uint64_t owned);
  void restart_tree();

  OrderedStore& disk_;
  Journal& journal_;
  StoreOptions options_;
  NodeIdentity identity_;
  std::uint64_t place_ = 0;
  Pending pending_;
  Clock clock_;
  // For the next record of the journal.
  std::vector<Dot> gained_;  // By the clock.
  std::string joined_;       // A clock, encoded.
  ClockChange clock_change_{};
  std::string_view meta_name_;
  std::string meta_value_;
  std::string record_;  // The row being written; a member to keep its memory.
  Clock clock_at_start_;
  HybridClock hybrid_clock_;
  mutable LogExtent log_;
  // Actors of whom a dot in the rows was not gained for want of room, since their dots were covered last.
  std::set<ActorId> ungained_;
  Line floor_;
  std::uint64_t floor_number_ = 1;
  Line purged_;
  Line purge_target_;
  std::uint64_t purged_rows_ = 0;
  GoneRows gone_lately_;
  // Spent rows that were looked at, and the dot that each waits for; or some were forgotten.
  mutable std::multimap<Dot, std::string> unripe_;
  mutable bool unripe_forgotten_ = false;
  mutable std::set<std::string, std::less<>> found_spent_;  // That may be purged.
  enum class PurgePass : std::uint8_t { none, due, on };    // Over all rows.
  mutable PurgePass pass_ = PurgePass::none;
  mutable bool pass_again_ = false;
  std::uint64_t unspent_ = 0;
  bool purge_held_ = false;
  bool purge_rests_ = false;
  std::string pass_from_;
  Clock clear_;
  std::uint64_t clears_ = 0;
  ReadMarks read_marks_;
  StaleReads stale_reads_;
  Conflicts conflicts_;
  bool swept_ = true;  // No row holds a sibling that the clear covers.
  std::string sweep_from_;
  JournalPosition cleared_at_;  // Of the last clear: until it is swept, every read has seen it.
  JournalPosition position_;
  JournalPosition committed_;
  bool dirty_ = false;  // Clock, stamp or counts changed since the last commit began.
  Commits commits_;
  bool postponed_ = false;  // A batch waits for room.
  bool is_new_ = false;
  bool took_fresh_actor_ = false;
  std::uint64_t replayed_ = 0;
  bool replay_gap_ = false;  // A record was missing before the one that is replayed.
  std::uint64_t bytes_free_ = 0;
  // By row key: components of an earlier boot that this boot has added to, as they were before.
  std::map<std::string, Component, std::less<>> continued_;
  KeyCensus census_;   // What key_count() answers from.
  KeyCensus recount_;  // Of the rows that the tree build has passed; takes over when that is complete.
  static constexpr std::size_t replaced_rows_max = 4096;  // More are not remembered.
  // Rows that failed their checksum and were not replaced yet. They stand outside the tree.
  mutable std::set<std::string, std::less<>> damaged_;
  // Those that have been replaced since by what a peer had or a client added, which may be less than what was
  // here; until forget_damaged().
  std::set<std::string, std::less<>> replaced_;
  mutable bool lost_rows_ = false;        // There were some, since forget_damaged().
  mutable std::uint64_t losses_ = 0;      // Of this run: see losses().
  mutable bool tree_is_suspect_ = false;  // It may hold the digest of a row found damaged since.
  std::unique_ptr<TreeRows> tree_rows_;
  std::unique_ptr<Tree> tree_;
};

}  // namespace knit
