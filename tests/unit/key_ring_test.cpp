#include "gossip/key_ring.h"

#include <catch2/catch.hpp>
#include <limits>
#include <random>

#include "base/bytes.h"

using namespace knit;

namespace {

constexpr std::uint64_t last_version = std::numeric_limits<std::uint64_t>::max();

SecretKey key(unsigned number) {
  std::string bytes(SecretKey::size_bytes, 'k');
  bytes[0] = static_cast<char>(number);
  bytes[1] = static_cast<char>(number >> 8);
  return SecretKey(bytes);
}

KeyFingerprint print(unsigned number) { return key(number).fingerprint(); }

KeyRing ring_of(std::initializer_list<unsigned> numbers) {
  std::vector<SecretKey> keys;
  for (const unsigned number : numbers) keys.push_back(key(number));
  return *KeyRing::make(keys);
}

KeyRing merged(KeyRing a, const KeyRing& b) {
  a.merge(b);
  return a;
}

// The bytes of a ring whose only change is that key 2 was added at `version`.
std::string encoded_at(std::uint64_t primary_version, std::uint64_t version) {
  std::string bytes;
  ByteWriter out(bytes);
  out.u8(1);
  out.u64(primary_version);
  out.raw(key(1).bytes());
  out.varint(1);
  out.u64(version);
  out.u8(1);
  out.raw(key(2).bytes());
  return bytes;
}

// Some nodes whose operators change rings, and who tell each other of them, at random.
std::vector<KeyRing> random_rings(unsigned seed, int changes, unsigned keys) {
  std::mt19937 random(seed);
  std::vector<KeyRing> rings(4, ring_of({0}));
  for (int i = 0; i < changes; ++i) {
    KeyRing& ring = rings[random() % rings.size()];
    const unsigned number = random() % keys;
    switch (random() % 4) {
      case 0: (void)ring.add(key(number)); break;
      case 1: (void)ring.use(print(number)); break;
      case 2: (void)ring.remove(print(number)); break;
      default: ring.merge(rings[random() % rings.size()]);
    }
  }
  return rings;
}

}  // namespace

TEST_CASE("merging rings is commutative, associative and idempotent over random histories") {
  for (unsigned seed = 1; seed <= 300; ++seed) {
    CAPTURE(seed);
    // With 200 keys more records arise than are kept.
    const auto rings = seed % 3 == 0 ? random_rings(seed, 1500, 200) : random_rings(seed, 60, 12);
    const KeyRing &a = rings[0], &b = rings[1], &c = rings[2];
    CHECK(merged(a, b) == merged(b, a));
    CHECK(merged(merged(a, b), c) == merged(a, merged(b, c)));
    CHECK(merged(a, a) == a);
    CHECK(merged(merged(a, b), b) == merged(a, b));
  }
}

TEST_CASE("a ring of a random history is within its limits, holds its primary, and survives encoding") {
  for (unsigned seed = 1; seed <= 100; ++seed) {
    CAPTURE(seed);
    for (const KeyRing& ring : random_rings(seed, 1500, 200)) {
      const auto prints = ring.fingerprints();
      CHECK(prints.size() <= KeyRing::keys_max);
      CHECK(prints.front() == ring.primary().fingerprint());
      CHECK(ring.encode().size() <= KeyRing::encoded_bytes_max);
      const auto again = KeyRing::decode(ring.encode());
      REQUIRE(again);
      CHECK(*again == ring);
    }
  }
}

TEST_CASE("merge tells whether it changed anything") {
  KeyRing a = ring_of({1});
  KeyRing b = ring_of({1});
  CHECK_FALSE(a.merge(b));
  REQUIRE(b.add(key(2)));
  CHECK(a.merge(b));
  CHECK_FALSE(a.merge(b));
  REQUIRE(b.use(print(2)));
  CHECK(a.merge(b));
  CHECK(a.primary() == key(2));
}

