#include "merkle/exchange_work.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "base/check.h"
#include "crdt/row_body.h"

namespace knit {

namespace {

using wire::Short;

constexpr std::size_t list_up_to_rows = 32;  // A range with more is told by its children.
constexpr Short short_mask = (Short{1} << (8 * wire::short_bytes)) - 1;

bool contains(const std::vector<Short>& sorted, Short value) {
  return std::binary_search(sorted.begin(), sorted.end(), value);
}

void sort_unique(std::vector<Short>& values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
}

// Parts grow from one end to the other, nearly always.
template <class Part>
void sort_by_prefix(std::vector<Part>& parts) {
  const auto below = [](const Part& a, const Part& b) { return a.prefix.bits < b.prefix.bits; };
  if (parts.size() > 1 && below(parts.back(), parts.front())) std::reverse(parts.begin(), parts.end());
  if (!std::is_sorted(parts.begin(), parts.end(), below)) std::sort(parts.begin(), parts.end(), below);
}

template <class Parts>
auto take_last(Parts& parts) {
  auto part = std::move(parts.back());
  parts.pop_back();
  return part;
}

double share(const Prefix& prefix) { return std::ldexp(1.0, -4 * prefix.nibbles); }

RowSummary summarise(const RegisterRow& row) {
  RowSummary summary{row.version(), row.greatest_stamp(), Content::cleared, 0};
  if (const Sibling* winner = row.winner()) {
    summary.stamp = winner->stamp;
    summary.content = winner->content;
    summary.value_bytes = winner->value.size();
  }
  if (row.counter().latest_expiry()) summary.content = Content::value;
  return summary;
}

RowSummary summarise(const wire::TaggedVersion& theirs) {
  return {theirs.version, theirs.details->stamp, theirs.details->content, theirs.details->value_bytes};
}

// What a scan of rows found to be wrong, if anything.
struct ScanError {
  std::optional<Error> error;

