// A small file of the data directory that is replaced as a whole: what is kept there helps the next start,
// and may be lost.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace knit {

constexpr std::size_t state_file_bytes_max = std::size_t{16} << 20;

// io: the message names the path; what was there before is still there.
Result<void> replace_state_file(const std::string& path, std::string_view contents);
// Empty if there is none, or if it is not whole.
std::optional<std::string> read_state_file(const std::string& path);

}  // namespace knit
