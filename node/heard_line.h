// What a peer is known to have, by what it tells of itself.
#pragma once

#include <cstdint>
#include <optional>

#include "crdt/line.h"

namespace knit {

// How many messages that may hold rows one side has sent, or taken, on a link.
struct RowMessages {
  std::uint64_t batches{};  // Of streams.
  std::uint64_t turns{};    // Of exchanges, but those that say nothing.
  std::uint64_t reads{};    // Answers and repairs of reads of several replicas.
  bool covers(const RowMessages& other) const {
    return batches >= other.batches && turns >= other.turns && reads >= other.reads;
  }
};

// The line that a peer has come to (its clock, here with gaps, and what it lets expire) counts only once all
// that it had sent before it told that line is through: so that no row comes in later which it read when it
// lacked some of the line.
class HeardLine {
 public:
  // The peer told this when it had sent so much; `taken` of it is through.
  void hear(Line line, const RowMessages& sent, const RowMessages& taken);
  void settle(const RowMessages& taken);
  // The link is gone, and with it all that was under way.
  void end();
  // The last that counts; null if there is none. Outlives the link.
  const Line* known() const { return known_ ? &*known_ : nullptr; }

 private:
  struct Told {
    Line line;
    RowMessages sent;
  };
  std::optional<Line> known_;
  std::optional<Told> first_;  // Waits for what was sent before,
  std::optional<Told> last_;   // and what came meanwhile.
};

}  // namespace knit
