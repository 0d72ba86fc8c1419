// Reading of arguments, with Redis's error texts. Empty answers: the error is in the reply.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

namespace knit {

class Call;

std::optional<std::int64_t> integer_argument(Call& call, std::size_t at);
std::optional<int> int_argument(Call& call, std::size_t at);               // One that fits 32 bits.
std::optional<std::int64_t> timeout_argument(Call& call, std::size_t at);  // Milliseconds, not negative.
bool is_only_database(Call& call, std::size_t at);  // 0. Else the error is in the reply.

}  // namespace knit
