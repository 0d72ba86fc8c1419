// Splits a command line as people type it into words, with the quotes of redis-cli: "..." knows
// \n \r \t \b \a \xHH \" \\, '...' knows \' alone; a closing quote ends its word.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace knit {

// Empty if a quote is not closed, or is closed in the middle of a word.
std::optional<std::vector<std::string>> split_inline(std::string_view line);

}  // namespace knit
