#include "gossip/sealed_stream.h"

#include <catch2/catch.hpp>
#include <random>
#include <vector>

#include "base/bytes.h"

using namespace knit;

namespace {

SecretKey key(char byte) { return SecretKey(std::string(SecretKey::size_bytes, byte)); }
KeyFingerprint print(char byte) { return key(byte).fingerprint(); }

KeyRing ring_of(const std::string& bytes) {
  std::vector<SecretKey> keys;
  for (const char byte : bytes) keys.push_back(key(byte));
  return *KeyRing::make(keys);
}

struct Side {
  std::optional<KeyRing> ring;
  ProtocolRange versions{3, 3};
};
const Side with_key{ring_of("k"), {3, 3}};
const Side plain{std::nullopt, {3, 3}};

SealedStream stream(bool dialed, const Side& side) {
  return {{dialed, side.versions}, side.ring ? &*side.ring : nullptr};
}

// All that can be had now, and why no more will come if so.
struct Heard {
  std::string bytes;
  std::string error;
};
Heard drain(SealedStream& at) {
  Heard heard;
  for (;;) {
    const auto next = at.next();
    if (!next) heard.error = next.error().message;
    if (!next || !*next) return heard;
    heard.bytes += **next;
  }
}
Heard hear(SealedStream& at, std::string_view bytes) {
  at.feed(bytes);
  return drain(at);
}

struct Pair {
  SealedStream dialer;
  SealedStream acceptor;

  Pair(const Side& dialing, const Side& accepting)
      : dialer(stream(true, dialing)), acceptor(stream(false, accepting)) {}
  explicit Pair(const Side& both = with_key) : Pair(both, both) {}

  // Until neither has anything to say. Why each gave up, if it did.
  std::pair<std::string, std::string> meet() {
    std::pair<std::string, std::string> errors;
    for (int i = 0; i < 3; ++i) {
      const std::string to_acceptor = dialer.take_output();
      const std::string to_dialer = acceptor.take_output();
      errors.second = hear(acceptor, to_acceptor).error;
      errors.first = hear(dialer, to_dialer).error;
    }
    return errors;
  }
};

using Errors = std::pair<std::string, std::string>;

std::string sealed(SealedStream& from, std::string_view plaintext) {
  std::string out;
  from.seal(plaintext, out);
  return out;
}

std::string random_text(std::size_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::string out(size, '\0');
  for (char& byte : out) byte = static_cast<char>(random());
  return out;
}

Prelude prelude_of(const Side& side) {
  SealedStream made = stream(true, side);
  return **decode_prelude(made.take_output());
}

}  // namespace

TEST_CASE("two sides with one key meet, and what each says the other hears") {
  Pair pair;
  CHECK(pair.meet() == Errors{});
  REQUIRE(pair.dialer.established());
  REQUIRE(pair.acceptor.established());
  CHECK(pair.dialer.key() == print('k'));
  CHECK(pair.acceptor.version() == 3);
  std::string said;
  for (const char* text : {"hello", "", "again"}) pair.dialer.seal(text, said);
  CHECK(said.find("hello") == std::string::npos);
  CHECK(said.size() == 10 + 2 * (record_header_bytes + record_tag_bytes));
  CHECK(hear(pair.acceptor, said).bytes == "helloagain");
  CHECK(hear(pair.dialer, sealed(pair.acceptor, "hello")).bytes == "hello");
}

TEST_CASE("plaintexts around the size of a record come out as they went in") {
  Pair pair;
  pair.meet();
  for (const std::size_t records : {1U, 2U, 8U}) {
    for (const int more : {-1, 0, 1}) {
      const std::size_t size = records * record_plaintext_bytes_max + static_cast<std::size_t>(more);
      const std::string text = random_text(size, 1);
      const std::string bytes = sealed(pair.dialer, text);
      CHECK(bytes.size() == size + (records + (more > 0 ? 1 : 0)) * (record_header_bytes + record_tag_bytes));
      CHECK((hear(pair.acceptor, bytes).bytes == text));
    }
  }
}

