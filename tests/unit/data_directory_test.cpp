#include "store/lmdb/data_directory.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <string>

#include "tests/unit/temporary_directory.h"

using namespace knit;

namespace {

Error error_of(const std::string& path) {
  const auto opened = DataDirectory::open(path);
  REQUIRE_FALSE(opened.has_value());
  return opened.error();
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::size_t entries(const std::string& path) {
  return static_cast<std::size_t>(
      std::distance(std::filesystem::directory_iterator(path), std::filesystem::directory_iterator()));
}

}  // namespace

TEST_CASE("a data directory that is absent is made, for its owner alone") {
  const TemporaryDirectory parent;
  const std::string path = parent.file("data");
  const auto opened = DataDirectory::open(path);
  REQUIRE(opened.has_value());
  CHECK(opened->path() == path);
  struct stat status{};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0700);
  CHECK(parent.read("data/format") == "knit 2\n");
}

TEST_CASE("a data directory whose parent is absent is not made") {
  const TemporaryDirectory parent;
  CHECK(error_of(parent.file("no/data")).code == ErrorCode::io);
  CHECK_FALSE(std::filesystem::exists(parent.file("no")));
}

TEST_CASE("a data directory is taken again after its owner let go of it") {
  const TemporaryDirectory directory;
  {
    REQUIRE(DataDirectory::open(directory.path()).has_value());
  }
  CHECK(DataDirectory::open(directory.path()).has_value());
}

TEST_CASE("a data directory in use names the process that uses it") {
  const TemporaryDirectory directory;
  const auto first = DataDirectory::open(directory.path());
  REQUIRE(first.has_value());
  const Error error = error_of(directory.path());
  CHECK(error.code == ErrorCode::refused);
  CHECK(error.message == directory.path() + " is in use by process " + std::to_string(::getpid()));
}

TEST_CASE("a longer process id of an earlier owner leaves nothing in the lock file") {
  const TemporaryDirectory directory;
  directory.write("knit.lock", "99999999999999\n");
  const auto first = DataDirectory::open(directory.path());
  REQUIRE(first.has_value());
  CHECK(directory.read("knit.lock") == std::to_string(::getpid()) + "\n");
}

TEST_CASE("a directory of somebody else is refused and left as it was") {
  const TemporaryDirectory directory;
  directory.write("holiday.jpg", "sea");
  const Error error = error_of(directory.path());
  CHECK(error.code == ErrorCode::refused);
  CHECK(contains(error.message, "not a knit data directory"));
  CHECK(entries(directory.path()) == 1);
}

TEST_CASE("a file where the data directory should be is refused") {
  const TemporaryDirectory directory;
  directory.write("data", "text");
  CHECK(error_of(directory.file("data")).code == ErrorCode::refused);
}

TEST_CASE("a directory that a newer knit wrote is refused and says what to do") {
  for (const char* text : {"knit 3\n", "knit 99999999999999999999\n"}) {
    const TemporaryDirectory directory;
    directory.write("format", text);
    const Error error = error_of(directory.path());
    CHECK(error.code == ErrorCode::wrong_format);
    CHECK(contains(error.message, "install"));
    CHECK(directory.read("format") == text);
  }
}

TEST_CASE("a directory that an older knit wrote is refused and says what to do") {
  const TemporaryDirectory directory;
  directory.write("format", "knit 1\n");
  const Error error = error_of(directory.path());
  CHECK(error.code == ErrorCode::wrong_format);
  CHECK(contains(error.message, "older"));
  CHECK(contains(error.message, "empty directory"));
  CHECK(directory.read("format") == "knit 1\n");
}

TEST_CASE("a format file that is not ours is refused") {
  for (const char* text :
       {"", "knit", "knit \n", "knit 0\n", "knit 1", "knit 1x\n", "knit -1\n", "PNG 1\n"}) {
    const TemporaryDirectory directory;
    directory.write("format", text);
    CHECK(error_of(directory.path()).code == ErrorCode::refused);
    CHECK(directory.read("format") == text);
  }
}

TEST_CASE("a first start that was cut short is taken up again") {
  const TemporaryDirectory directory;
  directory.write("knit.lock", "");
  directory.write("format.new", "kni");
  std::filesystem::create_directory(directory.file("lost+found"));
  REQUIRE(DataDirectory::open(directory.path()).has_value());
  CHECK(directory.read("format") == "knit 2\n");
  CHECK_FALSE(std::filesystem::exists(directory.file("format.new")));
}

TEST_CASE("a data directory with a format keeps whatever else is in it") {
  const TemporaryDirectory directory;
  directory.write("format", "knit 2\n");
  directory.write("data.mdb", "rows");
  CHECK(DataDirectory::open(directory.path()).has_value());
  CHECK(directory.read("data.mdb") == "rows");
}
