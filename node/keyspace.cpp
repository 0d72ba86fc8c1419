#include "node/keyspace.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>

#include "crdt/row_body.h"
#include "node/numbers.h"

namespace knit {

namespace {

constexpr std::size_t page_bytes_max = 1 << 20;  // Of keys in one page of a scan, beyond its last.

Result<void> check_key(std::string_view key) {
  if (key.size() <= key_bytes_max) return {};
  return fail(ErrorCode::bad_input, "key is longer than " + std::to_string(key_bytes_max) + " bytes");
}

Result<void> check_value(std::string_view value) {
  if (value.size() <= value_bytes_max) return {};
  return fail(ErrorCode::bad_input, "value is longer than " + std::to_string(value_bytes_max) + " bytes");
}

bool allows(SetOptions::Condition condition, bool exists) {
  switch (condition) {
    case SetOptions::Condition::always: return true;
    case SetOptions::Condition::if_absent: return !exists;
    case SetOptions::Condition::if_present: return exists;
  }
  return false;
}

struct ExactSum {
  Decimal amount;
  Decimal sum;
};

// Empty if one of them does not fit into 128 bits, or has more decimals than we keep.
std::optional<ExactSum> exact_sum(std::string_view text, std::string_view amount) {
  const auto number = Decimal::parse(text);
  const auto added = Decimal::parse(amount);
  if (!number || !added) return std::nullopt;
  const auto positive =
      saturating_sum(number->negative ? 0 : number->units, added->negative ? 0 : added->units);
  const auto negative =
      saturating_sum(number->negative ? number->units : 0, added->negative ? added->units : 0);
  if (std::max(positive, negative) == ~Uint128{0}) return std::nullopt;
  return ExactSum{*added, Decimal::difference(positive, negative)};
}

}  // namespace

Result<OpenRow> Keyspace::open(std::string_view key) {
  seen_ = {};
  if (auto checked = check_key(key); !checked) return tl::unexpected(checked.error());
  auto row = store_.read(key);
  if (row) seen_ = row->seen;
  return row;
}

Result<OpenRow> Keyspace::open_to_replace(std::string_view key, Store::Values values) {
  seen_ = {};
  if (auto checked = check_key(key); !checked) return tl::unexpected(checked.error());
  auto row = store_.read_to_replace(key, values);
  if (row) seen_ = row->seen;
  return row;
}

// The row, unless it must be resolved first.
Result<OpenRow> Keyspace::resolved(Result<OpenRow> row, std::string_view key, WallTime now) const {
  if (!row) return row;
  if (auto checked = check_resolved(key, row->row, now); !checked) return tl::unexpected(checked.error());
  return row;
}

Result<void> Keyspace::check_resolved(std::string_view key, const RegisterRow& row, WallTime now) const {
  const auto& siblings = row.siblings();
  if (siblings.size() < 2 || resolved_prefixes_.empty()) return {};
  if (row.counter().live(now)) return {};  // No value can stand for increments that all count.
  const auto writes = std::count_if(siblings.begin(), siblings.end(),
                                    [](const Sibling& s) { return s.content != Content::cleared; });
  const bool has_value = std::any_of(siblings.begin(), siblings.end(), [&](const Sibling& s) {
    return s.content == Content::value && !s.expiry.passed(now);
  });
  const bool asked = std::any_of(resolved_prefixes_.begin(), resolved_prefixes_.end(),
                                 [&](const std::string& prefix) { return key.starts_with(prefix); });
  if (writes < 2 || !has_value || !asked) return {};
  return fail(ErrorCode::conflict,
              std::to_string(writes) +
                  " concurrent writes of this key must be resolved first: see KNIT SIBLINGS "
                  "and KNIT RESOLVE");
}

Result<std::optional<Keyspace::Found>> Keyspace::get(std::string_view key, WallTime now) {
  return look(key, now, Unresolved::refused);
}

Result<std::optional<Keyspace::Found>> Keyspace::look(std::string_view key, WallTime now,
                                                      Unresolved unresolved) {
  seen_ = {};
  if (auto checked = check_key(key); !checked) return tl::unexpected(checked.error());
  const auto glance = store_.glance(key, now);
  if (!glance) return tl::unexpected(glance.error());
  if (!glance->decisive) return look_at_siblings(key, now, unresolved);
  seen_ = glance->seen;
  const auto& only = glance->sibling;
  if (!only || only->content != Content::value || only->expiry.passed(now)) return std::nullopt;
  return Found{only->value, only->expiry};
}

Result<std::optional<Keyspace::Found>> Keyspace::look_at_siblings(std::string_view key, WallTime now,
                                                                  Unresolved unresolved) {
  auto row = unresolved == Unresolved::refused ? resolved(open(key), key, now) : open(key);
  if (!row) return tl::unexpected(row.error());
  shown_ = std::move(row->row);
  const auto shown = shown_.shown(now);
  if (!shown) return std::nullopt;
  if (!shown->total) return Found{shown->sibling->value, shown->expiry};
  shown_total_ = shown->text();
  return Found{shown_total_, shown->expiry};
}

Result<std::optional<Expiry>> Keyspace::find(std::string_view key, WallTime now) {
  const auto found = look(key, now, Unresolved::shown);
  if (!found) return tl::unexpected(found.error());
  if (!*found) return std::nullopt;
  return (*found)->expiry;
}

Result<Keyspace::SetOutcome> Keyspace::set(std::string_view key, std::string value, const SetOptions& options,
                                           WallTime now) {
  if (auto checked = check_value(value); !checked) return tl::unexpected(checked.error());
  const bool reads_old = options.want_old || options.keep_expiry;
  const auto values = reads_old ? Store::Values::decoded : Store::Values::skipped;
  auto row = resolved(open_to_replace(key, values), key, now);
  if (!row) return tl::unexpected(row.error());
  const auto shown = row->row.shown(now);
  SetOutcome outcome;
  if (options.want_old && shown) outcome.old = shown->text();
  if (!allows(options.condition, shown.has_value())) return outcome;
  const Expiry kept = shown ? shown->expiry : Expiry{};
  const Expiry expiry = options.keep_expiry ? kept : options.expiry;
  const bool stays = !expiry.passed(now);
  const auto written = stays ? store_.write(*row, Content::value, std::move(value), expiry, now)
                             : store_.write(*row, Content::tombstone, {}, {}, now);
  if (!written) return tl::unexpected(written.error());
  seen_ = row->seen;
  outcome.written = true;
  return outcome;
}

Result<bool> Keyspace::remove(std::string_view key, WallTime now) {
  auto row = resolved(open_to_replace(key, Store::Values::skipped), key, now);
  if (!row) return tl::unexpected(row.error());
  if (!row->row.shown(now) && !store_.damaged(row->row_key)) return false;
  if (auto written = store_.write(*row, Content::tombstone, {}, {}, now); !written) {
    return tl::unexpected(written.error());
  }
  seen_ = row->seen;
  return true;
}

Result<bool> Keyspace::set_expiry(std::string_view key, Expiry expiry, WallTime now) {
  auto row = resolved(open(key), key, now);
  if (!row) return tl::unexpected(row.error());
  const auto shown = row->row.shown(now);
  if (!shown) return false;
  if (shown->expiry == expiry && !shown->mixed) return true;
  const bool counted = row->row.counter().live(now);
  Result<void> written;
  if (expiry.passed(now)) {
    written = store_.write(*row, Content::tombstone, {}, {}, now);
  } else if (shown->expiry < expiry && !counted) {
    written = store_.raise_expiry(*row, expiry, now);
  } else {
    // Later wins in a merge: an earlier expiry can only be had by writing the value anew. So can one of a
    // counter, whose components keep theirs.
    written = store_.write(*row, Content::value, shown->text(), expiry, now);
  }
  if (!written) return tl::unexpected(written.error());
  seen_ = row->seen;
  return true;
}

// Adds `amount`, which makes `sum` of what the key shows. What cannot be an increment is a write of the sum:
// nothing added to nothing, and amounts beyond 128 bits.
Result<void> Keyspace::add_to(OpenRow& row, const Decimal& amount, const Decimal& sum, Expiry expiry,
                              WallTime now) {
  Result<void> added;
  if (!amount.zero()) added = store_.add(row, amount, now);
  const bool nothing = amount.zero() && !row.row.shown(now);
  if (nothing || (!added && added.error().code == ErrorCode::bad_input)) {
    added = store_.write(row, Content::value, sum.text(), expiry, now);
  }
  seen_ = row.seen;
  return added;
}

Result<std::int64_t> Keyspace::add(std::string_view key, std::int64_t amount, WallTime now) {
  auto row = resolved(open(key), key, now);
  if (!row) return tl::unexpected(row.error());
  const auto shown = row->row.shown(now);
  const auto number = shown ? parse_shortest_integer(shown->text()) : 0;
  if (!number) return fail(ErrorCode::bad_input, "value is not an integer or out of range");
  const auto sum = checked_sum(*number, amount);
  if (!sum) return fail(ErrorCode::bad_input, "increment or decrement would overflow");
  const Expiry expiry = shown ? shown->expiry : Expiry{};
  auto added = add_to(*row, Decimal::of(amount), Decimal::of(*sum), expiry, now);
  if (!added) return tl::unexpected(added.error());
  return *sum;
}

Result<std::string> Keyspace::add_decimal(std::string_view key, std::string_view amount, WallTime now) {
  auto row = resolved(open(key), key, now);
  if (!row) return tl::unexpected(row.error());
  const auto shown = row->row.shown(now);
  const std::string text = shown ? shown->text() : "0";
  const Expiry expiry = shown ? shown->expiry : Expiry{};
  const auto real = parse_real(text);
  const auto real_amount = parse_real(amount);
  if (!real || !real_amount) return fail(ErrorCode::bad_input, "value is not a valid float");
  const auto exact = exact_sum(text, amount);
  if (exact) {
    auto added = add_to(*row, exact->amount, exact->sum, expiry, now);
    if (!added) return tl::unexpected(added.error());
    return exact->sum.text();
  }
  if (!std::isfinite(*real + *real_amount)) {
    return fail(ErrorCode::bad_input, "increment would produce NaN or Infinity");
  }
  std::string sum = real_text(*real + *real_amount);
  auto written = store_.write(*row, Content::value, sum, expiry, now);
  if (!written) return tl::unexpected(written.error());
  seen_ = row->seen;
  return sum;
}

Result<void> Keyspace::clear(WallTime now) {
  const auto cleared = store_.clear_all(now);
  seen_ = store_.applied();
  return cleared;
}

Result<Keyspace::Page> Keyspace::scan(std::uint64_t cursor, std::size_t count, WallTime now) {
  constexpr auto last_hash = std::numeric_limits<std::uint64_t>::max();
  Page page;
  std::size_t rows = 0, bytes = 0;
  std::uint64_t hash = cursor;
  const auto visit = [&](const RowView& row) {
    const std::uint64_t row_hash = row.position.key_hash;
    // A cursor is a hash: rows that share one are shown together.
    if ((rows >= count || bytes >= page_bytes_max) && row_hash != hash) {
      page.next = row_hash;
      return false;
    }
    ++rows;
    hash = row_hash;
    if (row.shown_until <= now.millis) return true;
    const std::string_view name = decode_body_name(row.body).value_or(std::string_view{});
    page.keys.emplace_back(key_of(row.row_key, name));
    bytes += page.keys.back().size();
    return true;
  };
  const Range rest{{cursor, 0}, {last_hash, last_hash}};
  if (auto visited = store_.visit_stored(rest, {}, visit); !visited) return tl::unexpected(visited.error());
  seen_ = store_.applied();
  return page;
}

std::uint64_t Keyspace::size(WallTime now) {
  seen_ = store_.applied();
  return store_.key_count(now);
}

Result<std::vector<Sibling>> Keyspace::siblings(std::string_view key) {
  const auto row = open(key);
  if (!row) return tl::unexpected(row.error());
  std::vector<Sibling> siblings = row->row.siblings();
  std::erase_if(siblings, [](const Sibling& s) { return s.content == Content::cleared; });
  std::sort(siblings.begin(), siblings.end(), [](const Sibling& a, const Sibling& b) {
    return std::tie(a.stamp, a.dot.actor, a.dot.sequence) > std::tie(b.stamp, b.dot.actor, b.dot.sequence);
  });
  return siblings;
}

Result<void> Keyspace::resolve(std::string_view key, std::span<const Dot> superseded, std::string value,
                               WallTime now) {
  if (value.size() > value_bytes_max) return fail(ErrorCode::bad_input, "the value is longer than 64 MiB");
  auto row = open_to_replace(key, Store::Values::decoded);
  if (!row) return tl::unexpected(row.error());
  if (auto written = store_.resolve(*row, superseded, std::move(value), {}, now); !written) return written;
  seen_ = row->seen;
  return {};
}

}  // namespace knit
