// A replica over std::map: what the store is to the tree and the exchange, small enough to be
// obviously right.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "crdt/row_body.h"
#include "merkle/replica.h"
#include "merkle/tree.h"

namespace knit {

inline HashKeys test_hash_keys() {
  HashKeys keys;
  keys.position.fill(1);
  keys.digest.fill(2);
  return keys;
}

class MapReplica final : public Replica {
 public:
  explicit MapReplica(ActorId actor, HashKeys keys = test_hash_keys())
      : actor_(actor), keys_(keys), tree_(*this) {
    build_tree();
  }

  Result<void> visit_rows(Range range, std::string_view from_row_key,
                          FunctionRef<bool(const RowView&)> visit) const override {
    if (fail_reads) return fail(ErrorCode::io, "the test says so");
    const std::string start = first_row_key_at(range.first);
    for (auto row = rows_.lower_bound(std::max<std::string_view>(start, from_row_key)); row != rows_.end();
         ++row) {
      const Position position = position_of(row->first);
      if (position.key_hash > range.last.key_hash) break;
      if (!range.contains(position)) continue;
      const std::string body = encode_body({}, row->second);
      if (!visit({position_of(row->first), row->first, row->second.digest(row->first, keys_), body})) break;
    }
    return {};
  }

  const Tree& tree() const override { return tree_; }
  const HashKeys& hash_keys() const override { return keys_; }
  const Clock& clock() const override { return clock_; }
  const Clock& clear() const override { return clear_; }

  Result<bool> merge_row(std::string_view row_key, std::string_view body, WallTime) override {
    auto checked = check_row(row_key, body, keys_);
    if (!checked) return tl::unexpected(std::move(checked.error()));
    return change(std::string(row_key),
                  [&](RegisterRow& row) { return row.merge_at(actor_, checked->body.row); });
  }
  Result<void> keep_what_is_in(std::string_view row_key, const RowVersion& theirs,
                               const Clock& fence) override {
    change(std::string(row_key), [&](RegisterRow& row) { return row.keep_what_is_in(theirs, fence); });
    return {};
  }
  Result<void> merge_clear(const Clock& clear, WallTime) override {
    if (clear_.covers(clear)) return {};
    clear_.join(clear);
    for (auto row = rows_.begin(); row != rows_.end();) {
      row->second.apply_clear(clear_);
      row = row->second.empty() ? rows_.erase(row) : std::next(row);
    }
    tree_.restart();
    return {};
  }
  Result<void> join_clock(const Clock& clock, WallTime) override {
    clock_.join(clock);
    return {};
  }

  // Local writes.
  void write(std::string_view key, std::string value, Content content = Content::value, Expiry expiry = {}) {
    change(string_row_key(key, keys_), [&](RegisterRow& row) {
      row.write({issue(), next_stamp(row), expiry, content, std::move(value)});
      return true;
    });
  }
  void remove(std::string_view key) { write(key, {}, Content::tombstone); }
  void raise_expiry(std::string_view key, Expiry expiry) {
    change(string_row_key(key, keys_), [&](RegisterRow& row) {
      const Sibling* winner = row.winner();
      if (winner == nullptr || !(winner->expiry < expiry)) return false;
      row.raise_expiry(expiry);
      issue();
      return true;
    });
  }
  void add(std::string_view key, std::int64_t amount, WallTime at = {}) {
    change(string_row_key(key, keys_), [&](RegisterRow& row) {
      const Dot dot = issue();
      return row.increment({dot, next_stamp(row), Decimal::of(amount)}, at) == RegisterRow::Incremented::done;
    });
  }
  void flush_all() { check(merge_clear(clock_, {}).has_value(), "a map cannot fail"); }
  // Puts a row there whatever it was before. Its dots are applied.
  void put(const std::string& row_key, const RegisterRow& row) {
    for (const Sibling& sibling : row.siblings()) clock_.add(sibling.dot);
    for (const Component& component : row.counter().components()) clock_.add(component.last_dot());
    change(row_key, [&](RegisterRow& mine) { return mine = row, true; });
  }
  void purge(const Clock& floor) {  // What all have.
    for (auto row = rows_.begin(); row != rows_.end();) {
      if (row->second.context_may_go(floor)) row->second.forget_context();
      const std::string row_key = (row++)->first;
      if (rows_.at(row_key).may_vanish(floor, {})) lose(row_key);
    }
  }
  void lose(const std::string& row_key) {  // As a damaged disk does.
    const auto digest = digest_of(row_key);
    rows_.erase(row_key);
    tree_.apply(position_of(row_key), digest, std::nullopt);
  }

  void build_tree() {
    while (!tree_.complete()) check(tree_.build_step(64).has_value(), "a map cannot fail");
  }
  Tree& mutable_tree() { return tree_; }
  ActorId actor() const { return actor_; }
  const std::map<std::string, RegisterRow, std::less<>>& rows() const { return rows_; }
  std::optional<Uint128> digest_of(const std::string& row_key) const {
    const auto row = rows_.find(row_key);
    if (row == rows_.end()) return std::nullopt;
    return row->second.digest(row_key, keys_);
  }
  Uint128 root() const { return root_digest(tree_, clear_, keys_); }

  mutable bool fail_reads = false;

 private:
  template <class Change>
  bool change(const std::string& row_key, Change apply) {
    const auto before = digest_of(row_key);
    RegisterRow& row = rows_[row_key];
    bool changed = apply(row);
    changed = !row.apply_clear(clear_) && changed;
    if (row.empty()) rows_.erase(row_key);
    tree_.apply(position_of(row_key), before, digest_of(row_key));
    return changed;
  }
  Dot issue() {
    const Dot dot{actor_, clock_.highest(actor_) + 1};
    clock_.add(dot);
    return dot;
  }
  Stamp next_stamp(const RegisterRow& row) {
    stamp_ = std::max(stamp_.next(), row.greatest_stamp().next());
    return stamp_;
  }

  ActorId actor_;
  HashKeys keys_;
  std::map<std::string, RegisterRow, std::less<>> rows_;
  Clock clock_;
  Clock clear_;
  Stamp stamp_;
  Tree tree_;
};

}  // namespace knit
