// The packets of membership. The same bytes travel in datagrams and over links; who sent them is known from
// what sealed them.
//
//   packet   kind 1 | fields | update bytes...
//   update   0 | record, as member.h encodes it
//          | 1 | id 8 | generation varint | incarnation varint | state 1 | [accuser 8, of a suspect]
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "gossip/member.h"

namespace knit {

// In every ping and ack: equal digests mean equal lists, and equal data.
struct Heads {
  std::uint64_t members{};  // MemberList::digest().
  std::uint64_t state{};    // Of what the node replicates, as it was told; see Swim::set_state().
};

struct Ping {
  std::uint32_t sequence{};
  NodeId target;  // Another node at that address does not answer. 0: whoever is there.
  Heads heads;
};
struct Ack {
  std::uint32_t sequence{};  // The ping's.
  Heads heads;
};
// Please ping this one, and pass its ack on to me under my number, or tell me that none came.
struct PingRequest {
  std::uint32_t sequence{};
  NodeId target;
  Endpoint endpoint;
};
struct Nack {
  std::uint32_t sequence{};
};
// Nothing but updates.
struct News {};
// Digests of parts of the sender's list: of all of it (depth 0), by the first 4 bits of ids (1), by the first
// 8 (2).
struct Compare {
  struct Part {
    std::uint8_t prefix{};
    std::uint32_t digest{};  // The low half of the sum.
  };
  std::uint8_t depth{};
  std::vector<Part> parts;  // Ascending by prefix.
};
// The updates are all that the sender has of members whose id is within these bounds, both included.
struct Records {
  bool reply{};  // Send what you have of these that is newer, or not here.
  NodeId low;
  NodeId high;
};

using PacketBody = std::variant<Ping, Ack, PingRequest, Nack, News, Compare, Records>;

// What is news of a member that the receiver knows already: a record without its profile.
struct Update {
  Member member;  // Without a profile if it is brief.
  bool brief = false;
  NodeId accuser;  // Of a suspect, if it is brief.
};

struct Packet {
  PacketBody body;
  std::vector<Update> updates;
};

std::string encode(const PacketBody& body);  // To which updates may be appended, each as bytes.
std::string encode_update(const Member& member);
std::string encode_brief_update(const Member& member, NodeId accuser);

constexpr std::size_t updates_per_packet_max = 4096;

// bad_input on anything that is not exactly one packet within the limits. Nothing was changed.
Result<Packet> decode_packet(std::string_view bytes, ProfilePool& pool);

}  // namespace knit
