#include "gossip/member_list.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "member_records.h"

using namespace knit;
using namespace knit::member_records;

namespace {

// Ids in few buckets, the first and the last among them.
std::uint64_t random_id(Random& random) {
  constexpr std::uint64_t buckets[] = {0, 1, 128, 255};
  return (buckets[random() % 4] << 56) + 1 + random() % 5;
}

std::vector<Member> random_records(ProfilePool& pool, Random& random, std::size_t count) {
  std::vector<Member> out;
  for (std::size_t i = 0; i < count; ++i) out.push_back(random_member(pool, random, random_id(random)));
  return out;
}

struct Sums {
  std::uint64_t digest{};
  std::size_t members{};
  std::size_t present{};
  std::array<std::size_t, 5> states{};
};

Sums sums_of(const MemberList& list) {
  Sums out;
  list.visit([&](const Member& member) {
    out.digest += digest_of(member);
    ++out.members;
    if (member.state == MemberState::alive || member.state == MemberState::suspect) ++out.present;
    ++out.states[static_cast<std::size_t>(member.state)];
  });
  return out;
}

void expect_consistent(const MemberList& list) {
  const Sums sums = sums_of(list);
  REQUIRE(list.digest() == sums.digest);
  REQUIRE(list.size() == sums.members);
  REQUIRE(list.present() == sums.present);
  for (std::size_t state = 0; state < 5; ++state) {
    REQUIRE(list.count(static_cast<MemberState>(state)) == sums.states[state]);
  }
  std::uint64_t over_buckets = 0;
  for (std::size_t i = 0; i < member_buckets; ++i) {
    std::uint64_t bucket = 0;
    for (const Member& member : list.bucket(i)) {
      REQUIRE(member.id.value >> 56 == i);
      bucket += digest_of(member);
    }
    REQUIRE(list.digest_of_bucket(i) == bucket);
    over_buckets += bucket;
  }
  REQUIRE(list.digest() == over_buckets);
}

}  // namespace

TEST_CASE("digests and counts are those of the records, whatever was put") {
  ProfilePool pool;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    INFO("seed " << seed);
    Random random(seed);
    MemberList list(12);
    for (const Member& record : random_records(pool, random, 100)) {
      list.put(record);
      expect_consistent(list);
    }
  }
}

TEST_CASE("lists that heard the same records, in whatever order and how often, are equal") {
  ProfilePool pool;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    INFO("seed " << seed);
    Random random(seed);
    std::vector<Member> records = random_records(pool, random, 60);
    MemberList one(100);
    MemberList other(100);
    for (const Member& record : records) one.put(record);
    records.insert(records.end(), records.begin(), records.begin() + 20);
    std::shuffle(records.begin(), records.end(), random);
    for (const Member& record : records) other.put(record);
    REQUIRE(one.digest() == other.digest());
    one.visit([&](const Member& member) {
      const Member* same = other.find(member.id);
      REQUIRE(same != nullptr);
      REQUIRE(digest_of(*same) == digest_of(member));
    });
  }
}

TEST_CASE("a record is replaced only by one that supersedes it") {
  ProfilePool pool;
  Random random(1);
  MemberList list(100);
  for (const Member& record : random_records(pool, random, 2000)) {
    const Member* known = list.find(record.id);
    const bool expected = known == nullptr || supersedes(record, *known);
    const std::uint64_t before = list.digest();
    REQUIRE(list.put(record) == expected);
    REQUIRE((list.digest() != before) == expected);
    if (expected) REQUIRE(digest_of(*list.find(record.id)) == digest_of(record));
  }
}

TEST_CASE("a full list takes no newcomers, but news of its members") {
  ProfilePool pool;
  MemberList list(2);
  CHECK(list.put(member(pool, 1, 1, 0, MemberState::alive)));
  CHECK(list.put(member(pool, most, 1, 0, MemberState::alive)));
  const std::uint64_t full = list.digest();
  CHECK_FALSE(list.put(member(pool, 2, 1, 0, MemberState::alive)));
  CHECK(list.digest() == full);
  CHECK(list.find({2}) == nullptr);
  CHECK(list.put(member(pool, most, 1, 0, MemberState::dead)));
  CHECK(list.size() == 2);
  CHECK(list.present() == 1);
}

TEST_CASE("lists that differ in one record differ in that bucket's digest alone") {
  ProfilePool pool;
  MemberList one(1000);
  MemberList other(1000);
  for (std::uint64_t i = 0; i < 256; ++i) {
    one.put(member(pool, (i << 56) + 9, 1, 0, MemberState::alive));
    other.put(member(pool, (i << 56) + 9, 1, i == 77 ? 1 : 0, MemberState::alive));
  }
  CHECK(one.digest() != other.digest());
  for (std::size_t i = 0; i < 256; ++i) {
    CHECK((one.digest_of_bucket(i) != other.digest_of_bucket(i)) == (i == 77));
  }
}
