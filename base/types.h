// Small strong types that several modules share.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <functional>
#include <string>

namespace knit {

using Millis = std::chrono::milliseconds;

// Milliseconds since 1970-01-01 UTC by this host's clock. Enters every module as an argument.
struct WallTime {
  std::uint64_t millis{};
  auto operator<=>(const WallTime&) const = default;
};

// This daemon or another one of the cluster: random, made with the data directory, kept for ever.
struct NodeId {
  std::uint64_t value{};
  auto operator<=>(const NodeId&) const = default;
};

// A moment, as the loop that drives a node knows it. Deadlines use `steady`, stamps and expiry `wall`.
struct Now {
  WallTime wall;
  Millis steady{};  // Never goes back; its zero means nothing.
};

// Counts the changes that this data directory has ever applied. What was applied at a position is
// durable, and may leave the node, once the journal has synced that position (invariant 9.3).
struct JournalPosition {
  std::uint64_t value{};
  auto operator<=>(const JournalPosition&) const = default;
};

std::string to_string(NodeId id);  // 16 hex digits.

}  // namespace knit

template <>
struct std::hash<knit::NodeId> {
  std::size_t operator()(knit::NodeId id) const noexcept { return id.value; }
};