TEST_CASE("a stream may be cut anywhere, from its first byte on") {
  for (const Side& side : {with_key, plain}) {
    const auto heard_in_two = [](SealedStream& at, const std::string& bytes, std::size_t cut) {
      const Heard first = hear(at, bytes.substr(0, cut));
      const Heard rest = hear(at, bytes.substr(cut));
      REQUIRE((first.error + rest.error).empty());
      return first.bytes + rest.bytes;
    };
    std::size_t cuts = 1;
    for (std::size_t cut = 0; cut < cuts; ++cut) {
      CAPTURE(cut);
      Pair pair(side);
      std::string opening = pair.dialer.take_output();
      hear(pair.dialer, pair.acceptor.take_output());
      opening += pair.dialer.take_output();
      heard_in_two(pair.acceptor, opening, std::min(cut, opening.size()));
      hear(pair.dialer, pair.acceptor.take_output());
      std::string said;
      for (const char* text : {"one", "two"}) pair.dialer.seal(text, said);
      CHECK(heard_in_two(pair.acceptor, said, std::min(cut, said.size())) == "onetwo");
      cuts = std::max(opening.size(), said.size()) + 1;
    }
  }
}

TEST_CASE("a stream may come byte by byte") {
  Pair pair;
  const auto drip = [](SealedStream& at, const std::string& bytes) {
    std::string got;
    for (const char byte : bytes) {
      const Heard heard = hear(at, {&byte, 1});
      REQUIRE(heard.error.empty());
      got += heard.bytes;
    }
    return got;
  };
  drip(pair.acceptor, pair.dialer.take_output());
  drip(pair.dialer, pair.acceptor.take_output());
  drip(pair.acceptor, pair.dialer.take_output());
  const std::string text = random_text(2000, 2);
  CHECK((drip(pair.acceptor, sealed(pair.dialer, text)) == text));
}

TEST_CASE("nothing may be said before the other side has shown that it has the key") {
  Pair pair;
  CHECK_FALSE(pair.dialer.established());
  hear(pair.dialer, pair.acceptor.take_output().substr(0, Prelude::bytes_max));
  CHECK_FALSE(pair.dialer.established());
  hear(pair.acceptor, pair.dialer.take_output());  // The prelude, and the confirmation.
  CHECK(pair.acceptor.established());
  CHECK_FALSE(pair.dialer.established());
  hear(pair.dialer, pair.acceptor.take_output());
  CHECK(pair.dialer.established());
}

TEST_CASE("any one bit of a prelude or of a confirmation flipped on the way ends the connection") {
  const std::size_t prelude_bytes = prelude_of(with_key).encoded_bytes();
  for (std::size_t bit = 0; bit < (prelude_bytes + record_header_bytes + record_tag_bytes) * 8; ++bit) {
    CAPTURE(bit);
    Pair pair;
    std::string to_acceptor = pair.dialer.take_output();
    hear(pair.dialer, pair.acceptor.take_output());
    to_acceptor += pair.dialer.take_output();
    to_acceptor[bit / 8] = static_cast<char>(to_acceptor[bit / 8] ^ (1 << (bit % 8)));
    const Heard heard = hear(pair.acceptor, to_acceptor);
    CHECK(heard.bytes.empty());
    CHECK_FALSE(pair.acceptor.established());
    // A length that has grown only makes it wait, for no more than 18 bytes; the daemon has a deadline.
    const bool waits = bit / 8 == 7;
    CHECK((waits || !heard.error.empty()));
  }
}

TEST_CASE("any one bit of a record flipped on the way ends the connection, after what came before it") {
  const std::size_t record_bytes = 5 + record_header_bytes + record_tag_bytes;
  for (std::size_t bit = 0; bit < record_bytes * 8; ++bit) {
    CAPTURE(bit);
    Pair pair;
    pair.meet();
    const std::string before = sealed(pair.dialer, "before");
    std::string flipped = sealed(pair.dialer, "hello");
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    const Heard heard = hear(pair.acceptor, before + flipped + std::string(record_plaintext_bytes_max, 'x'));
    CHECK(heard.bytes == "before");
    CHECK_FALSE(heard.error.empty());
    CHECK(hear(pair.acceptor, sealed(pair.dialer, "more")).error == heard.error);  // It stays so.
  }
}