  template <class T>
  bool failed(const Result<T>& result) {
    if (!result && !error) error = result.error();
    return !result;
  }
  Result<void> with(Result<void> visited) const {
    if (visited && error) return tl::unexpected(*error);
    return visited;
  }
};

Result<wire::TaggedVersion> tagged_version(const RowView& row, Short tag, bool with_details) {
  if (!with_details) {
    auto version = decode_body_version(row.body);
    if (!version) return tl::unexpected(std::move(version.error()));
    return wire::TaggedVersion{tag, std::move(*version), std::nullopt};
  }
  const auto body = decode_body(row.body);
  if (!body) return tl::unexpected(body.error());
  const RowSummary summary = summarise(body->row);
  return wire::TaggedVersion{
      tag, summary.version,
      wire::RowDetails{std::string(row.row_key), summary.stamp, summary.content, summary.value_bytes}};
}

bool shows_news(const wire::TaggedVersion* theirs, const RowView& row) {
  if (theirs == nullptr || theirs->details->content != Content::value) return false;
  const auto mine = decode_body_version(row.body);
  return mine && has_news(theirs->version, *mine);
}

}  // namespace

SessionHashes::SessionHashes(const HashKeys& keys, std::uint64_t salt) {
  std::string bytes;
  ByteWriter(bytes).u64(salt);
  const Uint128 hash = siphash128(bytes, keys.digest);
  for (std::size_t i = 0; i < key_.size(); ++i) key_[i] = static_cast<std::uint8_t>(hash >> (8 * i));
}

Short SessionHashes::range(const Summary& summary) const {
  std::string bytes;
  ByteWriter out(bytes);
  out.u128(summary.sum);
  out.u64(summary.count);
  return std::max<Short>(1, siphash64(bytes, key_) & short_mask);
}

Short SessionHashes::row(Uint128 digest) const {
  std::string bytes;
  ByteWriter(bytes).u128(digest);
  return siphash64(bytes, key_) & short_mask;
}

Short SessionHashes::tag(std::string_view row_key) const { return siphash64(row_key, key_) & short_mask; }

ExchangeWork::ExchangeWork(Replica& replica, const ExchangeOptions& options, Role role, std::uint64_t salt)
    : replica_(replica), options_(options), role_(role), hashes_(replica.hash_keys(), salt) {
  options_.ranges_per_message = std::clamp<std::size_t>(options.ranges_per_message, 1, wire::ranges_max);
}

bool ExchangeWork::takes_rows() const {
  const bool rejoins = role_ == Role::collect && options_.mode == ExchangeMode::fence;
  return role_ == Role::repair || (rejoins && !options_.peer_is_below);
}

bool ExchangeWork::gives_rows() const {
  return role_ == Role::repair || (role_ == Role::compare && options_.mode == ExchangeMode::fence);
}

Result<Short> ExchangeWork::digest(const Prefix& prefix) const {
  const auto summary = replica_.tree().summary(prefix.range());
  if (!summary) return tl::unexpected(summary.error());
  return summary->count == 0 ? Short{0} : hashes_.range(*summary);
}

Result<wire::Children> ExchangeWork::children(const Prefix& prefix) const {
  wire::Children children{prefix, {}};
  for (unsigned nibble = 0; nibble < 16; ++nibble) {
    const auto child = digest(prefix.child(nibble));
    if (!child) return tl::unexpected(child.error());
    children.digests[nibble] = *child;
  }
  return children;
}

void ExchangeWork::compare(const Prefix& prefix) { push(Comparison{prefix, false}); }

void ExchangeWork::push(Comparison comparison) {
  over_limit_ = over_limit_ || compares_.size() >= options_.work_max;
  if (over_limit_) return;
  remaining_ += share(comparison.prefix);
  compares_.push_back(comparison);
}

void ExchangeWork::push(Shipment shipment) {
  over_limit_ = over_limit_ || shipments_.size() >= options_.work_max;
  if (over_limit_) return;
  shipment.remaining = share(shipment.prefix);
  remaining_ += shipment.remaining;
  shipments_.push_back(std::move(shipment));
}

ExchangeWork::Comparison ExchangeWork::pop() {
  const Comparison last = take_last(compares_);
  remaining_ -= share(last.prefix);
  return last;
}

Result<bool> ExchangeWork::answer(wire::Turn& turn, wire::Turn& reply, Effort& effort) {
  if (!std::exchange(begun_, true)) {
    compared_ = version_rows_ = version_bytes_ = row_bytes_ = 0;
    in_flight_ = 0;
    if (!gives_rows() && !turn.wants.empty())
      return fail(ErrorCode::bad_input, "the peer asks for rows although it was only to compare");
    if (!fetched_.empty() && compares_.empty() && !turn.needs_answer() && turn.done) fetches_ = false;
    reply.versions.reserve(turn.lists.size());
    reply.wants.reserve(turn.versions.size() + turn.children.size());
  }
  while (!effort.spent()) {
    if (!fetches_ && !fetched_.empty()) {
      compare(take_last(fetched_));
      effort.spend(effort::item);
      continue;
    }
    if (!turn.needs_answer() && lists_sent_.empty()) return true;
    if (auto done = answer_one(turn, reply, effort); !done) return tl::unexpected(std::move(done.error()));
  }
  return false;
}

// Backwards: what is pushed last is worked on first, and positions shall ascend.
Result<void> ExchangeWork::answer_one(wire::Turn& turn, wire::Turn& reply, Effort& effort) {
  if (!turn.versions.empty()) {
    const wire::Versions versions = take_last(turn.versions);
    effort.spend(effort::seek + (wire::list_rows_max + versions.rows.size()) * effort::row);
    return on_versions(versions, reply);
  }
  if (!lists_sent_.empty()) {  // Those that were not answered agree.
    lists_sent_.pop_back();
    effort.spend(effort::item);
    return {};
  }
  if (!turn.children.empty()) {
    effort.spend(effort::children);
    return on_children(take_last(turn.children), reply);
  }
  if (!turn.lists.empty()) {
    const wire::List list = take_last(turn.lists);
    effort.spend(effort::seek + (list_up_to_rows + list.rows.size()) * effort::row);
    return on_list(list, reply);
  }
  effort.spend(effort::item);
  on_wants(take_last(turn.wants));
  return {};
}

void ExchangeWork::on_wants(wire::Wants wants) {
  sort_unique(wants.tags);
  push(Shipment{wants.prefix, std::move(wants.tags), {}, {}});
}

Result<void> ExchangeWork::on_children(const wire::Children& theirs, wire::Turn& reply) {
  if (theirs.prefix.nibbles == Prefix::nibbles_max) {
    return fail(ErrorCode::bad_input, "the peer divides a single position");
  }
  const auto mine = children(theirs.prefix);
  if (!mine) return tl::unexpected(mine.error());
  for (unsigned nibble = 16; nibble-- > 0;) {
    settle(theirs.prefix.child(nibble), mine->digests[nibble], theirs.digests[nibble], reply);
  }
  return {};
}

void ExchangeWork::settle(const Prefix& prefix, Short mine, Short theirs, wire::Turn& reply) {
  if (mine == theirs) return;
  const bool rejoining = role_ == Role::collect && options_.mode == ExchangeMode::fence;
  if (rejoining && mine == 0) return;
  if (role_ == Role::repair && theirs == 0) {
    push(Shipment{prefix, {}, {}, {}});
  } else if (role_ == Role::repair && mine == 0) {
    in_flight_ += share(prefix);
    reply.wants.push_back({prefix, {}});
  } else {
    push(Comparison{prefix, false});
  }
}

namespace {

// About what they take on the wire.
std::size_t bytes_of(const std::vector<wire::TaggedVersion>& rows) {
  constexpr std::size_t dot_bytes = 24;
  constexpr std::size_t component_bytes = 64;
  std::size_t bytes = 0;
  for (const wire::TaggedVersion& row : rows) {
    bytes += (row.version.live.size() + row.version.context.entries().size()) * dot_bytes;
    bytes += row.version.counter.components().size() * component_bytes;
    bytes += row.details ? row.details->row_key.size() + dot_bytes : 0;
  }
  return bytes;
}

}  // namespace

// What a damaged row lacks was not purged: it may hold anything. After `rows` were read: that finds damage.
void ExchangeWork::name_damaged(Range range, std::vector<wire::TaggedVersion>& rows) const {
  std::set<std::string, std::less<>> damaged;
  replica_.visit_damaged(range, [&](std::string_view row_key) { damaged.emplace(row_key); });
  if (damaged.empty()) return;
  std::erase_if(rows, [&](const auto& row) { return damaged.contains(row.details->row_key); });
  RowVersion anything;  // What lies above a gap, too.
  for (const auto& [actor, entry] : replica_.clock().entries())
    anything.context.add({actor, replica_.clock().highest(actor)});
  for (const std::string& row_key : damaged)
    rows.push_back({hashes_.tag(row_key), anything, wire::RowDetails{row_key, {}, {}, 0}});
}

Result<void> ExchangeWork::on_list(const wire::List& list, wire::Turn& reply) {
  std::vector<Short> theirs = list.rows;
  sort_unique(theirs);
  std::vector<Short> shared;
  std::vector<wire::TaggedVersion> rows;
  ScanError scan;
  const bool with_details = role_ == Role::compare;
  auto visited = replica_.visit_rows(list.prefix.range(), {}, [&](const RowView& row) {
    const Short digest = hashes_.row(row.digest);
    if (contains(theirs, digest)) {
      shared.push_back(digest);
      return true;
    }
    auto version = tagged_version(row, hashes_.tag(row.row_key), with_details);
    if (scan.failed(version)) return false;
    rows.push_back(std::move(*version));
    return rows.size() <= wire::version_rows_max;
  });
  if (auto done = scan.with(std::move(visited)); !done) return done;
  if (with_details && options_.mode == ExchangeMode::fence) name_damaged(list.prefix.range(), rows);
  if (rows.size() > wire::version_rows_max) {
    push(Comparison{list.prefix, true});
    return {};
  }

  sort_unique(shared);
  wire::Versions answer{list.prefix, {}, std::move(rows)};
  for (std::size_t i = 0; i < list.rows.size(); ++i) {
    if (!contains(shared, list.rows[i])) answer.missing.push_back(static_cast<std::uint8_t>(i));
  }
  if (answer.missing.empty() && answer.rows.empty()) return {};
  // Who collects needs the peer's versions, not the peer ours. And one answer has its limit.
  version_rows_ += answer.rows.size();
  version_bytes_ += bytes_of(answer.rows);
  const bool full =
      !reply.versions.empty() && (version_rows_ > list_up_to_rows * options_.ranges_per_message ||
                                  version_bytes_ > options_.row_bytes_per_message);
  if (role_ == Role::collect || full) {
    push(Comparison{list.prefix, false});
  } else {
    in_flight_ += share(list.prefix);
    reply.versions.push_back(std::move(answer));
  }
  return {};
}

// The list that the peer answers, ascending: what it has of it, and what it lacks.
Result<ExchangeWork::Answered> ExchangeWork::answered_by(const wire::Versions& versions) const {
  const auto list =
      std::lower_bound(lists_sent_.begin(), lists_sent_.end(), versions.prefix,
                       [](const wire::List& l, const Prefix& wanted) { return l.prefix.bits < wanted.bits; });
  if (list == lists_sent_.end() || list->prefix != versions.prefix) {
    return fail(ErrorCode::bad_input, "the peer answers a list that was not sent");
  }
  std::vector<bool> missing(list->rows.size());
  for (const std::uint8_t index : versions.missing) {
    if (index >= missing.size())
      return fail(ErrorCode::bad_input, "the peer lacks a row that was not listed");
    missing[index] = true;
  }
  Answered answered;
  for (std::size_t i = 0; i < missing.size(); ++i)
    (missing[i] ? answered.lacked : answered.settled).push_back(list->rows[i]);
  sort_unique(answered.settled);
  sort_unique(answered.lacked);
  return answered;
}

Result<void> ExchangeWork::on_versions(const wire::Versions& versions, wire::Turn& reply) {
  const auto answered = answered_by(versions);
  if (!answered) return tl::unexpected(answered.error());
  if (role_ == Role::compare) return fail(ErrorCode::bad_input, "the peer answers instead of asking");
  if (role_ != Role::collect) return decide(versions, answered->settled, reply);
  return options_.mode == ExchangeMode::fence ? drop(versions, *answered, reply)
                                              : collect(versions, answered->settled);
}

Result<void> ExchangeWork::decide(const wire::Versions& versions, const std::vector<Short>& settled,
                                  wire::Turn& reply) {
  std::multimap<Short, const wire::TaggedVersion*> theirs;
  for (const wire::TaggedVersion& row : versions.rows) theirs.emplace(row.tag, &row);
  std::vector<Short> have;
  std::vector<Short> ship;
  std::vector<Short> want;
  ScanError scan;
  auto visited = replica_.visit_rows(versions.prefix.range(), {}, [&](const RowView& row) {
    if (contains(settled, hashes_.row(row.digest))) return true;
    const Short tag = hashes_.tag(row.row_key);
    const auto [first, last] = theirs.equal_range(tag);
    if (first == last) {
      ship.push_back(tag);
      return true;
    }
    const auto mine = decode_body_version(row.body);
    if (scan.failed(mine)) return false;
    have.push_back(tag);
    for (auto other = first; other != last; ++other) {
      if (has_news(*mine, other->second->version)) ship.push_back(tag);
      if (has_news(other->second->version, *mine)) want.push_back(tag);
    }
    return true;
  });
  if (auto done = scan.with(std::move(visited)); !done) return done;
  sort_unique(have);
  for (const wire::TaggedVersion& row : versions.rows) {
    if (!contains(have, row.tag) && !row.version.nothing()) want.push_back(row.tag);
  }
  sort_unique(ship);
  sort_unique(want);
  if (!want.empty()) {
    in_flight_ += share(versions.prefix);
    reply.wants.push_back({versions.prefix, std::move(want)});
  }
  if (!ship.empty()) push(Shipment{versions.prefix, std::move(ship), {}, {}});
  return {};
}

Result<void> ExchangeWork::collect(const wire::Versions& versions, const std::vector<Short>& settled) {
  std::map<std::string, Difference, std::less<>> found;
  for (const wire::TaggedVersion& theirs : versions.rows) {
    const auto& row_key = theirs.details->row_key;
    if (!versions.prefix.range().contains(position_of(row_key))) {
      return fail(ErrorCode::bad_input, "the peer names a row outside of its range");
    }
    if (theirs.version.nothing()) continue;
    const auto parts = parse_row_key(row_key);
    const std::string key(parts && parts->inline_name ? parts->name : std::string_view{});
    found[row_key] = {row_key, key, std::nullopt, summarise(theirs)};
  }
  ScanError scan;
  auto visited = replica_.visit_rows(versions.prefix.range(), {}, [&](const RowView& row) {
    if (contains(settled, hashes_.row(row.digest))) return true;
    const auto body = decode_body(row.body);
    if (scan.failed(body)) return false;
    Difference& difference = found[std::string(row.row_key)];
    difference.row_key = row.row_key;
    difference.key = key_of(row.row_key, body->name);
    difference.mine = summarise(body->row);
    return true;
  });
  if (auto done = scan.with(std::move(visited)); !done) return done;
  for (auto& [row_key, difference] : found) {
    const auto& [mine, theirs] = std::tie(difference.mine, difference.theirs);
    if (mine && theirs && mine->version.same_state(theirs->version)) continue;  // Became equal meanwhile.
    ++differences_found_;
    if (differences_.size() < options_.differences_max) differences_.push_back(std::move(difference));
  }
  return {};
}

// Rejoin: what the peer does not have, at or below its floor, goes. A row for which the peer shows another
// value is fetched first, or nothing were shown until the repair (not from a peer that must rejoin too), and
// its range is compared once more.
Result<void> ExchangeWork::drop(const wire::Versions& versions, const Answered& answered, wire::Turn& reply) {
  std::map<Short, const wire::TaggedVersion*> tagged;
  for (const wire::TaggedVersion& row : versions.rows) tagged[row.tag] = &row;
  const auto theirs = [&](std::string_view row_key) {
    const auto same = tagged.find(hashes_.tag(row_key));
    return same == tagged.end() ? nullptr : same->second;
  };
  std::vector<std::string> judged, changed;
  wire::Wants wants{versions.prefix, {}};
  std::size_t settled = 0;
  const bool may_fetch = fetches_ && takes_rows() && fetched_.size() < options_.work_max;
  auto visited = replica_.visit_rows(versions.prefix.range(), {}, [&](const RowView& row) {
    const Short digest = hashes_.row(row.digest);
    const wire::TaggedVersion* same = theirs(row.row_key);
    if (contains(answered.settled, digest)) {
      ++settled;
    } else if (may_fetch && shows_news(same, row)) {
      wants.tags.push_back(hashes_.tag(row.row_key));
    } else if (same != nullptr || contains(answered.lacked, digest)) {
      judged.emplace_back(row.row_key);
    } else {
      changed.emplace_back(row.row_key);
    }
    return true;
  });
  // One that has changed since it was listed may be settled in what the peer has. Not if all those are there.
  const bool all_settled = settled == answered.settled.size();
  if (all_settled) judged.insert(judged.end(), changed.begin(), changed.end());
  if (!wants.tags.empty()) {
    sort_unique(wants.tags);
    in_flight_ += share(versions.prefix);
    reply.wants.push_back(std::move(wants));
    fetched_.push_back(versions.prefix);
  } else if (!all_settled && !changed.empty()) {
    compare(versions.prefix);
  }
  for (const std::string& row_key : judged) {
    if (!visited) break;
    const wire::TaggedVersion* same = theirs(row_key);
    visited =
        replica_.keep_what_is_in(row_key, same != nullptr ? same->version : RowVersion{}, options_.fence);
  }
  return visited;
}

// A spent row that the peer has purged. Ours goes too.
bool ExchangeWork::needless(const RowView& row) const {
  if (row.shown_until > options_.peer_purged.expired.millis || options_.peer_purged.empty()) return false;
  const auto body = decode_body(row.body);
  const Line& theirs = options_.peer_purged;
  if (!body || !body->row.may_vanish(theirs.clock, theirs.expired)) return false;
  const Line& ours = replica_.purged();
  if (body->row.may_vanish(ours.clock, ours.expired)) replica_.found_spent(row.row_key);
  return true;
}

Result<bool> ExchangeWork::compare_more(wire::Turn& reply, bool hold, Effort& effort) {
  if (compared_ == 0) reply.lists.reserve(std::min(compares_.size(), options_.ranges_per_message));
  // Rows that wait fill the memory that ranges were to be kept in: ship first.
  while (!compares_.empty() && !hold && !busy_shipping() && compared_ < options_.ranges_per_message) {
    if (effort.spent()) return false;
    ++compared_;
    if (auto done = fill_range(pop(), reply, effort); !done) return tl::unexpected(std::move(done.error()));
  }
  sort_by_prefix(reply.children);
  sort_by_prefix(reply.lists);
  sort_by_prefix(reply.versions);
  sort_by_prefix(reply.wants);
  return true;
}

Result<void> ExchangeWork::fill_range(const Comparison& comparison, wire::Turn& reply, Effort& effort) {
  const Prefix& prefix = comparison.prefix;
  const bool single = prefix.nibbles == Prefix::nibbles_max;
  if (single && comparison.descend) {  // More rows at one position than any message may hold.
    over_limit_ = true;
    return {};
  }
  const auto summary = replica_.tree().summary(prefix.range());
  if (!summary) return tl::unexpected(summary.error());
  in_flight_ += share(prefix);
  if (single || (summary->count <= list_up_to_rows && !comparison.descend)) {
    effort.spend(effort::seek + list_up_to_rows * effort::row);
    return fill_list(prefix, reply);
  }
  effort.spend(effort::children);
  const auto digests = children(prefix);
  if (!digests) return tl::unexpected(digests.error());
  reply.children.push_back(*digests);
  return {};
}

Result<void> ExchangeWork::fill_list(const Prefix& prefix, wire::Turn& reply) {
  wire::List list{prefix, {}};
  auto visited = replica_.visit_rows(prefix.range(), {}, [&](const RowView& row) {
    list.rows.push_back(hashes_.row(row.digest));
    return list.rows.size() <= wire::list_rows_max;
  });
  if (!visited) return visited;
  over_limit_ = over_limit_ || list.rows.size() > wire::list_rows_max;
  reply.lists.push_back(std::move(list));
  return {};
}

Result<bool> ExchangeWork::ship(wire::Turn& reply, Effort& effort) {
  while (!shipments_.empty()) {
    if (effort.spent()) return false;
    const auto shipped = ship_some(shipments_.back(), reply.packed, effort);
    if (!shipped) return tl::unexpected(shipped.error());
    if (*shipped == Shipped::message_full) return true;
    if (*shipped == Shipped::effort_spent) return false;
    remaining_ -= shipments_.back().remaining;
    shipments_.pop_back();
  }
  return true;
}

// Adds rows as long as they fit. Stops in front of the row that did not, or came too late.
Result<ExchangeWork::Shipped> ExchangeWork::ship_some(Shipment& shipment, wire::PackedRows& rows,
                                                      Effort& effort) {
  Shipped shipped = Shipped::all;
  bool moved = false;  // However small a step is.
  ByteWriter out(rows.bytes);
  effort.spend(effort::seek);
  auto visited = replica_.visit_rows(shipment.prefix.range(), shipment.cursor, [&](const RowView& row) {
    const std::size_t size = row.row_key.size() + row.body.size();
    const bool wanted = shipment.tags.empty() || contains(shipment.tags, hashes_.tag(row.row_key));
    const bool full = rows.count > 0 &&
                      (row_bytes_ + size > options_.row_bytes_per_message || rows.count == wire::rows_max);
    if (wanted && full) shipped = Shipped::message_full;
    if (shipped == Shipped::all && moved && effort.spent()) shipped = Shipped::effort_spent;
    if (shipped != Shipped::all) {
      pass(shipment, row.row_key);
      return false;
    }
    moved = true;
    effort.spend(effort::row);
    if (!wanted || needless(row)) return true;
    effort.spend(effort::item + size / effort::bytes);
    // Growing would copy it. Memory that is not touched costs nothing.
    if (rows.count == 0) rows.bytes.reserve(options_.row_bytes_per_message / 8 * 9);
    row_bytes_ += size;
    ++rows.count;
    wire::encode_row(out, row.row_key, row.body);
    return true;
  });
  if (!visited) return tl::unexpected(std::move(visited.error()));
  return shipped;
}

// What lies below `row_key` is through.
void ExchangeWork::pass(Shipment& shipment, std::string_view row_key) {
  shipment.cursor = row_key;
  const Uint128 passed = position_of(row_key).number() - shipment.prefix.range().first.number();
  const double left = share(shipment.prefix) - std::ldexp(static_cast<double>(passed), -128);
  remaining_ -= shipment.remaining - left;
  shipment.remaining = left;
}

void ExchangeWork::on_sent(wire::Turn& reply) {
  lists_sent_ = std::move(reply.lists);
  begun_ = false;
}

double ExchangeWork::remaining() const { return idle() ? 0 : std::clamp(remaining_, 0.0, 1.0); }

}  // namespace knit
