#include "gossip/profile_pool.h"

#include <catch2/catch.hpp>

#include "member_records.h"

using namespace knit;
using namespace knit::member_records;

TEST_CASE("a profile comes back from its bytes") {
  Profile some = profile("alpha");
  some.tags = {{"zone", "eu1"}, {"empty", ""}};
  CHECK(decode_profile(encode(some)) == some);
  const Profile largest = largest_profile();
  REQUIRE(check_profile(largest));
  REQUIRE(encode(largest).size() == profile_bytes_max);
  CHECK(decode_profile(encode(largest)) == largest);
}

TEST_CASE("a profile cut short, or with a byte more, is none") {
  Profile some = profile("alpha");
  some.tags = {{"zone", "eu1"}};
  const std::string bytes = encode(some);
  for (std::size_t size = 0; size < bytes.size(); ++size) CHECK_FALSE(decode_profile(bytes.substr(0, size)));
  CHECK_FALSE(decode_profile(bytes + '\0'));
}

TEST_CASE("tags have one order, and each name comes once") {
  const auto with_tags = [](std::initializer_list<const char*> names) {
    std::string bytes = encode(profile("alpha"));
    bytes.pop_back();  // No tags.
    ByteWriter out(bytes);
    out.varint(names.size());
    for (const char* name : names) {
      out.bytes(name);
      out.bytes("value");
    }
    return bytes;
  };
  CHECK(decode_profile(with_tags({"a", "b"})));
  CHECK_FALSE(decode_profile(with_tags({"b", "a"})));
  CHECK_FALSE(decode_profile(with_tags({"a", "a"})));
}

TEST_CASE("what cannot be told is refused") {
  const auto refused = [](auto&& change) {
    Profile some = profile("alpha");
    change(some);
    return !check_profile(some) && !decode_profile(encode(some));
  };
  CHECK_FALSE(refused([](Profile&) {}));
  CHECK_FALSE(refused([](Profile& p) { p.name = std::string(64, 'n'); }));
  CHECK(refused([](Profile& p) { p.name = ""; }));
  CHECK(refused([](Profile& p) { p.name = std::string(65, 'n'); }));
  CHECK(refused([](Profile& p) { p.name = "two words"; }));
  CHECK(refused([](Profile& p) { p.name = "line\n"; }));
  CHECK(refused([](Profile& p) { p.name = "\xff"; }));
  CHECK(refused([](Profile& p) { p.version = std::string(33, '1'); }));
  CHECK(refused([](Profile& p) { p.tags[""] = "value"; }));
  CHECK(refused([](Profile& p) { p.tags[std::string(65, 't')] = ""; }));
  CHECK(refused([](Profile& p) { p.tags["tag"] = std::string(65, 'v'); }));
  CHECK(refused([](Profile& p) {
    for (char tag = 'a'; tag <= 'i'; ++tag) p.tags[std::string(1, tag)] = "";
  }));
  CHECK(refused([](Profile& p) {
    for (char tag = 'a'; tag <= 'h'; ++tag) p.tags[std::string(64, tag)] = "a value";
  }));
  CHECK(refused([](Profile& p) { p.endpoint.port = 0; }));
}

TEST_CASE("equal profiles are kept once, for as long as somebody has a share") {
  ProfilePool pool;
  {
    const PooledProfile one = pool.take(profile("alpha"));
    const PooledProfile same = *pool.take(encode(profile("alpha")));
    const PooledProfile other = pool.take(profile("beta"));
    CHECK(one == same);
    CHECK(one.hash() == same.hash());
    CHECK_FALSE(one == other);
    CHECK(one.hash() != other.hash());
    CHECK(pool.size() == 2);
    CHECK(one->name == "alpha");
    CHECK(one.encoded() == encode(profile("alpha")));
  }
  CHECK(pool.size() == 0);
}

TEST_CASE("shares are counted over copies, moves and assignments") {
  ProfilePool pool;
  PooledProfile kept;
  {
    PooledProfile first = pool.take(profile("alpha"));
    PooledProfile copy = first;
    PooledProfile moved = std::move(first);
    kept = copy;
    copy = pool.take(profile("beta"));
    CHECK(pool.size() == 2);
    kept = *&kept;
  }
  CHECK(pool.size() == 1);
  CHECK(kept->name == "alpha");
  kept = PooledProfile();
  CHECK(pool.size() == 0);
  CHECK(kept.encoded().empty());
  CHECK(kept.hash() == 0);
}

TEST_CASE("what is no profile leaves nothing in the pool") {
  ProfilePool pool;
  CHECK_FALSE(pool.take(std::string_view("nonsense")));
  CHECK_FALSE(pool.take(std::string_view()));
  CHECK(pool.size() == 0);
}

TEST_CASE("profiles stay where they are while the pool grows") {
  ProfilePool pool;
  const PooledProfile first = pool.take(profile("first"));
  std::vector<PooledProfile> many;
  for (int i = 0; i < 5000; ++i) many.push_back(pool.take(profile("n" + std::to_string(i))));
  CHECK(first->name == "first");
  CHECK(first.encoded() == encode(profile("first")));
  CHECK(pool.take(profile("n4999")) == many.back());
  many.clear();
  CHECK(pool.size() == 1);
}
