#include "daemon/key_file.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "gossip/key_text.h"
#include "store/secret_file.h"
#include "temporary_directory.h"

using namespace knit;

namespace {

const std::string hex_a(64, 'a');
const std::string hex_b(64, 'B');
SecretKey key(char byte) { return SecretKey(std::string(SecretKey::size_bytes, byte)); }
const SecretKey key_a = key('\xaa');
const SecretKey key_b = key('\xbb');

mode_t mode_of(const std::string& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0 ? status.st_mode & 0777 : 0;
}

std::string error_of(const std::string& text) {
  const auto ring = parse_key_text(text, "f");
  REQUIRE_FALSE(ring);
  return ring.error().message;
}

}  // namespace

TEST_CASE("a key file that was generated is read back as a ring of that key") {
  const TemporaryDirectory directory;
  const SecretKey made = SecretKey::random();
  REQUIRE(create_secret_file(directory.file("key"), key_text(made), "a key"));
  CHECK(mode_of(directory.file("key")) == 0600);
  const auto ring = read_key_file(directory.file("key"));
  REQUIRE(ring);
  CHECK(ring->primary() == made);
  CHECK(ring->keys().size() == 1);
}

TEST_CASE("a key file is never overwritten by another one") {
  const TemporaryDirectory directory;
  REQUIRE(create_secret_file(directory.file("key"), "first", "a key"));
  const auto again = create_secret_file(directory.file("key"), "second", "a key");
  REQUIRE_FALSE(again);
  CHECK(again.error().code == ErrorCode::refused);
  CHECK(again.error().message.find("a key is never overwritten") != std::string::npos);
  CHECK(directory.read("key") == "first");
}

TEST_CASE("the first key of a file is the primary unless a line names another one") {
  const std::string both = "# comment\n\nformat = 1\nkey = " + hex_a + "\n key=" + hex_b + " \n";
  const auto first = parse_key_text(both, "f");
  REQUIRE(first);
  CHECK(first->fingerprints() == std::vector{key_a.fingerprint(), key_b.fingerprint()});
  const auto named = parse_key_text(both + "primary = " + to_string(key_b.fingerprint()), "f");
  REQUIRE(named);
  CHECK(named->primary() == key_b);
  CHECK(named->keys().size() == 2);
}

TEST_CASE("a bad line of a key file is named, and no message contains a key") {
  const std::string one = "format = 1\nkey = " + hex_a + "\n";
  CHECK(error_of("") == "f: format is missing");
  CHECK(error_of("format = 1\n") == "f: key is missing");
  CHECK(error_of("key = " + hex_a) == "f:1: expected format once, as the first field");
  CHECK(error_of(one + "format = 1") == "f:3: expected format once, as the first field");
  CHECK(error_of(one + hex_b) == "f:3: expected: name = value");
  CHECK(error_of(one + "kye = " + hex_b) == "f:3: unknown field; expected format, key or primary");
  CHECK(error_of(one + "key = " + hex_a) == "f:3: key: is here twice");
  for (const std::string& bad :
       {hex_b.substr(1), hex_b + "b", hex_b.substr(2), hex_b.substr(1) + "g", std::string()}) {
    CHECK(error_of(one + "key = " + bad) == "f:3: key: expected 64 hex digits");
  }
  const std::string expected = "f:3: primary: expected the fingerprint of one of the keys";
  CHECK(error_of(one + "primary = " + to_string(key_b.fingerprint())) == expected);
  CHECK(error_of(one + "primary = ") == expected);
  const std::string primary = "primary = " + to_string(key_a.fingerprint()) + "\n";
  CHECK(error_of(one + primary + primary) == "f:4: primary: is here twice");
  std::string many = "format = 1\n";
  for (const char digit : std::string("012345678")) many += "key = " + std::string(64, digit) + "\n";
  CHECK(error_of(many) == "f:10: key: there are more than 8");
  CHECK(parse_key_text("format = 2\nx = y\n", "f").error().code == ErrorCode::wrong_format);
}

TEST_CASE("a key file that others may read, or that is none, is refused") {
  const TemporaryDirectory directory;
  directory.write("key", "format = 1\nkey = " + hex_a + "\n");
  for (const mode_t mode : {0640, 0604, 0644, 0660}) {
    ::chmod(directory.file("key").c_str(), mode);
    const auto ring = read_key_file(directory.file("key"));
    REQUIRE_FALSE(ring);
    CHECK(ring.error().code == ErrorCode::refused);
    CHECK(ring.error().message.find("chmod 600 ") != std::string::npos);
  }
  ::chmod(directory.file("key").c_str(), 0400);
  CHECK(read_key_file(directory.file("key")));
  CHECK(read_key_file(directory.file("none")).error().code == ErrorCode::not_found);
  CHECK(read_key_file(directory.path()).error().code == ErrorCode::bad_input);
  REQUIRE(replace_secret_file(directory.file("key"), std::string(key_text_bytes_max + 1, '#')));
  CHECK(read_key_file(directory.file("key")).error().code == ErrorCode::bad_input);
}

TEST_CASE("a ring with its removed keys is written over the last one and read back") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("keyring");
  KeyRing ring = *KeyRing::make({key_a});
  REQUIRE(write_key_ring(path, ring));
  REQUIRE(ring.add(key_b));
  REQUIRE(ring.use(key_b.fingerprint()));
  REQUIRE(ring.remove(key_a.fingerprint()));
  directory.write("keyring.new", "left by a power cut");
  REQUIRE(write_key_ring(path, ring));
  CHECK(mode_of(path) == 0600);
  CHECK_FALSE(std::filesystem::exists(path + ".new"));
  auto read = read_key_ring(path);
  REQUIRE(read);
  CHECK(*read == ring);
  CHECK_FALSE(read->merge(*KeyRing::make({key_a})));  // The key file still has the removed key.
}

TEST_CASE("a stored ring is refused when any of its bits flipped, or it was cut") {
  const TemporaryDirectory directory;
  REQUIRE(write_key_ring(directory.file("good"), *KeyRing::make({key_a})));
  const std::string bytes = directory.read("good");
  const auto code_of = [&](const std::string& stored) {
    REQUIRE(replace_secret_file(directory.file("bad"), stored));
    const auto ring = read_key_ring(directory.file("bad"));
    return ring ? std::nullopt : std::optional(ring.error().code);
  };
  CHECK_FALSE(code_of(bytes));
  for (std::size_t bit = 0; bit < bytes.size() * 8; bit += 5) {
    std::string flipped = bytes;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    CHECK(code_of(flipped) == ErrorCode::corrupt);
  }
  for (std::size_t size = 0; size < bytes.size(); size += 3) {
    CHECK(code_of(bytes.substr(0, size)) == ErrorCode::corrupt);
  }
}

TEST_CASE("where a ring cannot be written, the last one stays") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("keyring");
  REQUIRE(write_key_ring(path, *KeyRing::make({key_a})));
  std::filesystem::create_directory(path + ".new");
  std::filesystem::create_directory(path + ".new/full");
  CHECK(write_key_ring(path, *KeyRing::make({key_b})).error().code == ErrorCode::io);
  CHECK(read_key_ring(path)->primary() == key_a);
}
