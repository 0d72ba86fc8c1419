// What the store does when the disk, the map or the process gives way.
#include <dlfcn.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <iostream>
#include <string>
#include <thread>

#include "store/lmdb/lmdb_store.h"
#include "tests/unit/temporary_directory.h"

using namespace knit;

namespace {

// LMDB finds the functions below before those of the C library. It writes meta pages, and nothing
// else so short, with pwrite().
std::atomic<bool> meta_writes_fail{false};
std::atomic<bool> syncs_fail{false};

template <class Function>
Function next_of(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" __attribute__((visibility("default"))) ssize_t pwrite(int file, const void* bytes,
                                                                 std::size_t size, off_t offset) {
  static const auto real = next_of<ssize_t (*)(int, const void*, std::size_t, off_t)>("pwrite");
  if (meta_writes_fail && size < 512) {
    errno = EIO;
    return -1;
  }
  return real(file, bytes, size, offset);
}

extern "C" __attribute__((visibility("default"))) int fdatasync(int file) {
  static const auto real = next_of<int (*)(int)>("fdatasync");
  if (syncs_fail) {
    errno = EIO;
    return -1;
  }
  return real(file);
}

namespace {

LmdbOptions options_of(const std::string& path, std::uint64_t map = std::uint64_t{1} << 30) {
  LmdbOptions options;
  options.directory = path;
  options.map_bytes = map;
  return options;
}

std::unique_ptr<LmdbStore> open_store(const std::string& path, std::uint64_t map = std::uint64_t{1} << 30) {
  auto store = LmdbStore::open(options_of(path, map), [] {});
  if (!store) FAIL(store.error().message);
  return std::move(*store);
}

Result<void> commit_row(LmdbStore& store, const std::string& key, const std::optional<std::string>& value) {
  Batch batch;
  value ? batch.of(Table::rows).put(key, *value) : batch.of(Table::rows).erase(key);
  store.start_commit(batch);
  store.wait_for_commit();
  return *store.take_commit_result();
}

bool holds(LmdbStore& store, const std::string& key, const std::string& value) {
  const auto found = store.get(Table::rows, key);
  const bool same = found && *found && **found == value;
  store.end_reads();
  return same;
}

// Commits rows of `bytes` until that fails; answers how many fitted.
int fill(LmdbStore& store, std::size_t bytes, Error& error) {
  for (int i = 0; i < 1000; ++i) {
    const auto result = commit_row(store, "fill" + std::to_string(i), std::string(bytes, 'f'));
    if (result) continue;
    error = result.error();
    return i;
  }
  FAIL("the disk never got full");
  return 0;
}

// A small file system in memory, for as long as the object lives.
class SmallDisk {
 public:
  SmallDisk() : mounted_(::mount("tmpfs", directory_.path().c_str(), "tmpfs", 0, "size=4m") == 0) {}
  ~SmallDisk() {
    if (mounted_) ::umount2(directory_.path().c_str(), MNT_DETACH);
  }
  bool mounted() const { return mounted_; }
  const TemporaryDirectory& directory() const { return directory_; }

