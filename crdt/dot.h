// Who wrote, and the how-manieth write of that writer it was.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace knit {

// One incarnation of a node's data directory: random, 64 bits. Issues dots.
struct ActorId {
  std::uint64_t value{};
  auto operator<=>(const ActorId&) const = default;
};

// Names one write for ever. Sequences of an actor are contiguous from 1.
struct Dot {
  ActorId actor;
  std::uint64_t sequence{};
  auto operator<=>(const Dot&) const = default;
};

std::string to_string(ActorId actor);                 // 16 hex digits.
std::string to_string(Dot dot);                       // actor:sequence
std::optional<Dot> parse_dot(std::string_view text);  // What to_string() makes, and nothing else.

}  // namespace knit