TEST_CASE("records that are left out, repeated, swapped or sent back end the connection") {
  const auto heard_of = [](const std::vector<int>& order) {
    Pair pair;
    pair.meet();
    std::vector<std::string> records;
    for (const char* text : {"one", "two"}) records.push_back(sealed(pair.dialer, text));
    std::string bytes;
    for (const int record : order) bytes += records[static_cast<std::size_t>(record)];
    return hear(pair.acceptor, bytes);
  };
  const std::string forged = "it sent a forged record, or its bytes were changed on the way";
  CHECK(heard_of({0, 1}).bytes == "onetwo");
  CHECK(heard_of({1}).error == forged);
  CHECK(heard_of({1, 0}).error == forged);
  CHECK(heard_of({0, 0}).bytes == "one");
  CHECK(heard_of({0, 0}).error == forged);
  Pair pair;
  pair.meet();
  CHECK(hear(pair.dialer, sealed(pair.dialer, "one")).error == forged);
}

TEST_CASE("a prelude that is sent back to its sender, with all that follows, does not make a connection") {
  SealedStream dialer = stream(true, with_key);
  const Heard heard = hear(dialer, dialer.take_output());
  CHECK(heard.error.empty());
  const std::string own_confirmation = dialer.take_output();
  CHECK(own_confirmation.size() == record_header_bytes + record_tag_bytes);
  CHECK_FALSE(hear(dialer, own_confirmation).error.empty());
  CHECK_FALSE(dialer.established());
}

TEST_CASE("a recorded connection cannot be played again") {
  Pair pair;
  std::string recorded = pair.dialer.take_output();
  hear(pair.dialer, pair.acceptor.take_output());
  recorded += pair.dialer.take_output();
  REQUIRE(hear(pair.acceptor, recorded).error.empty());
  SealedStream again = stream(false, with_key);
  CHECK(hear(again, recorded).error ==
        "it does not have the key that it names, or its bytes were changed on the way");
}

TEST_CASE("a side that names a key without having it is refused, and reads nothing") {
  Pair pair;
  Prelude liar = prelude_of({ring_of("x"), {3, 3}});
  liar.keys = {print('k')};
  CHECK(hear(pair.acceptor, encode(liar)).error.empty());
  CHECK(hear(pair.acceptor, std::string(18, '\0')).error ==
        "it does not have the key that it names, or its bytes were changed on the way");
  Pair other;
  CHECK(hear(other.acceptor, encode(liar) + std::string("\0\1", 2)).error ==
        "it does not show that it has the key");
}

TEST_CASE("of several common keys the dialer's first is taken, on both sides") {
  Pair pair({ring_of("ba"), {3, 3}}, {ring_of("ab"), {3, 3}});
  CHECK(pair.meet() == Errors{});
  CHECK(pair.dialer.key() == print('b'));
  CHECK(pair.acceptor.key() == print('b'));
  CHECK(hear(pair.acceptor, sealed(pair.dialer, "hello")).bytes == "hello");
}

TEST_CASE("a connection outlives the removal of its key from the ring") {
  KeyRing ring = ring_of("ab");
  SealedStream dialer({true, {3, 3}}, &ring);
  SealedStream acceptor({false, {3, 3}}, &ring);
  const std::string to_acceptor = dialer.take_output();
  hear(dialer, acceptor.take_output());
  REQUIRE(ring.use(print('b')));
  REQUIRE(ring.remove(print('a')));
  hear(acceptor, to_acceptor + dialer.take_output());
  hear(dialer, acceptor.take_output());
  REQUIRE(dialer.established());
  CHECK(dialer.key() == print('a'));
  CHECK(hear(acceptor, sealed(dialer, "hello")).bytes == "hello");
}

TEST_CASE("sides that do not fit say why, each in its own words, whoever dialed") {
  const auto meet = [](const Side& a, const Side& b) { return Pair(a, b).meet(); };
  const Side newer{ring_of("k"), {4, 5}};
  const Side other_key{ring_of("x"), {3, 3}};
  CHECK(meet(with_key, newer) == Errors{"it speaks protocol versions 4 to 5, this node 3 to 3",
                                        "it speaks protocol versions 3 to 3, this node 4 to 5"});
  CHECK(meet(with_key, other_key) == Errors{"it has none of our keys", "it has none of our keys"});
  CHECK(meet(with_key, plain) == Errors{"it is not encrypted, this node is: see gossip.keyring_file",
                                        "it is encrypted and this node is not"});
  CHECK(meet(plain, with_key) == Errors{"it is encrypted and this node is not",
                                        "it is not encrypted, this node is: see gossip.keyring_file"});
}

