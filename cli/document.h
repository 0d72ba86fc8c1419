// Replies as documents with named fields: what --json prints, and what the verbs read.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "cli/connection.h"

namespace knit {

using Json = nlohmann::ordered_json;

// RESP2 has no maps: they come as arrays of name, value, name, value. A map's field may be a map
// (`mine`, `theirs` and `tags` are) or a list; what is an array within a list is a map.
Json map_document(const Reply& reply);
Json list_document(const Reply& reply);

// Fields; empty, zero or false if the daemon did not send them, as one of another version may not.
std::string text_of(const Json& map, std::string_view field);
std::int64_t number_of(const Json& map, std::string_view field);
bool flag_of(const Json& map, std::string_view field);
const Json& list_of(const Json& map, std::string_view field);

// One line. Strings that are not UTF-8 become {"hex": "..."}.
std::string printed(Json document);

}  // namespace knit
