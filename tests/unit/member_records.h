// Random records of members, and profiles, for tests.
#pragma once

#include <algorithm>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "gossip/member.h"

namespace knit::member_records {

using Random = std::mt19937_64;

constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint32_t most_incarnations = std::numeric_limits<std::uint32_t>::max();

inline Endpoint endpoint(std::uint64_t number) {
  Endpoint out;
  out.ip = {0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0xff,
            0xff,
            10,
            0,
            static_cast<std::uint8_t>(number >> 8),
            static_cast<std::uint8_t>(number)};
  out.port = 7400;
  return out;
}

inline Profile profile(std::string name, const Endpoint& at = endpoint(1)) {
  Profile out;
  out.name = std::move(name);
  out.endpoint = at;
  out.protocol_min = 1;
  out.protocol_max = 2;
  out.version = "0.1.0";
  return out;
}

// As many bytes as a profile may have.
inline Profile largest_profile() {
  Profile out = profile(std::string(node_name_bytes_max, 'n'));
  out.endpoint.ip.fill(0xee);
  for (char tag = 'a'; encode(out).size() < profile_bytes_max; ++tag) {
    std::string& value = out.tags[std::string(tag_bytes_max, tag)];
    const std::size_t room = profile_bytes_max - std::min(profile_bytes_max, encode(out).size());
    value = std::string(std::min(tag_bytes_max, room), 'v');
    if (encode(out).size() + 2 > profile_bytes_max) break;
  }
  return out;
}

inline Member member(ProfilePool& pool, std::uint64_t id, std::uint64_t generation, std::uint32_t incarnation,
                     MemberState state, const std::string& name = "alpha") {
  Member out;
  out.id = {id};
  out.generation = {generation};
  out.incarnation = {incarnation};
  out.state = state;
  out.profile = pool.take(profile(name));
  return out;
}

// Few different numbers, so that they meet; the extremes among them.
inline Member random_member(ProfilePool& pool, Random& random, std::uint64_t id) {
  constexpr std::uint64_t generations[] = {0, 1, 2, most};
  constexpr std::uint32_t incarnations[] = {0, 1, 2, most_incarnations};
  const std::string name(1, static_cast<char>('a' + random() % 3));
  return member(pool, id, generations[random() % 4], incarnations[random() % 4],
                static_cast<MemberState>(random() % 5), name);
}

}  // namespace knit::member_records
