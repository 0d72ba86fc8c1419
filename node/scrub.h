// The scrub: one slow pass after another over all rows, that proves values against checksums, digests against
// siblings, and the tree against the rows. What it finds the tree and the exchange heal: a damaged row leaves
// the tree, and a tree that is wrong is built anew, so the roots differ and peers ship their copies.
#pragma once

#include <cstdint>
#include <optional>

#include "base/result.h"
#include "base/types.h"
#include "store/store.h"

namespace knit {

struct ScrubReport {
  WallTime ended;
  std::uint64_t rows{};
  std::uint64_t damaged_rows{};
  std::uint64_t wrong_leaves{};
};

// No I/O of its own. Waits while the tree is being built.
class Scrub {
 public:
  // `interval`: what one pass takes, and from one to the next. Zero: there is none.
  explicit Scrub(Millis interval) : interval_(interval) {}

  // Looks at the rows that are due, at most about `rows_max`. Answers the report at the end of a pass. On an
  // error it goes on with the next call.
  Result<std::optional<ScrubReport>> on_tick(Store& store, Now now, std::size_t rows_max);

  // The last call left rows that are due: more calls are wanted before the next tick.
  bool behind() const { return behind_; }
  bool on() const { return interval_ > Millis{0}; }
  double progress() const { return progress_; }  // Of the pass that runs, 0 to 1.
  const std::optional<ScrubReport>& last() const { return last_; }

 private:
  Millis interval_;
  std::optional<Millis> started_;
  Store::Verification pass_;
  double progress_ = 0;
  bool behind_ = false;
  std::optional<ScrubReport> last_;
};

}  // namespace knit
