#include "node/heard_line.h"

#include <utility>

#include "base/fault.h"

namespace knit {

void HeardLine::hear(Line line, const RowMessages& sent, const RowMessages& taken) {
  const bool waits = first_ && !taken.covers(sent);
  if (!waits) last_.reset();
  (waits ? last_ : first_) = Told{std::move(line), sent};
  settle(taken);
}

// The later of the two tells all that the earlier one does, and may wait for less: a message that was being
// written need not have been sent.
void HeardLine::settle(const RowMessages& taken) {
  const auto counts = [&](const std::optional<Told>& told) {
    return told && (taken.covers(told->sent) || planted(Fault::clock_before_its_rows));
  };
  if (counts(last_)) first_ = std::exchange(last_, std::nullopt);
  if (!counts(first_)) return;
  known_ = std::move(first_->line);
  first_ = std::exchange(last_, std::nullopt);
}

void HeardLine::end() {
  if (first_) known_ = std::move(first_->line);
  if (last_) known_ = std::move(last_->line);
  first_.reset();
  last_.reset();
}

}  // namespace knit
