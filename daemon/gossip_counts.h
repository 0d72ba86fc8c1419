// What the UDP socket of gossip has counted since the start.
#pragma once

#include <cstdint>

#include "gossip/datagram_seal.h"

namespace knit {

struct GossipCounts {
  std::uint64_t packets_sent{};
  std::uint64_t packets_received{};
  std::uint64_t bytes_sent{};  // Of the datagrams themselves.
  std::uint64_t bytes_received{};
  std::uint64_t packets_unsent{};
  DatagramCounts sealing;
};

}  // namespace knit
