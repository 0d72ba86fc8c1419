// What INFO shows.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace knit {

struct ServerState;

// The Redis whose behaviour clients may expect; they choose by this number what they send.
constexpr std::string_view redis_version = "7.0.0";

// Of the sections named, in lower case. None, or "default": the usual ones; "all" or "everything": all.
std::string info_text(ServerState& server, const std::vector<std::string>& sections);

}  // namespace knit
