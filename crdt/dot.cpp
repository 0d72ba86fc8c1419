#include "crdt/dot.h"

#include <charconv>

#include "base/bytes.h"

namespace knit {

std::string to_string(ActorId actor) {
  std::string bytes;
  ByteWriter(bytes).u64(actor.value);
  return to_hex(bytes);
}

std::string to_string(Dot dot) { return to_string(dot.actor) + ":" + std::to_string(dot.sequence); }

std::optional<Dot> parse_dot(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  Dot dot;
  const auto read = [](std::string_view digits, std::uint64_t& value, int base) {
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
    return error == std::errc() && end == digits.data() + digits.size();
  };
  const bool good = read(text.substr(0, colon), dot.actor.value, 16) &&
                    read(text.substr(colon + 1), dot.sequence, 10) && to_string(dot) == text;
  return good ? std::optional(dot) : std::nullopt;
}

}  // namespace knit
