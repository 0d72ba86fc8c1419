#include "cli/difference.h"

#include <fmt/format.h>

#include "cli/text.h"

namespace knit {

std::string key_text(const Json& difference) {
  const std::string key = text_of(difference, "key");
  return key.empty() ? "row " + escaped(text_of(difference, "row_key_hex")) : escaped(key);
}

std::string version_text(const Json& version) {
  if (!version.is_object()) {
    return "absent";
  }
  const std::string state = text_of(version, "state");
  if (state == "value" && number_of(version, "stamp_ms") == 0) {
    return "increments";  // Nothing else bears no stamp.
  }
  const std::string what = state == "value" ? bytes_text(number_of(version, "value_bytes")) : escaped(state);
  const std::int64_t counter = number_of(version, "stamp_counter");
  return fmt::format("{}, {}{}", what, utc_text(number_of(version, "stamp_ms")),
                     counter == 0 ? "" : fmt::format("+{}", counter));
}

}  // namespace knit
