// Expire times as clients write them, with Redis's limits and error texts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "crdt/register_row.h"

namespace knit {

class Call;

struct TimeUnit {
  bool seconds = true;   // Else milliseconds.
  bool relative = true;  // From now. Else since 1970.
};

std::optional<TimeUnit> time_unit(std::string_view option);  // EX, PX, EXAT, PXAT.

// The time in argument `at`. Empty if it is none or overflows: then the error is in the reply.
// Those before 1970 become 0.
std::optional<Expiry> expiry_of(Call& call, std::size_t at, TimeUnit unit);
// The same, and numbers below 1 are errors too.
std::optional<Expiry> positive_expiry(Call& call, std::size_t at, TimeUnit unit);

}  // namespace knit
