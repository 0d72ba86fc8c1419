#include "gossip/member.h"

#include <catch2/catch.hpp>

#include "member_records.h"

using namespace knit;
using namespace knit::member_records;

namespace {

bool equal(const Member& a, const Member& b) {
  return a.id == b.id && a.generation == b.generation && a.incarnation == b.incarnation &&
         a.state == b.state && a.profile == b.profile;
}

std::string bytes_of(const Member& member) {
  std::string bytes;
  ByteWriter out(bytes);
  encode(member, out);
  return bytes;
}

}  // namespace

TEST_CASE("what follows the greatest number is nothing") {
  CHECK(Generation{0}.next() == Generation{1});
  CHECK(Generation{most - 1}.next() == Generation{most});
  CHECK_FALSE(Generation{most}.next());
  CHECK(Incarnation{most_incarnations - 1}.next() == Incarnation{most_incarnations});
  CHECK_FALSE(Incarnation{most_incarnations}.next());
}

TEST_CASE("records of one member are in a strict total order, and equal digests are its ties") {
  ProfilePool pool;
  Random random(1);
  for (int round = 0; round < 20'000; ++round) {
    const Member a = random_member(pool, random, 7);
    const Member b = random_member(pool, random, 7);
    const Member c = random_member(pool, random, 7);
    const int ways = (supersedes(a, b) ? 1 : 0) + (supersedes(b, a) ? 1 : 0);
    REQUIRE(ways == (digest_of(a) == digest_of(b) ? 0 : 1));
    REQUIRE_FALSE(supersedes(a, a));
    if (supersedes(a, b) && supersedes(b, c)) REQUIRE(supersedes(a, c));
    if (digest_of(a) == digest_of(b)) REQUIRE(supersedes(a, c) == supersedes(b, c));
  }
}

TEST_CASE("a later life wins over all that was said of an earlier one") {
  ProfilePool pool;
  const Member later = member(pool, 7, 2, 0, MemberState::alive);
  for (const auto state : {MemberState::dead, MemberState::left, MemberState::forgotten}) {
    CHECK(supersedes(later, member(pool, 7, 1, most_incarnations, state)));
    CHECK_FALSE(supersedes(member(pool, 7, 1, most_incarnations, state), later));
  }
}

TEST_CASE("a higher incarnation wins over every state but forgotten") {
  ProfilePool pool;
  const Member alive = member(pool, 7, 1, 5, MemberState::alive);
  for (const auto state : {MemberState::suspect, MemberState::dead, MemberState::left}) {
    CHECK(supersedes(alive, member(pool, 7, 1, 4, state)));
    CHECK(supersedes(member(pool, 7, 1, 5, state), alive));
  }
  CHECK(supersedes(member(pool, 7, 1, 0, MemberState::forgotten), alive));
  CHECK_FALSE(supersedes(alive, member(pool, 7, 1, 0, MemberState::forgotten)));
}

TEST_CASE("a life is forgotten in one way only") {
  ProfilePool pool;
  const Member one = member(pool, 7, 1, 3, MemberState::forgotten, "alpha");
  const Member other = member(pool, 7, 1, 9, MemberState::forgotten, "beta");
  CHECK_FALSE(supersedes(one, other));
  CHECK_FALSE(supersedes(other, one));
  CHECK(digest_of(one) == digest_of(other));
}

TEST_CASE("a digest tells apart ids, lives, incarnations, states and profiles") {
  ProfilePool pool;
  const auto base = digest_of(member(pool, 7, 1, 3, MemberState::alive));
  CHECK(base != digest_of(member(pool, 8, 1, 3, MemberState::alive)));
  CHECK(base != digest_of(member(pool, 7, 2, 3, MemberState::alive)));
  CHECK(base != digest_of(member(pool, 7, 1, 4, MemberState::alive)));
  CHECK(base != digest_of(member(pool, 7, 1, 3, MemberState::suspect)));
  CHECK(base != digest_of(member(pool, 7, 1, 3, MemberState::alive, "beta")));
  Member later = member(pool, 7, 1, 3, MemberState::alive);
  later.since = {99};  // Of this node's clock: others do not know it.
  CHECK(base == digest_of(later));
}

TEST_CASE("a record comes back from its bytes") {
  ProfilePool pool;
  for (const std::uint64_t id : {std::uint64_t{1}, most}) {
    for (const std::uint64_t generation : {std::uint64_t{0}, most}) {
      for (const std::uint32_t incarnation : {std::uint32_t{0}, most_incarnations}) {
        for (std::uint8_t state = 0; state <= 4; ++state) {
          Member member = member_records::member(pool, id, generation, incarnation, MemberState{state});
          if (state == 4) member.profile = pool.take(largest_profile());
          const std::string bytes = bytes_of(member);
          ByteReader in(bytes);
          const Member again = decode_member(in, pool);
          REQUIRE(in.done());
          CHECK(equal(member, again));
        }
      }
    }
  }
}

TEST_CASE("no record has the id 0, an unknown state, too great an incarnation or no profile") {
  ProfilePool pool;
  const auto refused = [&](std::uint64_t id, std::uint64_t incarnation, std::uint8_t state,
                           std::string_view profile) {
    std::string bytes;
    ByteWriter out(bytes);
    out.u64(id);
    out.varint(1);
    out.varint(incarnation);
    out.u8(state);
    out.bytes(profile);
    ByteReader in(bytes);
    (void)decode_member(in, pool);
    return !in.ok();
  };
  const std::string fine = encode(profile("alpha"));
  REQUIRE_FALSE(refused(1, most_incarnations, 4, fine));
  CHECK(refused(0, 1, 0, fine));
  CHECK(refused(1, std::uint64_t{most_incarnations} + 1, 0, fine));
  CHECK(refused(1, 1, 5, fine));
  CHECK(refused(1, 1, 255, fine));
  CHECK(refused(1, 1, 0, ""));
  CHECK(refused(1, 1, 0, fine + "x"));
}