TEST_CASE("a key is rotated without a moment in which two nodes have no key in common") {
  KeyRing a = ring_of({1});
  KeyRing b = ring_of({1});
  REQUIRE(a.add(key(2)));
  b.merge(a);
  REQUIRE(a.use(print(2)));
  CHECK(b.fingerprints() == std::vector{print(1), print(2)});
  CHECK(a.fingerprints() == std::vector{print(2), print(1)});
  b.merge(a);
  REQUIRE(a.remove(print(1)));
  CHECK(a.fingerprints() == std::vector{print(2)});
  b.merge(a);
  CHECK(b == a);
}

TEST_CASE("a removed key does not come back from a node that was away, nor by adding it again") {
  const KeyRing away = ring_of({1});
  KeyRing ring = ring_of({1});
  REQUIRE(ring.add(key(2)));
  REQUIRE(ring.use(print(2)));
  REQUIRE(ring.remove(print(1)));
  CHECK_FALSE(ring.merge(away));
  CHECK(merged(away, ring) == ring);
  CHECK(ring.fingerprints() == std::vector{print(2)});
  const auto again = ring.add(key(1));
  REQUIRE_FALSE(again);
  CHECK(again.error().code == ErrorCode::refused);
  CHECK(again.error().message.find("was removed") != std::string::npos);
}

TEST_CASE("a removal that was forgotten among too many does not revive its key") {
  KeyRing ring = ring_of({1, 2});
  REQUIRE(ring.remove(print(2)));
  for (unsigned i = 100; i < 100 + KeyRing::records_max; ++i) {
    REQUIRE(ring.add(key(i)));
    REQUIRE(ring.remove(print(i)));
  }
  CHECK_FALSE(ring.merge(ring_of({1, 2})));
  CHECK(ring.fingerprints() == std::vector{print(1)});  // Its record is gone too, but it is the primary.
}

TEST_CASE("the newest use wins, and of two that know nothing of each other the higher fingerprint") {
  KeyRing a = ring_of({1, 2, 3});
  KeyRing b = ring_of({1, 2, 3});
  REQUIRE(a.use(print(2)));
  REQUIRE(b.use(print(3)));
  CHECK(merged(a, b).primary().fingerprint() == std::max(print(2), print(3)));
  REQUIRE(a.use(print(1)));
  CHECK(merged(a, b).primary() == key(1));
}

TEST_CASE("a key that one side uses while another removes it stays while it is the primary") {
  KeyRing a = ring_of({1, 2});
  KeyRing b = ring_of({1, 2});
  REQUIRE(a.use(print(2)));
  REQUIRE(a.remove(print(1)));
  REQUIRE(b.remove(print(2)));
  KeyRing both = merged(a, b);
  CHECK(both.fingerprints() == std::vector{print(2)});
  REQUIRE(both.add(key(3)));
  REQUIRE(both.use(print(3)));
  CHECK(both.fingerprints() == std::vector{print(3)});
}

TEST_CASE("changes that make no sense are refused with a reason and change nothing") {
  KeyRing ring = ring_of({1, 2});
  const KeyRing before = ring;
  const auto why = [](const Result<void>& result) {
    REQUIRE_FALSE(result);
    return result.error().message;
  };
  CHECK(why(ring.remove(print(1))) ==
        "key " + to_string(print(1)) + " is the primary; use another one before it is removed");
  CHECK(why(ring.remove(print(9))) == "no key of the ring has the fingerprint " + to_string(print(9)));
  CHECK(why(ring.use(print(9))) == "no key of the ring has the fingerprint " + to_string(print(9)));
  CHECK(why(ring.add(key(2))) == "key " + to_string(print(2)) + " is in the ring already");
  CHECK(ring == before);
  REQUIRE(ring.remove(print(2)));
  CHECK(ring.remove(print(2)).error().code == ErrorCode::not_found);
  CHECK(ring.use(print(2)).error().code == ErrorCode::not_found);
}

TEST_CASE("a full ring takes no further key until one is removed") {
  KeyRing ring = ring_of({0, 1, 2, 3, 4, 5, 6, 7});
  const auto ninth = ring.add(key(8));
  REQUIRE_FALSE(ninth);
  CHECK(ninth.error().message == "the ring is full: it has 8 keys; remove one first");
  REQUIRE(ring.remove(print(3)));
  CHECK(ring.add(key(8)));
}

