// How a peer stands to the node that was asked, told from a *peer* of KNIT STATUS.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cli/document.h"

namespace knit {

// The first one that fits. Under constant writes roots are hardly ever equal: then the peers' clocks tell
// whether the streams deliver (`in_step`), and what was lost otherwise shows when an exchange compares the
// rows.
enum class PeerState : std::uint8_t {
  unreachable,
  building,     // Its tree: it cannot be compared yet.
  equal,        // Its root was ours when it last said it.
  in_step,      // Clocks differ, and each is at most in_step_millis behind the other; or they are equal, no
                // exchange runs, and roots were equal at most just_now_millis ago: the next status tells.
  repairing,    // An exchange runs.
  catching_up,  // Streams have more to deliver than that.
  differs,      // None of these: roots differ, and nothing is on its way.
};

constexpr std::int64_t in_step_millis = 2'000;
constexpr std::int64_t just_now_millis = 10'000;
constexpr std::int64_t in_step_writes = 10'000;  // At most, where their age is not known.

PeerState state_of(const Json& peer);
std::string_view name_of(PeerState state);  // In a table.

// Of a peer that is in step: how far the two are apart, the greater of both directions.
std::int64_t apart_millis(const Json& peer);

std::string peer_label(const Json& peer);  // Its name; its address if nobody was met there yet.
std::string lag_text(std::int64_t writes,
                     std::int64_t milliseconds);  // "12 writes / 35 ms", "0", "-": unknown.

bool exchange_runs(const Json& peer);
double exchange_fraction(const Json& peer);  // 0 to 1.

}  // namespace knit