TEST_CASE("the highest version that both speak is taken") {
  const auto version = [](ProtocolRange a, ProtocolRange b) -> int {
    const auto agreed = agree(prelude_of({std::nullopt, a}), prelude_of({std::nullopt, b}), true);
    return agreed ? agreed->version : -1;
  };
  CHECK(version({3, 3}, {3, 3}) == 3);
  CHECK(version({2, 4}, {3, 9}) == 4);
  CHECK(version({3, 9}, {2, 4}) == 4);
  CHECK(version({0, 255}, {255, 255}) == 255);
  CHECK(version({0, 0}, {0, 255}) == 0);
  CHECK(version({1, 2}, {3, 4}) == -1);
  CHECK(version({3, 4}, {1, 2}) == -1);
}

TEST_CASE("unencrypted, bytes pass as they are") {
  Pair pair(plain);
  CHECK(pair.meet() == Errors{});
  REQUIRE(pair.dialer.established());
  CHECK_FALSE(pair.dialer.key());
  CHECK(sealed(pair.dialer, "hello") == "hello");
  const std::string text = random_text(300'000, 3);
  CHECK((hear(pair.acceptor, sealed(pair.dialer, text)).bytes == text));
}

TEST_CASE("what does not begin as a knit peer does is refused at its first wrong byte") {
  const std::string error = "this is not a knit peer";
  const auto refused = [&](std::string_view bytes) {
    SealedStream acceptor = stream(false, with_key);
    return hear(acceptor, bytes).error == error;
  };
  CHECK(refused("GET / HTTP/1.1\r\n\r\n"));
  CHECK(refused("*1\r\n$4\r\nPING\r\n"));
  CHECK(refused(std::string("\0", 1)));
  CHECK(refused("\xc8kn\xff"));
  CHECK_FALSE(refused(""));
  CHECK_FALSE(refused("\xc8kn"));
  for (unsigned seed = 1; seed <= 1000; ++seed) CHECK(refused(random_text(100, seed)));
}

TEST_CASE("a prelude survives encoding with every field at its ends, and no part of it is one") {
  for (const std::size_t keys : {0U, 1U, 8U}) {
    for (const unsigned number : {0U, 255U}) {
      const auto byte = static_cast<std::uint8_t>(number);
      Prelude prelude{{0, byte}, keys > 0, {}, std::string(32, static_cast<char>(byte))};
      for (std::size_t i = 0; i < keys; ++i) prelude.keys.push_back({number == 0 ? 0 : 0xffffffff});
      const std::string bytes = encode(prelude);
      CHECK(bytes.size() == prelude.encoded_bytes());
      CHECK(bytes.size() <= Prelude::bytes_max);
      const auto read = decode_prelude(bytes + "and more");
      REQUIRE(read);
      CHECK(**read == prelude);
      for (std::size_t size = 0; size < bytes.size(); ++size) {
        const auto part = decode_prelude(std::string_view(bytes).substr(0, size));
        REQUIRE(part);
        CHECK_FALSE(*part);
      }
    }
  }
}

TEST_CASE("a prelude whose fields lie is refused before the rest has come") {
  const auto refused = [](std::uint8_t lowest, std::uint8_t highest, std::uint8_t mode, std::uint8_t keys) {
    std::string bytes = "\xc8knt";
    for (const std::uint8_t byte : {lowest, highest, mode, keys}) bytes.push_back(static_cast<char>(byte));
    return !decode_prelude(bytes);
  };
  CHECK_FALSE(refused(3, 3, 1, 8));
  CHECK_FALSE(refused(3, 3, 0, 0));
  CHECK(refused(4, 3, 1, 1));
  CHECK(refused(3, 3, 2, 1));
  CHECK(refused(3, 3, 1, 0));
  CHECK(refused(3, 3, 0, 1));
  CHECK(refused(3, 3, 1, 9));
  CHECK(refused(3, 3, 1, 255));
}

TEST_CASE("a record over the limit, or empty, is refused by its header alone") {
  const auto error_of = [](unsigned length) {
    Pair pair;
    pair.meet();
    std::string header;
    ByteWriter(header).u16(static_cast<std::uint16_t>(length));
    return hear(pair.acceptor, header).error;
  };
  CHECK(error_of(0) == "it sent an empty record");
  CHECK(error_of(1).empty());
  CHECK(error_of(record_plaintext_bytes_max).empty());
  CHECK(error_of(record_plaintext_bytes_max + 1) == "it sent a record longer than 32 KiB");
  CHECK(error_of(0xffff) == "it sent a record longer than 32 KiB");
}