TEST_CASE("of more keys than fit, added on two sides, the newest are in use and the rest wait") {
  KeyRing a = ring_of({0});
  KeyRing b = ring_of({0});
  for (unsigned i = 1; i < 8; ++i) REQUIRE(a.add(key(i)));
  for (unsigned i = 11; i < 18; ++i) REQUIRE(b.add(key(i)));
  KeyRing both = merged(a, b);
  auto prints = both.fingerprints();
  CHECK(prints.size() == KeyRing::keys_max);
  CHECK(prints.front() == print(0));
  const auto in_use = [&](unsigned number) {
    return std::count(prints.begin(), prints.end(), print(number));
  };
  CHECK(in_use(7) + in_use(17) == 2);
  CHECK(in_use(1) + in_use(11) == 0);
  for (std::size_t i = 1; i < KeyRing::keys_max; ++i) REQUIRE(both.remove(prints[i]));
  prints = both.fingerprints();
  CHECK(in_use(1) + in_use(11) == 2);
}

TEST_CASE("at the last version a ring merges on and refuses further changes") {
  for (const auto& [primary, record] : {std::pair(last_version, last_version - 1), {0, last_version}}) {
    auto ring = KeyRing::decode(encoded_at(primary, record));
    REQUIRE(ring);
    CHECK_FALSE(ring->add(key(3)));
    CHECK_FALSE(ring->use(print(2)));
    CHECK_FALSE(ring->remove(print(2)));
    CHECK(ring->merge(ring_of({3})));
  }
  auto before_last = KeyRing::decode(encoded_at(0, last_version - 1));
  REQUIRE(before_last);
  CHECK(before_last->use(print(2)));
  CHECK_FALSE(before_last->use(print(1)));
}

TEST_CASE("a ring is not made of no key, too many keys, or the same key twice") {
  CHECK_FALSE(KeyRing::make({}));
  CHECK_FALSE(KeyRing::make({key(1), key(2), key(1)}));
  CHECK_FALSE(KeyRing::make({key(0), key(1), key(2), key(3), key(4), key(5), key(6), key(7), key(8)}));
}

TEST_CASE("an encoded ring that was cut, lengthened or reordered is refused") {
  KeyRing ring = ring_of({1, 2, 3});
  REQUIRE(ring.remove(print(3)));
  const std::string bytes = ring.encode();
  for (std::size_t size = 0; size < bytes.size(); ++size) CHECK_FALSE(KeyRing::decode(bytes.substr(0, size)));
  CHECK_FALSE(KeyRing::decode(bytes + '\0'));
  std::string other_format = bytes;
  other_format[0] = 2;
  CHECK_FALSE(KeyRing::decode(other_format));
  std::string other_kind = encoded_at(0, 0);
  other_kind[1 + 8 + 32 + 1 + 8] = 2;
  CHECK_FALSE(KeyRing::decode(other_kind));
  std::string twice = encoded_at(0, 0);
  twice[1 + 8 + 32] = 2;
  twice += twice.substr(1 + 8 + 32 + 1);
  CHECK_FALSE(KeyRing::decode(twice));
}

TEST_CASE("any single flipped bit of an encoded ring gives an error or a ring within its limits") {
  const std::string bytes = ring_of({1, 2, 3}).encode();
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string flipped = bytes;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    const auto ring = KeyRing::decode(flipped);
    if (ring) CHECK(ring->encode() == flipped);
  }
}

TEST_CASE("a fingerprint is written as 8 hex digits and read back") {
  CHECK(to_string(KeyFingerprint{0x0a}) == "0000000a");
  CHECK(parse_fingerprint("ffffffff") == KeyFingerprint{0xffffffff});
  CHECK(parse_fingerprint(to_string(print(1))) == print(1));
  for (const char* text : {"", "0a", "0000000", "000000000", "0000000g"})
    CHECK_FALSE(parse_fingerprint(text));
}

TEST_CASE("a secret that was wiped is gone from its buffer") {
  std::string secret = "secret";
  const char* buffer = secret.data();
  wipe(secret);
  CHECK(secret.empty());
  CHECK(std::string(buffer, 6) == std::string(6, '\0'));
  CHECK(SecretKey::random() != SecretKey::random());
}
