// What tree and exchange need to know of the rows of one node. The store implements it; tests
// implement it with a map.
#pragma once

#include <string_view>

#include "base/bytes.h"
#include "base/function_ref.h"
#include "base/result.h"
#include "base/types.h"
#include "crdt/clock.h"
#include "crdt/line.h"
#include "crdt/register_row.h"
#include "merkle/range.h"

namespace knit {

class Tree;

// One row as it is shipped. Views are valid during the visit only.
struct RowView {
  Position position;  // That of row_key.
  std::string_view row_key;
  Uint128 digest{};
  std::string_view body;        // See crdt/row_body.h.
  std::uint64_t shown_until{};  // 0: shows no value; else the expiry of the value it shows.
};

class RowSource {
 public:
  virtual ~RowSource() = default;

  // Visits the rows of `range` ascending by row key until `visit` answers false. Starts at the first row key
  // >= from_row_key if that is not empty. What is seen is the applied state, as if every clear had been
  // swept. The rows must not be changed meanwhile.
  virtual Result<void> visit_rows(Range range, std::string_view from_row_key,
                                  FunctionRef<bool(const RowView&)> visit) const = 0;
};

class Replica : public RowSource {
 public:
  virtual const Tree& tree() const = 0;
  virtual const HashKeys& hash_keys() const = 0;
  virtual const Clock& clock() const = 0;
  // Whether rows are known to be lost to damage: then the clock covers what is not there, and no peer may
  // join it.
  virtual bool has_damage() const { return false; }
  virtual std::uint64_t losses() const { return 0; }  // How often rows were found lost, ascending.
  // Somebody shows the same rows who has all that this clock covers: no row is lost any more.
  virtual void forget_damaged() {}
  // Rows that cannot be read, or hold what a peer had of such a row, which may be less than what was lost.
  virtual void visit_damaged(Range, FunctionRef<void(std::string_view row_key)>) const {}
  virtual const Clock& clear() const = 0;  // What FLUSHALLs cover; empty if there was none.

  // Up to where spent rows were purged here: see store/store_purge.cpp.
  virtual const Line& purged() const {
    static const Line none;
    return none;
  }
  virtual std::uint64_t purged_rows() const { return 0; }  // So far.
  // A row that lies below purged() and was not purged.
  virtual void found_spent(std::string_view) const {}
  // Rejoin: a peer that has all of the fence, the last argument, shows `theirs`. See
  // RegisterRow::keep_what_is_in().
  virtual Result<void> keep_what_is_in(std::string_view, const RowVersion&, const Clock&) { return {}; }

  // Merges a row that a peer sent. Answers whether anything changed; bad_input if it is not a row of
  // this cluster, refused if the merged row would be beyond a limit, disk_full if there is no room. Nothing
  // is changed on an error.
  virtual Result<bool> merge_row(std::string_view row_key, std::string_view body, WallTime now) = 0;
  // The same, from a peer whose clock does not cover our floor: it may not know what we know that all have.
  virtual Result<bool> merge_row_from_below(std::string_view row_key, std::string_view body, WallTime now) {
    return merge_row(row_key, body, now);
  }
  // Unites a peer's clear with ours. If that changed anything the tree is incomplete afterwards.
  virtual Result<void> merge_clear(const Clock& clear, WallTime now) = 0;
  // Requires: all that `clock` covers is in the rows.
  virtual Result<void> join_clock(const Clock& clock, WallTime now) = 0;
};

}  // namespace knit
