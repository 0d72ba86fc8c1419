// A register row: the concurrent values of one Redis string, with what they superseded, and what
// increments have added to it.
//
// It is a join-semilattice (Shapiro et al. 2011; dotted version vectors, Almeida et al. 2014):
// merge() is commutative, associative and idempotent, so the order and the number of deliveries
// do not matter.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/result.h"
#include "base/types.h"
#include "crdt/clock.h"
#include "crdt/counter.h"
#include "crdt/dot.h"
#include "crdt/expiry.h"
#include "crdt/stamp.h"
#include "crdt/version_vector.h"

namespace knit {

constexpr std::size_t value_bytes_max = std::size_t{64} << 20;  // Of one value, and of all siblings of a row.
constexpr std::size_t siblings_max = 64;                        // Of one row.

enum class Content : std::uint8_t {
  tombstone = 0,  // A delete. `value` is empty.
  value = 1,
  dropped = 2,  // An expired value that gave up its bytes. Reads as absent; its digest is unchanged.
  cleared = 3,  // Covered by a FLUSHALL: never the winner. Kept for what its row has superseded.
};

struct Sibling {
  Dot dot;
  Stamp stamp;
  Expiry expiry;
  Content content = Content::tombstone;
  std::string value;
  bool operator==(const Sibling&) const = default;
};

// What two nodes must tell each other to see who has news for whom: a row without its values.
struct RowVersion {
  struct Live {
    Dot dot;
    Expiry expiry;
    bool operator==(const Live&) const = default;
  };
  std::vector<Live> live;  // Ascending by dot.
  VersionVector context;
  Counter counter;
  bool operator==(const RowVersion&) const = default;

  bool nothing() const { return live.empty() && counter.empty(); }
  // Whether both show the same: contexts may differ all the same.
  bool same_state(const RowVersion& other) const { return live == other.live && counter == other.counter; }
};

// True if a node with `theirs` would show something else after merging `mine`.
bool has_news(const RowVersion& mine, const RowVersion& theirs);

// What a key shows: the value of the register or, if increments are live and the value is a number (none
// counts as 0), their sum.
struct Shown {
  const Sibling* sibling = nullptr;  // The value of the register, if it is visible. Lives in the row.
  std::optional<Decimal> total;      // Shown instead.
  Expiry expiry;                     // The latest of the parts: until then the key exists.
  bool mixed = false;                // Some part expires before that: the value will change.

  std::string text() const { return total ? total->text() : sibling->value; }
};

class RegisterRow {
 public:
  RegisterRow() = default;
  // A row that cannot be read any more, of which nothing is known but that all it held is in `seen`: a write
  // over it supersedes all of that.
  static RegisterRow unreadable(const Clock& seen);

  const std::vector<Sibling>& siblings() const { return siblings_; }  // Ascending by dot.
  const VersionVector& context() const { return context_; }
  const Counter& counter() const { return counter_; }
  bool empty() const { return siblings_.empty() && counter_.empty(); }
  bool within_limits() const { return context_.within_limits() && counter_.within_limits(); }
  RowVersion version() const;

  // The greatest stamp here, zero if there is none: what a new write must exceed.
  Stamp greatest_stamp() const;

  // Last-write-wins: the sibling with the greatest (stamp, actor, sequence), cleared ones aside. Null if
  // there is none.
  const Sibling* winner() const;
  // The winner if it is a value that has not expired: what the register alone shows.
  const Sibling* visible(WallTime now) const;
  // What register and counter show together. Empty: the key does not exist.
  std::optional<Shown> shown(WallTime now) const;
  // Until when the row shows something, if no time has passed yet. Empty: it shows nothing at any time.
  std::optional<Expiry> shown_until() const;

  // A local write: supersedes all siblings and resets the counter. Requires: sibling.stamp >
  // greatest_stamp(), or both at the maximum, and a dot that was never used.
  void write(Sibling sibling);

  // A local write by somebody who has seen the siblings with these dots and no others: they go, the others
  // stay beside it. Requires, beside what write() does: the counter is empty.
  void resolve(Sibling sibling, std::span<const Dot> superseded);

