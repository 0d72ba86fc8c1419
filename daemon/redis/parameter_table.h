// Redis's parameters that rule nothing here: names, defaults of Redis 7.0, and what fits them. Tools ask
// for them, and set them before they work. Those of TLS, cluster and credentials are not among them:
// whoever sets one must hear that it has no effect.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace knit {

namespace parameter_kind {
constexpr std::string_view fixed = "";  // Cannot be set.
constexpr std::string_view flag = "yes|no";
constexpr std::string_view number = "#";   // An integer.
constexpr std::string_view memory = "#b";  // Bytes: "1024", "1kb", "2mb".
constexpr std::string_view text = "*";
}  // namespace parameter_kind

struct PlainParameter {
  std::string_view name;
  std::string_view value;
  std::string_view kind;  // One of the above, or the words that fit: "a|b|c".
};

std::span<const PlainParameter> plain_parameters();  // Ascending by name.

std::optional<std::uint64_t> parse_memory(std::string_view text);
// What is wrong with a value of a kind, in Redis's words. Empty: it fits.
std::optional<std::string> misfit_of(std::string_view kind, std::string_view value);

}  // namespace knit
