// Faults that can be planted in the code, to prove that the simulator finds them. docs/simulator.md lists
// what each one breaks.
//
// The product knows none of them: planted() is constant there, and its branches are compiled away. Only the
// program sim_faults is built with KNIT_PLANT_FAULTS.
#pragma once

#include <cstdint>

namespace knit {

enum class Fault : std::uint8_t {
  none,
  send_before_sync,
  read_before_sync,
  answer_before_sync,
  actor_kept_after_damage,
  clock_kept_by_undo,
  dots_forgotten_by_replay,
  record_skipped_by_replay,
  journal_dropped_early,
  gap_swallowed,
  joins_after_gap,
  end_clock_joined,
  clock_joined_before_rows,
  clock_of_damage_joined,
  row_after_its_clock,
  delta_forgotten,
  row_lost_by_split,
  exchange_before_tree,
  expired_shown,
  stamp_below_superseded,
  clock_dragged_ahead,
  context_ignored,
  superseded_forgotten,
  sibling_lost,
  component_continued,
  clear_not_passed_on,
  cleared_forgotten_at_once,
  absence_deletes,
  log_kept_by_trim,
  log_kept_by_join,
  trim_unnoticed,
  unreadable_delivered,
  covered_before_replacement,
  left_out_row_counted,
  acknowledged_before_sync,
  credit_never_returned,
  position_kept_without_link,
  streamed_not_logged,
  clear_not_streamed,
  relay_refused,
  purged_above_floor,
  context_trimmed_above_floor,
  floor_without_the_down,
  purged_at_floor,
  purged_what_was_lost,
  expired_by_one_clock,
  expiry_before_its_writes,
  gap_given_up_alone,
  rejoined_with_all,
  merged_from_below,
  clock_before_its_rows,
  rejoined_without_guard,
  refusal_read,
  causes_ignored,
  members_ignored,
  nobody_met_ignored,
  copy_unnoticed,
  stream_from_the_future,
};

#ifdef KNIT_PLANT_FAULTS
inline Fault planted_fault = Fault::none;
inline bool planted(Fault fault) { return planted_fault == fault; }
#else
constexpr bool planted(Fault) { return false; }
#endif

}  // namespace knit
