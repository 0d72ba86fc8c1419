// What is known of one node of the cluster, and which of two such records is the newer one.
//
// Four things are kept apart. The *id* is the node for ever. The *generation* is one life of its process: it
// rises with each start. The *incarnation* counts what the node itself has announced in that life: it alone
// raises it, to refute a suspicion or to change its profile. Name and address, which may change, are in the
// *profile*.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/types.h"
#include "gossip/endpoint.h"
#include "gossip/profile_pool.h"

namespace knit {

struct Generation {
  std::uint64_t value{};
  auto operator<=>(const Generation&) const = default;
  std::optional<Generation> next() const;  // Empty at the maximum: a peer may send us any number.
};

struct Incarnation {
  std::uint32_t value{};
  auto operator<=>(const Incarnation&) const = default;
  std::optional<Incarnation> next() const;  // Empty at the maximum.
};

// Ascending by what wins at the same generation and incarnation (SWIM, section 4.2; `left` and
// `forgotten` are ours).
enum class MemberState : std::uint8_t {
  alive = 0,
  suspect = 1,
  dead = 2,       // Kept, and asked again from time to time, so that a partition heals by itself.
  left = 3,       // It said so itself.
  forgotten = 4,  // By an operator: ends this life of the node, whatever its incarnation.
};

std::string_view name(MemberState state);

struct Member {
  NodeId id;
  Generation generation;
  WallTime since;  // Of its state, by this node's clock; not told to others.
  PooledProfile profile;
  Incarnation incarnation;
  MemberState state{};

  // Takes part, as far as is known.
  bool is_present() const { return state == MemberState::alive || state == MemberState::suspect; }
  // To the cluster: it holds a replica, though it may be down. Not if it has left or was forgotten.
  bool belongs() const { return is_present() || state == MemberState::dead; }
};

// Whether `a` is newer than `b`: a total order of the states of one node, so that all who have heard the same
// records in whatever order hold the same one. Generation first; then `forgotten`, of which there is one;
// then incarnation; then state; and for two that use one id, anything that is the same everywhere.
bool supersedes(const Member& a, const Member& b);

// id 8 | generation varint | incarnation varint | state 1 | profile bytes
void encode(const Member& member, ByteWriter& out);
std::size_t encoded_bytes(const Member& member);
// The reader is bad afterwards if there is none. `since` is left zero.
Member decode_member(ByteReader& in, ProfilePool& pool);

// Sums of these tell lists apart. Unkeyed: whoever can plant a collision is a member.
std::uint64_t digest_of(const Member& member);

}  // namespace knit
