// How far the log reaches: for each actor from where it is complete, and how much of it is how old.
//
// The log maps a dot to the key of the row that it changed. It is sparse: a dot without an entry was
// superseded on its row by a later dot of the same actor that has one. So whoever gets the rows of all
// entries of an actor between two sequences has all that happened in between.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/types.h"
#include "crdt/clock.h"
#include "crdt/dot.h"

namespace knit {

// A value; changes of it become durable with the next commit of the store. Trimming goes by segments, a 64th
// of the bounds each, the oldest first.
class LogExtent {
 public:
  struct Bounds {
    std::uint64_t bytes_max{};
    Millis age_max{};
  };
  explicit LogExtent(Bounds bounds) : bounds_(bounds) {}

  // All dots of `actor` above this that the clock covers are in the log, as said above.
  std::uint64_t complete_from(ActorId actor) const;

  // An entry of so many bytes was put.
  void note(Dot dot, std::size_t bytes, WallTime now);
  // Dots of `actor` up to here came without entries.
  void raise(ActorId actor, std::uint64_t sequence);
  // The clock gained `joined` from an exchange: what is new in it has no entries. Requires: `before` is the
  // clock without it.
  void raise_by(const Clock& joined, const Clock& before);

  // If the log is beyond its bounds: forgets the oldest segment, and answers up to where the entries of which
  // actors are to be erased.
  std::vector<Dot> trim(WallTime now);

  std::uint64_t bytes() const { return bytes_; }  // Of keys and values.
  std::uint64_t bytes_max() const { return bounds_.bytes_max; }
  std::optional<WallTime> oldest() const;  // Empty: the log is.

  void encode(ByteWriter& out) const;
  bool decode(ByteReader& in);  // False: the bytes cannot be understood.

 private:
  struct Segment {
    WallTime begun;
    std::uint64_t bytes{};
    std::map<ActorId, std::uint64_t> up_to;
  };
  bool is_beyond_bounds(WallTime now) const;

  Bounds bounds_;
  std::map<ActorId, std::uint64_t> complete_from_;  // Of actors where it is not 0.
  std::deque<Segment> segments_;                    // The oldest first; not empty if the log is not.
  std::uint64_t bytes_ = 0;
};

}  // namespace knit
