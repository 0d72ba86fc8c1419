// What the store keeps of itself beside the rows: identity, clock, stamp, counts, clear. LMDB and the journal
// hold each of these sealed: a checksum, and then the value.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/fault.h"
#include "store/restored.h"
#include "store/row_record.h"
#include "store/store.h"

namespace knit {

namespace {

constexpr std::uint8_t identity_version = 2;  // 1: without place and earlier actors.
constexpr std::string_view identity_name = identity_record;
constexpr std::string_view clock_name = "clock";
constexpr std::string_view state_name = "state";
constexpr std::string_view clear_name = "clear";
constexpr std::string_view log_name = "log";
constexpr std::string_view floor_name = "floor";

// Tells whether two sets of hash keys are the same, and tells nothing else about them.
std::uint64_t fingerprint(const HashKeys& keys) {
  return siphash64("knit position key", keys.position) ^ siphash64("knit digest key", keys.digest);
}

bool is_name(std::string_view text) {
  return text == identity_name || text == clock_name || text == state_name || text == clear_name ||
         text == log_name || text == floor_name;
}

std::uint64_t seal_of(std::string_view name, std::string_view value) {
  return checksum(value, checksum(name));
}

std::string sealed(std::string_view name, std::string_view value) {
  std::string bytes;
  ByteWriter out(bytes);
  out.u64(seal_of(name, value));
  out.raw(value);
  return bytes;
}

// Empty: it is not what was sealed.
std::optional<std::string_view> unsealed(std::string_view name, std::string_view bytes) {
  ByteReader in(bytes);
  const std::uint64_t seal = in.u64();
  const std::string_view value = in.raw(in.left());
  if (!in.ok() || seal != seal_of(name, value)) return std::nullopt;
  return value;
}

// Whose data these are.
struct Owner {
  NodeIdentity identity;
  std::string cluster_id;
  std::string cluster_name;
  std::uint64_t keys{};   // Their fingerprint.
  std::uint64_t place{};  // 0: not known.
};

std::string encoded(const Owner& owner) {
  std::string bytes;
  ByteWriter out(bytes);
  out.u8(identity_version);
  out.u64(owner.identity.node.value);
  out.u64(owner.identity.actor.value);
  out.bytes(owner.cluster_id);
  out.bytes(owner.cluster_name);
  out.u64(owner.keys);
  out.u64(owner.place);
  for (const ActorId actor : owner.identity.retired) out.u64(actor.value);
  return bytes;
}

tl::unexpected<Error> is_damaged(std::string_view name) {
  return fail(ErrorCode::corrupt,
              "the data directory's " + std::string(name) +
                  " is damaged; move the directory away and let the peers fill a new one");
}

Result<Owner> decode_owner(std::string_view bytes) {
  ByteReader in(bytes);
  const std::uint8_t version = in.u8();
  if (version > identity_version) {
    return fail(ErrorCode::wrong_format,
                "the data was written by a newer knit; install that version or a later one");
  }
  Owner owner;
  owner.identity.node = {in.u64()};
  owner.identity.actor = {in.u64()};
  owner.cluster_id = in.bytes();
  owner.cluster_name = in.bytes();
  owner.keys = in.u64();
  if (version > 1) owner.place = in.u64();
  while (in.ok() && in.left() > 0 && owner.identity.retired.size() < retired_max)
    owner.identity.retired.push_back({in.u64()});
  if (!in.done()) return is_damaged(identity_name);
  return owner;
}

Result<Owner> unseal_owner(std::string_view record) {
  const auto bytes = unsealed(identity_record, record);
  if (!bytes) return is_damaged(identity_name);
  return decode_owner(*bytes);
}

}  // namespace

Result<std::string> with_identity(std::string_view record, const NodeIdentity& fresh, std::uint64_t place) {
  auto owner = unseal_owner(record);
  if (!owner) return tl::unexpected(owner.error());
  owner->identity = fresh;
  owner->place = place;
  return sealed(identity_record, encoded(*owner));
}

Result<std::string> cluster_named_in(std::string_view record) {
  return unseal_owner(record).map([](const Owner& owner) { return owner.cluster_name; });
}

Result<std::unique_ptr<Store>> Store::open(OrderedStore& disk, Journal& journal, StoreOptions options) {
  std::unique_ptr<Store> store(new Store(disk, journal, std::move(options)));
  if (auto loaded = store->load(); !loaded) return tl::unexpected(loaded.error());
  if (auto replayed = store->replay(); !replayed) return tl::unexpected(replayed.error());
  store->keep_place();
  store->recall_purged();
  store->clock_at_start_ = store->clock_;
  store->refresh_space();
  return store;
}

Result<std::optional<std::string_view>> Store::get_meta(std::string_view name) const {
  const auto found = pending_.get(Table::meta, name);
  if (!found) return tl::unexpected(found.error());
  if (!found->value) return std::nullopt;
  const auto value = unsealed(name, *found->value);
  if (!value) return is_damaged(name);
  return value;
}

Result<std::string_view> Store::require_meta(std::string_view name) const {
  const auto value = get_meta(name);
  if (!value) return tl::unexpected(value.error());
  if (!*value) return is_damaged(name);
  return **value;
}

// A name that was hit looks like one entry that is missing and one that nobody knows.
Result<void> Store::check_meta_names() const {
  bool all_known = true;
  auto scanned = pending_.scan(Table::meta, {}, [&](std::string_view name, std::string_view) {
    return all_known = all_known && is_name(name);
  });
  if (scanned && !all_known) return is_damaged("list of its own records");
  return scanned;
}

// Without an identity nothing else may be there either.
Result<bool> Store::holds_anything() const {
  bool found = false;
  for (const Table table : {Table::rows, Table::log, Table::meta}) {
    auto scanned = pending_.scan(table, {}, [&](std::string_view, std::string_view) {
      found = true;
      return false;
    });
    if (!scanned) return tl::unexpected(scanned.error());
  }
  return found;
}

Result<void> Store::load() {
  if (auto checked = check_meta_names(); !checked) return checked;
  auto known = load_identity();
  if (!known) return tl::unexpected(known.error());
  clock_ = {};
  clear_ = {};
  ++clears_;
  log_ = LogExtent(options_.log);
  floor_ = purged_ = purge_target_ = {};
  unripe_.clear();
  unripe_forgotten_ = false;
  found_spent_.clear();
  pass_ = PurgePass::none;
  pass_again_ = false;
  swept_ = true;
  sweep_from_.clear();
  census_ = {};
  is_new_ = !*known;
  if (is_new_) {
    place_ = options_.place;
    put_identity();
    meta_name_ = {};  // Committed before the journal begins.
    dirty_ = true;
    return {};
  }
  return load_state();
}

Result<bool> Store::load_identity() {
  const auto bytes = get_meta(identity_name);
  if (!bytes) return tl::unexpected(bytes.error());
  if (!*bytes) {
    auto others = holds_anything();
    if (!others) return others;
    if (*others) return is_damaged(identity_name);
    return false;
  }
  const auto owner = decode_owner(**bytes);
  if (!owner) return tl::unexpected(owner.error());
  if (owner->cluster_id != options_.cluster.id) {
    return fail(ErrorCode::refused, "the data belongs to cluster \"" + owner->cluster_name +
                                        "\", the key file to another cluster, \"" + options_.cluster.name +
                                        "\"");
  }
  if (owner->keys != fingerprint(hash_keys())) {
    return fail(ErrorCode::refused, "the key file has other hash keys than the data was written with");
  }
  identity_ = owner->identity;
  place_ = owner->place;
  return true;
}

Result<void> Store::load_state() {
  const auto clock = require_meta(clock_name);
  if (!clock) return tl::unexpected(clock.error());
  ByteReader clock_in(*clock);
  clock_ = Clock::decode(clock_in);
  if (!clock_in.done()) return is_damaged(clock_name);

  const auto state = require_meta(state_name);
  if (!state) return tl::unexpected(state.error());
  ByteReader state_in(*state);
  hybrid_clock_ = HybridClock(options_.clock_max_ahead, {state_in.u64()});
  position_ = {state_in.u64()};
  census_ = KeyCensus(state_in.u64());
  lost_rows_ = state_in.left() > 0 && state_in.u8() != 0;
  for (std::size_t rows = state_in.left() > 0 ? state_in.count(1, replaced_rows_max) : 0; rows > 0; --rows)
    replaced_.emplace(state_in.bytes());
  if (!state_in.done()) return is_damaged(state_name);
  committed_ = position_;
  journal_.on_committed(position_);
  if (auto loaded = load_log(); !loaded) return loaded;
  if (auto loaded = load_floor(); !loaded) return loaded;
  return load_clear();
}

// Data that was written before the log had an extent: it starts anew.
Result<void> Store::load_log() {
  const auto extent = get_meta(log_name);
  if (!extent) return tl::unexpected(extent.error());
  if (!*extent) {
    log_.raise_by(clock_, {});
    return {};
  }
  ByteReader in(**extent);
  return log_.decode(in) ? Result<void>{} : is_damaged(log_name);
}

// Data that was written before there was a floor has none, or none for what expires.
Result<void> Store::load_floor() {
  const auto floor = get_meta(floor_name);
  if (!floor) return tl::unexpected(floor.error());
  if (!*floor) return {};
  ByteReader in(**floor);
  floor_ = {Clock::decode(in), {}};
  purged_ = {Clock::decode(in), {}};
  if (in.left() > 0) {
    floor_.expired = {in.varint()};
    purged_.expired = {in.varint()};
  }
  return in.done() ? Result<void>{} : is_damaged(floor_name);
}

Result<void> Store::load_clear() {
  const auto clear = get_meta(clear_name);
  if (!clear) return tl::unexpected(clear.error());
  if (!*clear) return {};
  ByteReader clear_in(**clear);
  swept_ = clear_in.u8() != 0;
  clear_ = Clock::decode(clear_in);
  if (!clear_in.done()) return is_damaged(clear_name);
  return {};
}

Result<void> Store::replay() {
  replayed_ = 0;
  replay_gap_ = false;
  const std::uint64_t skipped = planted(Fault::record_skipped_by_replay) ? 1 : 0;
  const auto tail = journal_.replay(identity_.node, {position_.value + skipped},
                                    [this](const JournalRecord& record) { return replay_record(record); });
  if (!tail) return tl::unexpected(tail.error());
  if (*tail == Journal::Tail::whole || is_new_ || planted(Fault::actor_kept_after_damage)) return {};
  // Somebody may have seen dots that we do not know we have issued.
  if (identity_.actor == options_.fresh.actor) {
    return fail(ErrorCode::corrupt, "the journal was damaged while it was written");
  }
  identity_.take(options_.fresh.actor);
  took_fresh_actor_ = true;
  put_identity();
  append({}, {}, std::nullopt);
  return {};
}

Result<void> Store::replay_record(const JournalRecord& record) {
  ++replayed_;
  replay_gap_ = replay_gap_ || record.position.value != position_.value + 1;
  if (auto replayed = replay_clock(record); !replayed) return replayed;
  hybrid_clock_ = HybridClock(options_.clock_max_ahead, std::max(hybrid_clock_.last(), Stamp{record.stamp}));
  position_ = record.position;
  dirty_ = true;
  if (!record.meta_name.empty()) pending_.put(Table::meta, record.meta_name, record.meta_value);
  if (record.logged) {
    for (const Dot dot : record.dots) {
      if (clock_.covers(dot)) put_log(dot, record.row_key);
    }
  }
  if (record.meta_name == clear_name) {
    cleared_at_ = position_;
    census_ = {};
    return load_clear();
  }
  if (record.meta_name == floor_name) {
    const Line before = purged_;
    if (auto loaded = load_floor(); !loaded) return loaded;
    return replay_purge(before);
  }
  if (record.meta_name == identity_name) {
    if (auto known = load_identity(); !known) return tl::unexpected(known.error());
  }
  return record.row_key.empty() || record.row_unchanged ? Result<void>{} : replay_row(record);
}

// What a record says of rows that others hold is not believed behind one that is missing: it may have held
// them. A clock of an exchange or a stream gives nothing then, and takes away what it disowns.
Result<void> Store::replay_clock(const JournalRecord& record) {
  const bool trusted = !replay_gap_ || planted(Fault::joins_after_gap);
  for (const Dot dot : record.row_unchanged && !trusted ? std::span<const Dot>{} : record.dots) {
    if (planted(Fault::dots_forgotten_by_replay)) continue;
    if (planted(Fault::gap_swallowed)) clock_.add(dot.actor, {1, dot.sequence});
    clock_.add(dot);
  }
  if (record.clock.empty()) return {};
  ByteReader in(record.clock);
  const Clock joined = Clock::decode(in);
  if (!in.done()) return is_damaged("journal");
  if (record.clock_change == ClockChange::replaced) {
    const Clock before = clock_;
    for (const auto& [actor, entry] : before.entries()) clock_.truncate(actor, joined.highest(actor));
  }
  if (!trusted) return {};
  if (record.clock_change == ClockChange::joined) log_.raise_by(joined, clock_);
  clock_.join(joined);
  return {};
}

Result<void> Store::replay_row(const JournalRecord& record) {
  const auto shown = [&](std::string_view bytes) {
    const auto row = decode_record(record.row_key, bytes);
    if (row) return row->shown_until;
    note_lost_rows();
    note_replaced(record.row_key);
    return shows_nothing;
  };
  const auto before = pending_.get(Table::rows, record.row_key);
  if (!before) return tl::unexpected(before.error());
  census_.remove(before->value ? shown(*before->value) : shows_nothing);
  if (record.row.empty()) {
    pending_.erase(Table::rows, record.row_key);
  } else {
    pending_.put(Table::rows, record.row_key, record.row);
    census_.add(shown(record.row));
  }
  return {};
}

// What was purged then goes again: the log names it still. (What had expired is found when the tree is
// built.)
Result<void> Store::replay_purge(const Line& before) {
  constexpr std::size_t rows_at_once = 4096;
  const Line purged = std::exchange(purged_, {before.clock, purged_.expired});
  for (const auto& [actor, entry] : purged.clock.entries()) {
    while (purged_.clock.base(actor) < entry.base) {
      if (auto again = purge_logged(actor, entry.base, rows_at_once, {}); !again) return again;
    }
  }
  return {};
}

void Store::put_identity() { put_journaled_meta(identity_name, encode_identity()); }

std::string Store::encode_identity() const {
  return encoded(
      Owner{identity_, options_.cluster.id, options_.cluster.name, fingerprint(hash_keys()), place_});
}

bool Store::is_copy() const {
  const bool known = place_ != 0 && options_.place != 0;
  return known && place_ != options_.place && !planted(Fault::copy_unnoticed);
}

// The journal need not hear of it: it is found out at each start.
void Store::keep_place() {
  if (place_ != 0 || options_.place == 0) return;
  place_ = options_.place;
  put_sealed(identity_name, encode_identity());
  dirty_ = true;
}

void Store::put_clear() { put_journaled_meta(clear_name, encode_clear()); }

void Store::put_floor() {
  std::string bytes;
  ByteWriter out(bytes);
  floor_.clock.encode(out);
  purged_.clock.encode(out);
  out.varint(floor_.expired.millis);
  out.varint(purged_.expired.millis);
  put_journaled_meta(floor_name, bytes);
  append({}, {}, std::nullopt);
}

// The journal need not hear of it: who reads the clear anew sweeps anew.
void Store::put_swept() { put_sealed(clear_name, encode_clear()); }

std::string Store::encode_clear() const {
  std::string bytes;
  ByteWriter out(bytes);
  out.u8(swept_ ? 1 : 0);
  clear_.encode(out);
  return bytes;
}

void Store::put_sealed(std::string_view name, std::string_view value) {
  pending_.put(Table::meta, name, sealed(name, value));
}

// Goes into the journal with the next record.
void Store::put_journaled_meta(std::string_view name, std::string_view value) {
  meta_name_ = name;
  meta_value_ = sealed(name, value);
  pending_.put(Table::meta, name, meta_value_);
}

void Store::put_meta() {
  std::string clock;
  ByteWriter clock_out(clock);
  clock_.encode(clock_out);
  put_sealed(clock_name, clock);
  std::string state;
  ByteWriter state_out(state);
  state_out.u64(hybrid_clock_.last().value);
  state_out.u64(position_.value);
  state_out.u64(census_.stored());
  if (lost_rows_) {
    state_out.u8(1);
    state_out.varint(replaced_.size());
    for (const std::string& row_key : replaced_) state_out.bytes(row_key);
  }
  put_sealed(state_name, state);
  std::string extent;
  ByteWriter extent_out(extent);
  log_.encode(extent_out);
  put_sealed(log_name, extent);
}

}  // namespace knit
