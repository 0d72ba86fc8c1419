#include "node/scrub.h"

#include <algorithm>

namespace knit {

Result<std::optional<ScrubReport>> Scrub::on_tick(Store& store, Now now, std::size_t rows_max) {
  behind_ = false;
  if (!on() || store.has_work()) return std::nullopt;
  if (!started_) started_ = now.steady;
  const auto elapsed = static_cast<double>((now.steady - *started_).count());
  const double due = std::min(elapsed / static_cast<double>(interval_.count()), 1.0);
  const auto rows_due = static_cast<std::uint64_t>(due * static_cast<double>(store.tree().total().count));
  if (pass_.next && (pass_.rows < rows_due || due == 1.0)) {
    const std::size_t rows = due == 1.0 ? rows_max : std::min<std::uint64_t>(rows_due - pass_.rows, rows_max);
    const std::uint64_t wrong_before = pass_.wrong_leaves;
    if (auto verified = store.verify_step(pass_, std::max<std::size_t>(rows, 1)); !verified) {
      return tl::unexpected(verified.error());
    }
    if (pass_.wrong_leaves > wrong_before) store.distrust_tree();
  }
  progress_ = due;
  behind_ = pass_.next && (pass_.rows < rows_due || due == 1.0);
  if (pass_.next || due < 1.0) return std::nullopt;
  last_ = ScrubReport{now.wall, pass_.rows, pass_.damaged_rows, pass_.wrong_leaves};
  pass_ = {};
  started_ = now.steady;
  progress_ = 0;
  return last_;
}

}  // namespace knit
