// The plain header of a sealed datagram. See docs/security.md for why it has what it has.
//
//   short   form 1 | key 1 | sender 8 | counter 6
//   long    form 1 | version 1 | cluster 2 | key 4 | sender 8 | generation 8 | counter 6 | receiver's
//   generation 8
//
// Both are the same in every protocol version, so that a node can tell who speaks another one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/types.h"

namespace knit {

constexpr std::size_t short_header_bytes = 16;
constexpr std::size_t long_header_bytes = 38;
constexpr std::uint64_t datagram_counter_max = (std::uint64_t{1} << 48) - 1;

enum class DatagramForm : std::uint8_t {
  short_data,  // To a receiver that knows the sender's generation.
  data,
  challenge,  // "Prove that this generation is the running one": 16 bytes.
  response,   // The same 16 bytes back.
};
constexpr std::uint8_t datagram_forms = 4;

struct DatagramHeader {
  DatagramForm form{};
  bool sealed = false;
  std::uint32_t key{};  // Fingerprint; in the short form its lowest byte. 0 if not sealed.
  NodeId sender;
  std::uint64_t counter{};  // <= datagram_counter_max.
  // Not in the short form:
  std::uint8_t version{};
  std::uint16_t cluster_tag{};
  std::uint64_t generation{};
  std::uint64_t receiver_generation{};  // As far as the sender knows it; else 0.

  bool operator==(const DatagramHeader&) const = default;
};

std::size_t header_bytes(DatagramForm form);
void encode(const DatagramHeader& header, std::string& out);
// Of the first bytes of a datagram. Empty: too short, or no form of ours.
std::optional<DatagramHeader> decode_datagram_header(std::string_view datagram);

}  // namespace knit
