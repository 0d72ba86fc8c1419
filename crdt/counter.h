// The counter of a row: what INCR and its kin have added to it, node by node.
//
// A counter is a set of components. Each is named by the dot that created it, and only the actor of that
// dot adds to it: so concurrent increments of many nodes all count, and a component merges by the maximum
// of each amount. Whoever overwrites or deletes the key resets what he saw: his own components he drops
// (the row's context then covers them), of others', and of sealed ones, he notes how much of each he has
// seen. What is added meanwhile elsewhere stays.
//
// An actor may go on adding to a component only while it knows that it holds its latest state. If a peer has
// to tell an actor of the actor's own component, the row was lost here, and some other peer may know a
// later state: the component is *sealed*, for good and everywhere, and it is never added
// to again. So is one that the context covers. (A row shows what it holds whether the context covers it or
// not. The context must not say what is sealed: it would deny earlier components of the actor, lost as well.)
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/function_ref.h"
#include "base/types.h"
#include "crdt/clock.h"
#include "crdt/decimal.h"
#include "crdt/dot.h"
#include "crdt/expiry.h"
#include "crdt/version_vector.h"

namespace knit {

constexpr std::size_t components_max = 4096;  // Of one row.

// Amounts are in units of 1e-17 (see Decimal). Invariants: last >= created.sequence; what is reset is at most
// what was added or subtracted.
struct Component {
  Dot created;
  std::uint64_t last{};  // Sequence of the last change by created.actor: names the state of the amounts.
  Uint128 added{};
  Uint128 subtracted{};
  Uint128 reset_added{};
  Uint128 reset_subtracted{};
  Expiry expiry;        // Never changes.
  bool sealed = false;  // Not in digests: whoever lacks it learns it before it matters, as its actor did.
  bool operator==(const Component&) const = default;

  Dot last_dot() const { return {created.actor, last}; }
  bool reset() const { return added == reset_added && subtracted == reset_subtracted; }
  bool live(WallTime now) const { return !reset() && !expiry.passed(now); }
  // Adds, or subtracts if `amount` is negative. False if that would not fit: nothing is changed.
  bool add(const Decimal& amount);
  bool merge(const Component& same);  // Whether anything changed. Requires: the same created dot.

  void encode(ByteWriter& out) const;
  static Component decode(ByteReader& in);  // Makes `in` bad on anything not canonical.
  static constexpr std::size_t encoded_bytes_min = 8 + 1 + 1 + 1 + 1 + 4;
};

// A pure value. Invariant: components ascend by the dot that created them.
class Counter {
 public:
  const std::vector<Component>& components() const { return components_; }
  bool empty() const { return components_.empty(); }
  bool within_limits() const { return components_.size() <= components_max; }
  const Component* find(Dot created) const;

  // What the live components amount to, if any is live. Saturates.
  std::optional<Decimal> total(WallTime now, const Decimal& base) const;
  bool live(WallTime now) const;
  bool expires_before(Expiry expiry, WallTime now) const;  // Whether a live component does.
  std::optional<Expiry> latest_expiry() const;             // Of those not reset.
  bool has_remains() const;                                // Components that were reset, or are sealed.

  // The component that `actor` may add to: the youngest of his that is live, not sealed, and has this expiry.
  const Component* continuable(ActorId actor, Expiry expiry, const VersionVector& context,
                               WallTime now) const;
  Component& at(Dot created);  // Requires: it is there.
  void insert(Component component);

  // A write of `actor` that saw all this.
  void reset(ActorId actor, VersionVector& context);
  // Drops the components of `actor` that are reset or expired, and not sealed.
  void drop_dead(ActorId actor, VersionVector& context, WallTime now);
  // Without a trace. Answers whether there were any.
  bool forget(FunctionRef<bool(const Component&)> which) {
    return std::erase_if(components_, [&](const Component& c) { return which(c); }) > 0;
  }
  // The component is gone; the context says so.
  void drop(Dot created, VersionVector& context);

  // Before contexts are united. Returns true if anything changed.
  bool merge(const Counter& other, const VersionVector& context, const VersionVector& other_context);
  // Whether `mine` has what a holder of `theirs` would change by.
  static bool has_news(const Counter& mine, const VersionVector& context, const Counter& theirs,
                       const VersionVector& their_context);

  // Resets each component whose last change is covered. With forget, those whose every state is covered
  // are left out at last, as long as the context does not cover them: then it would deny them elsewhere,
  // where they may have grown. What a clear does not cover stays whole.
  bool apply_clear(const Clock& covered, bool forget, const VersionVector& context);

  // `actor` turned out to have issued dots above `sequence` for other writes than ours: takes one of his
  // components that was changed under such dots, and puts what is new in it under the dot `fresh`. `before`
  // is the component as it was at that sequence, if he had continued one; without it, a component that is
  // older than that stays whole. Returns true if there was one; it may have to be called again.
  bool reissue(ActorId actor, std::uint64_t sequence, Dot fresh, const std::optional<Component>& before);

  void add_to_digest(ByteWriter& out) const;  // Nothing if there are no components.
  void encode(ByteWriter& out) const;
  static Counter decode(ByteReader& in);

  bool operator==(const Counter&) const = default;

 private:
  void drop_own(ActorId actor, VersionVector& context, FunctionRef<bool(const Component&)> wanted);

  std::vector<Component> components_;
};

}  // namespace knit