 private:
  TemporaryDirectory directory_;
  bool mounted_;
};

}  // namespace

TEST_CASE("a full map refuses a write, reads go on, and a smaller write still works", "[threads]") {
  const TemporaryDirectory directory;
  const auto store = open_store(directory.path(), 1 << 20);
  REQUIRE(commit_row(*store, "first", "1").has_value());
  Error error;
  CHECK(fill(*store, 100'000, error) > 2);
  CHECK(error.code == ErrorCode::disk_full);
  CHECK(error.message.find("map_bytes") != std::string::npos);
  CHECK(store->bytes_free() < 200'000);
  CHECK(holds(*store, "first", "1"));
  CHECK(holds(*store, "fill0", std::string(100'000, 'f')));
  CHECK(commit_row(*store, "small", "s").has_value());
  CHECK(holds(*store, "small", "s"));
}

TEST_CASE("a full map takes large writes again after deletes", "[threads]") {
  const TemporaryDirectory directory;
  const auto store = open_store(directory.path(), 1 << 20);
  Error error;
  fill(*store, 100'000, error);
  REQUIRE(commit_row(*store, "fill0", std::nullopt).has_value());
  REQUIRE(commit_row(*store, "fill1", std::nullopt).has_value());
  // LMDB reuses a page two transactions after the one that freed it.
  REQUIRE(commit_row(*store, "a", "1").has_value());
  REQUIRE(commit_row(*store, "a", "2").has_value());
  CHECK(commit_row(*store, "again", std::string(100'000, 'a')).has_value());
}

TEST_CASE("a full disk refuses writes, reads go on, and writes return with the space", "[threads]") {
  const SmallDisk disk;
  if (!disk.mounted()) {
    WARN("skipped: mounting a tmpfs is not permitted here");
    return;
  }
  disk.directory().write("lost+found", std::string(2 << 20, 'b'));
  const std::string path = disk.directory().file("data");
  auto store = open_store(path);
  Error error;
  const int fitted = fill(*store, 100'000, error);
  CHECK(fitted > 2);
  CHECK(error.code == ErrorCode::disk_full);
  CHECK(holds(*store, "fill0", std::string(100'000, 'f')));
  CHECK(commit_row(*store, "more", std::string(500'000, 'm')).error().code == ErrorCode::disk_full);
  CHECK(store->bytes_free() < 500'000);
  store.reset();
  store = open_store(path);  // A restart helps nothing, but it must not harm.
  CHECK(holds(*store, "fill0", std::string(100'000, 'f')));

  std::filesystem::remove(disk.directory().file("lost+found"));
  CHECK(commit_row(*store, "more", std::string(500'000, 'm')).has_value());
  CHECK(holds(*store, "more", std::string(500'000, 'm')));
  store.reset();
  store = open_store(path);
  CHECK(holds(*store, "fill" + std::to_string(fitted - 1), std::string(100'000, 'f')));
  CHECK(holds(*store, "more", std::string(500'000, 'm')));
}

TEST_CASE("a store cannot be made on a full disk, and says so", "[threads]") {
  const SmallDisk disk;
  if (!disk.mounted()) {
    WARN("skipped: mounting a tmpfs is not permitted here");
    return;
  }
  disk.directory().write("ballast", std::string(5 << 20, 'b'));
  const LmdbOptions options = options_of(disk.directory().file("data"));
  const auto store = LmdbStore::open(options, [] {});
  REQUIRE_FALSE(store.has_value());
  CHECK(store.error().code == ErrorCode::disk_full);
}

TEST_CASE("a store that lost its lock file does not open on a full disk, and says so", "[threads]") {
  const SmallDisk disk;
  if (!disk.mounted()) {
    WARN("skipped: mounting a tmpfs is not permitted here");
    return;
  }
  const LmdbOptions options = options_of(disk.directory().file("data"));
  {
    REQUIRE(LmdbStore::open(options, [] {}).has_value());
  }
  std::filesystem::remove(options.directory + "/lock.mdb");
  disk.directory().write("ballast", std::string(5 << 20, 'b'));
  const auto store = LmdbStore::open(options, [] {});
  REQUIRE_FALSE(store.has_value());
  CHECK(store.error().code == ErrorCode::disk_full);
}

TEST_CASE("a sync that fails is an error of the disk, and the batch is not there", "[threads]") {
  const TemporaryDirectory directory;
  const auto store = open_store(directory.path());
  REQUIRE(commit_row(*store, "k", "old").has_value());
  syncs_fail = true;
  const auto result = commit_row(*store, "k", "new");
  syncs_fail = false;
  REQUIRE_FALSE(result.has_value());
  CHECK(result.error().code == ErrorCode::io);
  CHECK(result.error().message.find("mdb_txn_commit") != std::string::npos);
  CHECK(holds(*store, "k", "old"));
}

TEST_CASE("after a meta page could not be written everything is an error, until the store is reopened",
          "[threads]") {
  const TemporaryDirectory directory;
  auto store = open_store(directory.path());
  REQUIRE(commit_row(*store, "k", "old").has_value());
  meta_writes_fail = true;
  const auto result = commit_row(*store, "k", "new");
  meta_writes_fail = false;
  REQUIRE_FALSE(result.has_value());
  CHECK(result.error().code == ErrorCode::io);
  CHECK(result.error().message.find("restart") != std::string::npos);
  CHECK(commit_row(*store, "k", "newer").error().code == ErrorCode::io);
  CHECK(store->get(Table::rows, "k").error().code == ErrorCode::io);
  store.reset();
  store = open_store(directory.path());
  CHECK(holds(*store, "k", "old"));
}

namespace {

// Commits row after row and tells each number through the pipe once it is acknowledged.
[[noreturn]] void commit_until_killed(const std::string& path, int acknowledged, std::uint32_t first) {
  auto store = LmdbStore::open(options_of(path), [] {});
  for (std::uint32_t number = first; store; ++number) {
    Batch batch;
    for (int i = 0; i < 10; ++i) {
      batch.of(Table::rows).put(std::to_string(number) + "." + std::to_string(i), std::to_string(number));
    }
    (*store)->start_commit(batch);
    (*store)->wait_for_commit();
    if (!*(*store)->take_commit_result()) break;
    if (::write(acknowledged, &number, sizeof number) != sizeof number) break;
  }
  ::_exit(1);
}

// Kills a child after it acknowledged `rounds` commits or more; answers the last one it told of.
std::uint32_t last_acknowledged_by_killed_child(const std::string& path, std::uint32_t first, int rounds) {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::close(ends[0]);
    commit_until_killed(path, ends[1], first);
  }
  ::close(ends[1]);
  std::uint32_t last = first - 1;
  for (int i = 0; i < rounds && ::read(ends[0], &last, sizeof last) == sizeof last;) ++i;
  ::kill(child, SIGKILL);
  while (::read(ends[0], &last, sizeof last) == sizeof last) {
  }
  ::close(ends[0]);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
  return last;
}

}  // namespace

TEST_CASE("kill -9 in the middle of commits loses nothing acknowledged and leaves no half batch",
          "[threads]") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("data");
  std::uint32_t last = 0;
  for (int round = 0; round < 20; ++round) {
    const std::uint32_t before = last;
    last = last_acknowledged_by_killed_child(path, before + 1, 1 + round % 7);
    REQUIRE(last > before);
  }
  const auto store = open_store(path);
  std::size_t lost = 0;
  for (std::uint32_t number = 1; number <= last; ++number) {
    for (int i = 0; i < 10; ++i) {
      lost += holds(*store, std::to_string(number) + "." + std::to_string(i), std::to_string(number)) ? 0 : 1;
    }
  }
  CHECK(lost == 0);
  std::size_t rows = 0;
  REQUIRE(store->scan(Table::rows, "", [&](std::string_view, std::string_view) { return ++rows > 0; })
              .has_value());
  CHECK(rows % 10 == 0);
}