  // The component of `actor` that an increment would continue, if there is one.
  const Component* continuable(ActorId actor, WallTime now) const;
  struct Increment {
    Dot dot;                  // Never used before.
    Stamp stamp;              // As for write(): an expired value is superseded by a tombstone.
    Decimal amount;           // Not zero.
    bool start_anew = false;  // Do not continue a component.
  };
  enum class Incremented : std::uint8_t {
    done,
    too_great,  // The amounts do not fit. Nothing is changed.
    too_many,   // There are components_max components. Nothing is changed.
  };
  // A local increment. If the key does not exist it begins at 0, without an expiry, and what has expired is
  // reset; else the increment expires with the key.
  Incremented increment(const Increment& increment, WallTime now);

  // Puts off the expiry of the winner, which keeps its dot. Requires: `expiry` is later, and there
  // is a winner.
  void raise_expiry(Expiry expiry);

  // Returns true if this row changed. Above siblings_max siblings or value_bytes_max bytes the
  // siblings with the smallest (stamp, actor, sequence) are superseded, never the winner. At that
  // limit merge() is not associative any more; the states still meet, since what was superseded so stays in
  // the contexts until all have it.
  bool merge(const RegisterRow& other);
  // The same at the node whose actor is `self`: seals what it learns of its own components (see Counter).
  bool merge_at(ActorId self, const RegisterRow& other);

  // Siblings that a clear covers are cleared, components are reset. They are forgotten only where the clear
  // covers the whole context too: else the row would lose, here and not elsewhere, what they had superseded.
  // A row that is left empty may vanish. Returns true if anything changed.
  bool apply_clear(const Clock& covered);

  // Purge. A row is *spent* if it shows nothing at that time, nor will it later: its values are deleted or
  // have expired, its increments are reset or have. Once all nodes have all that it tells (its dots and its
  // context lie at or below the floor) it may vanish.
  bool is_spent(WallTime expired) const;
  // A dot that keeps a spent row from vanishing. Empty: all that the row tells lies at or below the floor.
  std::optional<Dot> above(const Clock& floor) const;
  bool may_vanish(const Clock& floor, WallTime expired) const { return is_spent(expired) && !above(floor); }
  // Where all nodes have all that the row tells nobody holds what it has superseded: the context goes. It is
  // all or nothing: with a part of it above the floor there may be somebody whom another part tells
  // something. And not while something else goes by it: what a clear has left, and components that were
  // reset.
  bool context_may_go(const Clock& floor) const;
  void forget_context() { context_ = {}; }
  // After a merge with `theirs`: only what was in the context before, when it might have gone.
  void forget_context(const VersionVector& before, const RegisterRow& theirs) {
    context_.subtract(before);
    context_.join(theirs.context_);
  }
  // Before a merge of two rows of nodes that both have all of `floor`: what is spent in one, lies at or below
  // the floor, and is unknown to the other although that is not empty, was superseded by what the other
  // shows, by somebody who had purged it. Its dots go into the context. Returns true if anything went here.
  // Sealed components stay.
  bool settle_spent(RegisterRow& other, const Clock& floor, WallTime expired);
  // Rejoin: `theirs` is the row of somebody who has all of `fence`, as all others have, where this node lacks
  // some. What is in `fence` and unknown to `theirs` was superseded, and what superseded it was purged.
  // Returns true if anything went.
  bool keep_what_is_in(const RowVersion& theirs, const Clock& fence);

  // `actor` turned out to have issued dots above `sequence` for other writes than ours. If a sibling
  // here has such a dot it becomes `fresh`; so do increments (see Counter::reissue()); the context forgets
  // those dots. Returns true if one had.
  bool reissue(ActorId actor, std::uint64_t sequence, Dot fresh,
               const std::optional<Component>& before = std::nullopt);

  // Depends on row key, live dots, stamps and expiries, and the counter: not on contents, nor on the context.
  Uint128 digest(std::string_view row_key, const HashKeys& keys) const;

  void encode(ByteWriter& out) const;
  static RegisterRow decode(ByteReader& in);         // Makes `in` bad on anything not canonical.
  static RegisterRow decode_heads(ByteReader& in);   // As decode(), values left empty.
  static RowVersion decode_version(ByteReader& in);  // The same bytes, values skipped.

  bool operator==(const RegisterRow&) const = default;

 private:
  void limit_siblings();
  struct Spent {
    std::vector<Dot> siblings;
    std::vector<Dot> components;  // By the dots that created them.
  };
  Spent spent_beside(const RegisterRow& other, const Clock& floor, WallTime expired) const;
  void give_up(const Spent& spent);

  std::vector<Sibling> siblings_;
  VersionVector context_;
  Counter counter_;
};

}  // namespace knit
