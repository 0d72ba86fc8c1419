#include "node/keyspace.h"

#include <algorithm>
#include <limits>
#include <tuple>

#include "crdt/row_body.h"

namespace knit {

namespace {

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

Result<std::optional<Keyspace::Found>> Keyspace::get(std::string_view key, WallTime now) {
  seen_ = {};
  if (auto checked = check_key(key); !checked) return tl::unexpected(checked.error());
  const auto glance = store_.glance(key);
  if (!glance) return tl::unexpected(glance.error());
  if (!glance->decisive) return get_of_siblings(key, now);
  seen_ = glance->seen;
  const auto& only = glance->sibling;
  if (!only || only->content != Content::value || only->expiry.passed(now)) return std::nullopt;
  return Found{only->value, only->expiry};
}

Result<std::optional<Keyspace::Found>> Keyspace::get_of_siblings(std::string_view key, WallTime now) {
  auto row = open(key);
  if (!row) return tl::unexpected(row.error());
  shown_ = std::move(row->row);
  const Sibling* shown = shown_.visible(now);
  if (shown == nullptr) return std::nullopt;
  return Found{shown->value, shown->expiry};
}

Result<std::optional<Expiry>> Keyspace::find(std::string_view key, WallTime now) {
  const auto found = get(key, now);
  if (!found) return tl::unexpected(found.error());
  if (!*found) return std::nullopt;
  return (*found)->expiry;
}

Result<Keyspace::SetOutcome> Keyspace::set(std::string_view key, std::string value, const SetOptions& options,
                                           WallTime now) {
  if (auto checked = check_value(value); !checked) return tl::unexpected(checked.error());
  auto row = open_to_replace(key, options.want_old ? Store::Values::decoded : Store::Values::skipped);
  if (!row) return tl::unexpected(row.error());
  const Sibling* shown = row->row.visible(now);
  SetOutcome outcome;
  if (options.want_old && shown != nullptr) outcome.old = shown->value;
  if (!allows(options.condition, shown != nullptr)) return outcome;
  const Expiry kept = shown != nullptr ? shown->expiry : Expiry{};
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
  auto row = open_to_replace(key, Store::Values::skipped);
  if (!row) return tl::unexpected(row.error());
  if (row->row.visible(now) == nullptr && !store_.damaged(row->row_key)) return false;
  if (auto written = store_.write(*row, Content::tombstone, {}, {}, now); !written) {
    return tl::unexpected(written.error());
  }
  seen_ = row->seen;
  return true;
}

Result<bool> Keyspace::set_expiry(std::string_view key, Expiry expiry, WallTime now) {
  auto row = open(key);
  if (!row) return tl::unexpected(row.error());
  const Sibling* shown = row->row.visible(now);
  if (shown == nullptr) return false;
  if (shown->expiry == expiry) return true;
  Result<void> written;
  if (expiry.passed(now)) {
    written = store_.write(*row, Content::tombstone, {}, {}, now);
  } else if (shown->expiry < expiry) {
    written = store_.raise_expiry(*row, expiry, now);
  } else {
    // Later wins in a merge: an earlier expiry can only be had by writing the value anew.
    written = store_.write(*row, Content::value, std::string(shown->value), expiry, now);
  }
  if (!written) return tl::unexpected(written.error());
  seen_ = row->seen;
  return true;
}

Result<void> Keyspace::clear(WallTime now) {
  const auto cleared = store_.clear_all(now);
  seen_ = store_.applied();
  return cleared;
}

Result<Keyspace::Page> Keyspace::scan(std::uint64_t cursor, std::size_t count, WallTime now) {
  constexpr auto last_hash = std::numeric_limits<std::uint64_t>::max();
  Page page;
  std::size_t rows = 0;
  std::uint64_t hash = cursor;
  const auto visit = [&](const RowView& row) {
    const std::uint64_t row_hash = position_of(row.row_key).key_hash;
    // A cursor is a hash: rows that share one are shown together.
    if (rows >= count && row_hash != hash) {
      page.next = row_hash;
      return false;
    }
    ++rows;
    hash = row_hash;
    if (row.shown_until <= now.millis) return true;
    const std::string_view name = decode_body_name(row.body).value_or(std::string_view{});
    page.keys.emplace_back(key_of(row.row_key, name));
    return true;
  };
  const Range rest{{cursor, 0}, {last_hash, last_hash}};
  if (auto visited = store_.visit_rows(rest, {}, visit); !visited) return tl::unexpected(visited.error());
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

}  // namespace knit
