// Which dots a node has applied: for each actor a contiguous base, and ranges above it. What lies
// between the base and a range is a gap.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "base/bytes.h"
#include "base/hash.h"
#include "crdt/dot.h"
#include "crdt/version_vector.h"

namespace knit {

// A pure value. Invariants: the ranges of an actor are ascending, disjoint, and touch neither each
// other nor the base; no actor stands there that covers nothing. So equal clocks are equal bytes.
class Clock {
 public:
  static constexpr std::size_t actors_max = VersionVector::actors_max;
  static constexpr std::size_t ranges_max = 4096;  // Of all actors together.

  struct Range {
    std::uint64_t first{};
    std::uint64_t last{};
    bool operator==(const Range&) const = default;
  };
  struct Entry {
    std::uint64_t base{};
    std::vector<Range> above;
    bool operator==(const Entry&) const = default;
  };

  bool covers(Dot dot) const;
  bool covers(const Clock& other) const;
  bool covers(const Clock& other, ActorId actor) const;  // As above, of the dots of `actor` alone.
  // How many dots of `other` are not covered here. Saturates: a peer's clock may cover any number.
  std::uint64_t lacks(const Clock& other) const;
  std::uint64_t base(ActorId actor) const;     // All of 1..base are covered.
  std::uint64_t highest(ActorId actor) const;  // The greatest sequence covered, gaps or not.
  bool empty() const { return entries_.empty(); }
  const std::map<ActorId, Entry>& entries() const { return entries_; }

  void add(Dot dot);
  void add(ActorId actor, Range range);  // Requires: 1 <= first <= last.
  // Takes over what `from` says of `actor`, be it less or more.
  void replace(ActorId actor, const Clock& from);
  void join(const Clock& other);
  // What both have of each actor without a gap.
  static Clock common_bases(const Clock& a, const Clock& b);
  // Forgets all dots of `actor` above `sequence`: they turned out to name other writes than ours.
  void truncate(ActorId actor, std::uint64_t sequence);

  void encode(ByteWriter& out) const;
  static Clock decode(ByteReader& in);  // Makes `in` bad on anything that breaks an invariant.
  std::uint64_t digest(const HashKey& key) const;

  bool within_limits() const;  // Whether decode() would take it. A join of two that are may be beyond.
  bool has_room() const;       // Whether it would stay within them if one dot were added.

  bool operator==(const Clock&) const = default;

 private:
  std::size_t ranges() const;
  void add_range(Entry& entry, Range range);

  std::map<ActorId, Entry> entries_;
};

}  // namespace knit
