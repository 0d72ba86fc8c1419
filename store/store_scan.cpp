// How the store is walked: for the exchange, the tree, SCAN, the sweep after a clear, and proofs.
#include <algorithm>

#include "base/check.h"
#include "store/row_record.h"
#include "store/store.h"
#include "store/tree_rows.h"

namespace knit {

namespace {

constexpr std::size_t damaged_rows_max = 1'000'000;  // Known by name; more are left as they are.
constexpr std::size_t damaged_keys_listed_max = 100;

// A key that is damaged itself has no name but its bytes.
std::string known_name(std::string_view row_key, std::string_view name_in_body) {
  return std::string(parse_row_key(row_key) ? key_of(row_key, name_in_body) : row_key);
}

}  // namespace

Result<void> Store::visit_records(Range range, std::string_view from_row_key, VisitRecord visit) const {
  const std::string first = first_row_key_at(range.first);
  const std::string_view from = std::max(std::string_view(first), from_row_key);
  return pending_.scan(Table::rows, from, [&](std::string_view row_key, std::string_view record) {
    const auto position = find_position(row_key);
    if (!position) {
      found_damage(row_key);
      return true;
    }
    if (position->key_hash > range.last.key_hash) return false;
    return range.contains(*position) ? visit(*position, row_key, record) : true;
  });
}

Result<void> Store::visit_rows(Range range, std::string_view from_row_key,
                               FunctionRef<bool(const RowView&)> visit) const {
  return visit_stored(range, from_row_key,
                      [&](const RowView& row) { return row.body.empty() || visit(row); });
}

Result<void> Store::visit_stored(Range range, std::string_view from_row_key,
                                 FunctionRef<bool(const RowView&)> visit) const {
  std::string swept_body;
  return visit_records(range, from_row_key,
                       [&](Position position, std::string_view row_key, std::string_view bytes) {
                         const auto record = decode_record(row_key, bytes);
                         if (!record) {
                           found_damage(row_key);
                           return true;
                         }
                         RowView view{position, row_key, record->digest, record->body, record->shown_until};
                         if (!swept_) {
                           auto body = decode_body(record->body);
                           if (!body) return true;
                           const bool cleared = body->row.apply_clear(clear_);
                           const auto digest = digest_of(row_key, body->row);
                           if (!digest) return visit({position, row_key, {}, {}, shows_nothing});
                           if (cleared) {
                             swept_body = encode_body(body->name, body->row);
                             view = {position, row_key, *digest, swept_body, shown_until(body->row)};
                           }
                         }
                         return visit(view);
                       });
}

// What was in a lost row nobody can say, so no dot of before may be streamed as if its row were here.
void Store::note_lost_rows() const {
  lost_rows_ = true;
  ++losses_;
  log_.raise_by(clock_, {});
}

// A row found damaged is no row: peers ship theirs. If the tree has counted it, it must be built anew.
void Store::found_damage(std::string_view row_key) const {
  if (damaged_.contains(row_key)) return;
  note_lost_rows();
  if (damaged_.size() >= damaged_rows_max) return;
  damaged_.emplace(row_key);
  const auto position = find_position(row_key);
  if (tree_->complete() || (position && *position < tree_->built_to())) tree_is_suspect_ = true;
}

void Store::note_replaced(std::string_view row_key) {
  if (replaced_.size() < replaced_rows_max) replaced_.emplace(row_key);
}

void Store::visit_damaged(Range range, FunctionRef<void(std::string_view row_key)> visit) const {
  std::string first;
  ByteWriter(first).u64(range.first.key_hash);
  for (const auto* rows : {&std::as_const(damaged_), &replaced_}) {
    for (auto row = rows->lower_bound(first); row != rows->end(); ++row) {
      const auto position = find_position(*row);
      if (position && range.last < *position) break;
      if (position && range.contains(*position) && parse_row_key(*row)) visit(*row);
    }
  }
}

void Store::forget_damaged() {
  if (!lost_rows_ || tree_is_suspect_ || !tree_->complete()) return;
  for (const std::string& row_key : damaged_) pending_.erase(Table::rows, row_key);
  damaged_.clear();
  replaced_.clear();
  lost_rows_ = false;
  dirty_ = true;
}

void Store::restart_tree() {
  tree_is_suspect_ = false;
  recount_ = {};
  tree_->restart();
}

bool Store::has_work() const {
  return tree_is_suspect_ || !tree_->complete() || !swept_ || (!purge_rests_ && has_to_purge());
}

Result<void> Store::work(std::size_t rows, WallTime now) {
  if (tree_is_suspect_) restart_tree();
  if (!swept_) return sweep_step(rows);  // First: a step of the tree would pass all that is to be swept.
  return tree_->complete() ? purge_step(rows, now) : build_step(rows);
}

Result<void> Store::build_step(std::size_t rows) {
  tree_rows_->counting = true;
  const auto built = tree_->build_step(rows);
  tree_rows_->counting = false;
  const bool complete = tree_->complete();
  for (const auto& [position, shown_until] : tree_rows_->seen) {
    if (complete || position < tree_->built_to()) recount_.add(shown_until);
  }
  tree_rows_->seen.clear();
  if (complete) census_ = std::exchange(recount_, {});
  return built;
}

// Rewrites rows that hold cleared siblings. Nobody sees a difference: reading has skipped them all along.
Result<void> Store::sweep_step(std::size_t rows) {
  std::vector<std::string> found;
  std::size_t looked_at = 0;
  std::string next;
  auto scanned =
      pending_.scan(Table::rows, sweep_from_, [&](std::string_view row_key, std::string_view bytes) {
        if (looked_at++ == rows) {
          next = row_key;
          return false;
        }
        const auto record = decode_record(row_key, bytes);
        auto body = record ? decode_body(record->body) : tl::unexpected(record.error());
        if (body && body->row.apply_clear(clear_)) found.emplace_back(row_key);
        return true;
      });
  if (!scanned) return scanned;
  for (const std::string& row_key : found) {
    if (auto swept = sweep_row(row_key); !swept) return swept;
  }
  sweep_from_ = next;
  if (next.empty()) {
    swept_ = true;
    put_swept();
    dirty_ = true;
  }
  return {};
}

Result<void> Store::sweep_row(const std::string& row_key) {
  const auto stored = pending_.get(Table::rows, row_key);
  if (!stored) return tl::unexpected(stored.error());
  const auto record = decode_record(row_key, stored->value.value_or(std::string_view{}));
  auto body = record ? decode_body(record->body) : tl::unexpected(record.error());
  if (!body) return {};  // The scan has just met it whole: it is damaged.
  body->row.apply_clear(clear_);
  const auto digest = digest_of(row_key, body->row);
  if (!digest) {
    pending_.erase(Table::rows, row_key);
    gone_lately_.note_gone(row_key);
  } else {
    std::string swept;
    encode_record(swept, row_key, body->name, body->row, *digest);
    pending_.put(Table::rows, row_key, swept);
  }
  dirty_ = true;
  return {};
}

Result<void> Store::verify_step(Verification& verification, std::size_t rows) const {
  if (!tree_->complete()) {
    return fail(ErrorCode::refused,
                "the tree is still being built; try again when KNIT STATUS says it is complete");
  }
  const std::uint64_t enough = verification.rows + rows;
  while (verification.next && verification.rows < enough) {
    if (auto verified = verify_leaf(verification); !verified) return verified;
  }
  return {};
}

// Proves one leaf from the bytes on disk up: checksum, digest of the siblings, sum.
Result<void> Store::verify_leaf(Verification& verification) const {
  const Tree::Leaf leaf = tree_->leaf_at(*verification.next);
  Summary proven;
  auto visited =
      visit_records(leaf.range, {}, [&](Position, std::string_view row_key, std::string_view bytes) {
        ++verification.rows;
        const auto record = decode_record(row_key, bytes);
        auto body = record ? decode_body(record->body) : tl::unexpected(record.error());
        if (!body || record->digest != body->row.digest(row_key, hash_keys())) {
          ++verification.damaged_rows;
          if (verification.damaged_keys.size() < damaged_keys_listed_max) {
            verification.damaged_keys.push_back(known_name(row_key, body ? body->name : std::string_view{}));
          }
          found_damage(row_key);
          return true;
        }
        if (!swept_) body->row.apply_clear(clear_);
        if (const auto digest = digest_of(row_key, body->row)) proven += {*digest, 1};
        return true;
      });
  if (!visited) return visited;
  if (proven != leaf.summary) ++verification.wrong_leaves;
  if (leaf.range.last == Range::all().last) {
    verification.next.reset();
  } else {
    verification.next = Position::of(leaf.range.last.number() + 1);
  }
  return {};
}

}  // namespace knit
