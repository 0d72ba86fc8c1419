#include "store/cluster_key.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <sstream>

using namespace knit;

namespace {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "knit-key-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

constexpr const char* hex_a = "000102030405060708090a0b0c0d0e0f";
constexpr const char* hex_b = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";

std::string whole_key() {
  return std::string("# a comment\n\nformat = 1\nname = prod\nid = ") + hex_a + "\nposition_key=" + hex_b +
         "\n digest_key  =  " + hex_a + " \n";
}

Result<ClusterIdentity> read_text(const std::string& text, mode_t mode = 0600) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("key");
  std::ofstream(path) << text;
  ::chmod(path.c_str(), mode);
  return read_cluster_key(path);
}

std::string with(const std::string& from, const std::string& to) {
  std::string text = whole_key();
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("a cluster key that was written is read back, and only its owner can read it") {
  const TemporaryDirectory directory;
  const ClusterIdentity made = new_cluster("prod-1");
  REQUIRE(write_cluster_key(directory.file("key"), made));
  struct stat status{};
  REQUIRE(::stat(directory.file("key").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);

  const auto read = read_cluster_key(directory.file("key"));
  REQUIRE(read);
  CHECK(read->name == made.name);
  CHECK(read->id == made.id);
  CHECK((read->hash_keys == made.hash_keys));
}

TEST_CASE("two new clusters share no secret") {
  const ClusterIdentity one = new_cluster("a");
  const ClusterIdentity other = new_cluster("a");
  CHECK(one.id.size() == 16);
  CHECK(one.id != other.id);
  CHECK(one.hash_keys.position != other.hash_keys.position);
  CHECK(one.hash_keys.digest != other.hash_keys.digest);
  CHECK(one.hash_keys.digest != one.hash_keys.position);
}

TEST_CASE("a cluster key is never overwritten") {
  const TemporaryDirectory directory;
  const ClusterIdentity first = new_cluster("first");
  REQUIRE(write_cluster_key(directory.file("key"), first));
  const auto again = write_cluster_key(directory.file("key"), new_cluster("second"));
  REQUIRE_FALSE(again);
  CHECK(again.error().code == ErrorCode::refused);
  CHECK(read_cluster_key(directory.file("key"))->name == "first");
}

TEST_CASE("a cluster key with a bad name is not written") {
  const TemporaryDirectory directory;
  for (const std::string& name :
       {std::string(), std::string("a b"), std::string("a\nid = 1"), std::string(65, 'a')}) {
    ClusterIdentity cluster = new_cluster("good");
    cluster.name = name;
    CHECK_FALSE(write_cluster_key(directory.file("key"), cluster));
  }
  CHECK_FALSE(std::filesystem::exists(directory.file("key")));
}

TEST_CASE("a cluster key may be written by hand, with comments and blanks") {
  const auto read = read_text(whole_key());
  REQUIRE(read);
  CHECK(read->name == "prod");
  CHECK(to_hex(read->id) == hex_a);
  CHECK(read->hash_keys.position[0] == 0xf0);
  CHECK(read->hash_keys.digest[15] == 0x0f);
}

TEST_CASE("a cluster key that others may read is refused, with the remedy") {
  for (const mode_t mode : {0640, 0604, 0620, 0660, 0644}) {
    const auto read = read_text(whole_key(), mode);
    REQUIRE_FALSE(read);
    CHECK(read.error().code == ErrorCode::refused);
    CHECK(read.error().message.find("chmod 600 ") != std::string::npos);
  }
  CHECK(read_text(whole_key(), 0400));
}

TEST_CASE("a bad line of a cluster key is named with its file and line") {
  const auto line_of = [](const std::string& text) {
    const auto read = read_text(text);
    REQUIRE_FALSE(read);
    CHECK(read.error().code == ErrorCode::bad_input);
    const std::string& message = read.error().message;
    return message.substr(message.find("/key") + 4);
  };
  CHECK(line_of(with("name = prod", "nmae = prod")).rfind(":4: unknown field", 0) == 0);
  CHECK(line_of(with("name = prod", "name = prod\nname = other")) == ":5: name: is here twice");
  CHECK(line_of(with("name = prod", "name = a b")).rfind(":4: name: expected", 0) == 0);
  CHECK(line_of(with("name = prod", "name prod")).rfind(":4: expected: name = value", 0) == 0);
  CHECK(line_of(with("name = prod\n", "")) == ": name is missing");
  CHECK(line_of(with("format = 1", "format = one")) == ":3: format: expected 1");
  CHECK(line_of(with("0f\nposition", "0\nposition")) == ":5: id: expected 32 hex digits");
  CHECK(line_of(with("position_key=f0", "position_key=g0")) == ":6: position_key: expected 32 hex digits");
  CHECK(line_of(with("digest_key  =  00", "digest_key = 0000")) == ":7: digest_key: expected 32 hex digits");
  CHECK(line_of("") == ": format is missing");
  CHECK(line_of(std::string(5000, '#')) == ": is too long for a cluster key");
}

TEST_CASE("a cluster key of a newer format is refused as such, whatever its fields") {
  const auto read = read_text("format = 2\nsecret = x\n");
  REQUIRE_FALSE(read);
  CHECK(read.error().code == ErrorCode::wrong_format);
}

TEST_CASE("a cluster key that does not exist, or is a directory, is refused") {
  const TemporaryDirectory directory;
  CHECK(read_cluster_key(directory.file("none")).error().code == ErrorCode::not_found);
  CHECK(read_cluster_key(directory.file(".")).error().code == ErrorCode::bad_input);
}
