// A version vector: for each actor, all its dots up to a sequence. The context of a row is one: of the
// dots that concern that row.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "crdt/dot.h"

namespace knit {

// A pure value, canonical: actors ascending, no sequence 0. Equal vectors are equal bytes.
class VersionVector {
 public:
  static constexpr std::size_t actors_max = 4096;

  std::uint64_t sequence(ActorId actor) const;  // 0 if no dot of `actor` is covered.
  bool covers(Dot dot) const { return dot.sequence <= sequence(dot.actor); }
  bool covers(const VersionVector& other) const;
  bool empty() const { return entries_.empty(); }
  bool within_limits() const { return entries_.size() <= actors_max; }  // Whether decode() would take it.

  void add(Dot dot);  // Covers `dot` and all earlier ones of its actor.
  void join(const VersionVector& other);
  void subtract(const VersionVector& other);             // Forgets the entries that are the same in it.
  void truncate(ActorId actor, std::uint64_t sequence);  // Forgets the dots of `actor` above `sequence`.

  const std::vector<Dot>& entries() const { return entries_; }  // Ascending by actor.

  void encode(ByteWriter& out) const;
  // Makes `in` bad on anything not canonical or with more than actors_max actors.
  static VersionVector decode(ByteReader& in);

  bool operator==(const VersionVector&) const = default;

 private:
  std::vector<Dot> entries_;
};

}  // namespace knit
