#include "planted_faults.h"

#include <array>

namespace knit::sim {

namespace {

constexpr auto clears = [](WorldOptions& options) { return options.counters == 0; };
constexpr auto counts = [](WorldOptions& options) {
  return options.counters == 1 && !options.loses_host && options.hosts > 2;
};
constexpr auto rots = [](WorldOptions& options) { return options.rot; };
// Much of what they have is in the journal alone.
constexpr auto rots_in_two = [](WorldOptions& options) {
  return options.rot && options.hosts == 2 && options.commit_chance < 0.1 && options.members;
};
constexpr auto is_damaged = [](WorldOptions& options) {
  return !options.loses_host && !options.members && options.hosts > 2 && options.counters > 0;
};
constexpr auto exchanges = [](WorldOptions& options) {
  return options.exchange_interval < options.faults_for && options.hosts > 2;
};

constexpr auto relays = [](WorldOptions& options) {
  return options.loses_host && options.exchange_interval < options.faults_for;
};

// What a stream leaves out is not healed before somebody looks.
constexpr auto is_damaged_early = [](WorldOptions& options) {
  return is_damaged(options) && options.counters == 1 && options.hosts > 3 && options.commit_chance > 0.1;
};
// And nothing but streams may bring it.
constexpr auto streams_alone = [](WorldOptions& options) {
  return options.exchange_interval > options.converge_within && options.counters > 0 && !options.causal &&
         options.log.bytes_max >= 8000 && options.log.age_max >= Millis(6000) &&
         options.skew_max < Millis(250);
};
constexpr auto reads_all = [](WorldOptions& options) {
  options.read_all = 0.3;
  return options.members;
};

constexpr auto puts_off = [](WorldOptions& options) {
  options.put_offs = 60;
  options.keys = 4;
  options.faults_for = Millis(40'000);
  return options.narrow_streams && options.skew_max < Millis(250);
};

constexpr auto changes_members = [](WorldOptions& options) { return options.members; };

constexpr std::array faults{
    PlantedFault{Fault::send_before_sync, "send_before_sync", "rule 3", 60},
    PlantedFault{Fault::read_before_sync, "read_before_sync", "rule 3", 100},
    PlantedFault{Fault::answer_before_sync, "answer_before_sync", "rule 3", 30},
    PlantedFault{Fault::actor_kept_after_damage, "actor_kept_after_damage", "rule 4", 50, rots},
    PlantedFault{Fault::dots_forgotten_by_replay, "dots_forgotten_by_replay", "rule 4", 30},
    PlantedFault{Fault::clock_kept_by_undo, "clock_kept_by_undo", "rule 4", 50},
    PlantedFault{Fault::end_clock_joined, "end_clock_joined", "rule 5", 150, exchanges},
    PlantedFault{Fault::clock_joined_before_rows, "clock_joined_before_rows", "rule 5", 30},
    PlantedFault{Fault::log_kept_by_trim, "log_kept_by_trim", "rule 6", 30},
    PlantedFault{Fault::log_kept_by_join, "log_kept_by_join", "rule 6", 1500, relays},
    PlantedFault{Fault::trim_unnoticed, "trim_unnoticed", "rule 6", 200},
    PlantedFault{Fault::unreadable_delivered, "unreadable_delivered", "rule 6", 1500, is_damaged_early},
    PlantedFault{Fault::streamed_not_logged, "streamed_not_logged", "rule 6", 30},
    PlantedFault{Fault::covered_before_replacement, "covered_before_replacement", "invariant 2", 60},
    PlantedFault{Fault::left_out_row_counted, "left_out_row_counted", "invariant 2", 600},
    PlantedFault{Fault::position_kept_without_link, "position_kept_without_link", "invariant 2", 100},
    PlantedFault{Fault::acknowledged_before_sync, "acknowledged_before_sync", "rule 3", 200},
    PlantedFault{Fault::credit_never_returned, "credit_never_returned", "streams", 150},
    PlantedFault{Fault::clear_not_streamed, "clear_not_streamed", "clears", 50, clears},
    PlantedFault{Fault::relay_refused, "relay_refused", "streams", 1000},
    PlantedFault{Fault::context_trimmed_above_floor, "context_trimmed_above_floor", "rule 1", 30},
    PlantedFault{Fault::gap_swallowed, "gap_swallowed", "rule 7", 50, rots},
    PlantedFault{Fault::joins_after_gap, "joins_after_gap", "rule 7", 600, rots},
    PlantedFault{Fault::clock_of_damage_joined, "clock_of_damage_joined", "rule 7", 600, is_damaged},
    PlantedFault{Fault::delta_forgotten, "delta_forgotten", "rule 8", 30},
    PlantedFault{Fault::row_lost_by_split, "row_lost_by_split", "rule 8", 50},
    PlantedFault{Fault::exchange_before_tree, "exchange_before_tree", "rule 9", 600, exchanges},
    PlantedFault{Fault::record_skipped_by_replay, "record_skipped_by_replay", "rule 9", 30},
    PlantedFault{Fault::journal_dropped_early, "journal_dropped_early", "rule 9", 60},
    PlantedFault{Fault::expired_shown, "expired_shown", "rule 10", 30},
    PlantedFault{Fault::stamp_below_superseded, "stamp_below_superseded", "rule 14", 30},
    PlantedFault{Fault::clock_dragged_ahead, "clock_dragged_ahead", "rule 14", 30},
    PlantedFault{Fault::row_after_its_clock, "row_after_its_clock", "invariant 2", 60},
    PlantedFault{Fault::context_ignored, "context_ignored", "invariant 6", 30},
    PlantedFault{Fault::superseded_forgotten, "superseded_forgotten", "invariant 6", 30},
    PlantedFault{Fault::sibling_lost, "sibling_lost", "invariant 5", 30},
    PlantedFault{Fault::component_continued, "component_continued", "counters", 600, counts},
    PlantedFault{Fault::clear_not_passed_on, "clear_not_passed_on", "clears", 1500, clears},
    PlantedFault{Fault::cleared_forgotten_at_once, "cleared_forgotten_at_once", "clears", 1500, clears},
    PlantedFault{Fault::purged_above_floor, "purged_above_floor", "invariant 6", 100},
    PlantedFault{Fault::purged_at_floor, "purged_at_floor", "purge", 1500, streams_alone},
    PlantedFault{Fault::gap_given_up_alone, "gap_given_up_alone", "rule 7", 1000},
    PlantedFault{Fault::expired_by_one_clock, "expired_by_one_clock", "rule 10", 1000},
    PlantedFault{Fault::expiry_before_its_writes, "expiry_before_its_writes", "rule 10", 2000, puts_off},
    PlantedFault{Fault::purged_what_was_lost, "purged_what_was_lost", "rule 7", 12000, rots_in_two, true},
    PlantedFault{Fault::floor_without_the_down, "floor_without_the_down", "rule 2", 3000},
    PlantedFault{Fault::merged_from_below, "merged_from_below", "rule 2", 100},
    PlantedFault{Fault::rejoined_with_all, "rejoined_with_all", "rule 2", 100},
    PlantedFault{Fault::clock_before_its_rows, "clock_before_its_rows", "rule 2", 8000, nullptr, true},
    PlantedFault{Fault::stream_from_the_future, "stream_from_the_future", "rule 14", 100},
    PlantedFault{Fault::causes_ignored, "causes_ignored", "causal order", 300},
    PlantedFault{Fault::members_ignored, "members_ignored", "tokens", 1000, changes_members},
    PlantedFault{Fault::nobody_met_ignored, "nobody_met_ignored", "tokens", 200},
    PlantedFault{Fault::copy_unnoticed, "copy_unnoticed", "rule 4", 300, changes_members},
    PlantedFault{Fault::refusal_read, "refusal_read", "reads", 1500, reads_all},
    PlantedFault{Fault::rejoined_without_guard, "rejoined_without_guard", "rule 2", 600},
    PlantedFault{Fault::absence_deletes, "absence_deletes", "damage", 30},
};

}  // namespace

std::span<const PlantedFault> planted_faults() { return faults; }

}  // namespace knit::sim
