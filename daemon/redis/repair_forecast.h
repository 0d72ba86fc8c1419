// What a repair would make of a row in which two nodes differ, told from the versions alone.
#pragma once

#include <cstdint>
#include <string_view>

#include "merkle/exchange.h"

namespace knit {

struct RepairForecast {
  // Whose value the key shows afterwards.
  enum class Winner : std::uint8_t {
    mine,
    theirs,
    equal,  // Both show the same value already: expiries, superseded values or contexts differ.
    both,   // A counter: it amounts to what both sides have added.
  };
  Winner winner{};
  bool sends = false;     // This node's row travels to the peer.
  bool receives = false;  // The peer's row travels here. Both: the values of both sides are kept.
  // As the row travels, without what frames cost; 0 if it does not. Exact for a row of one value. Of
  // concurrent values only the winner's length is known, and of a name too long for a row key only if this
  // node has it.
  std::uint64_t send_bytes{};
  std::uint64_t receive_bytes{};
};

// Requires: at least one side is there.
RepairForecast forecast(const Difference& difference);

std::string_view name_of(RepairForecast::Winner winner);  // "mine", "theirs", "equal", "both".

}  // namespace knit
