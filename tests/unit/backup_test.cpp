#include "store/lmdb/backup.h"

#include <catch2/catch.hpp>
#include <condition_variable>
#include <mutex>
#include <string>

#include "store/lmdb/lmdb_store.h"
#include "store/lmdb/restore.h"
#include "store/restored.h"
#include "store/store.h"
#include "tests/unit/temporary_directory.h"
#include "unit/host.h"

using namespace knit;
using test::options_for;

namespace {

// A data directory that is open, on a real disk.
struct Site {
  explicit Site(const std::string& path) {
    LmdbOptions options;
    options.directory = path;
    options.map_bytes = std::uint64_t{1} << 30;
    auto opened = LmdbStore::open(options, [this] { wake(); });
    if (!opened) FAIL(opened.error().message);
    disk = std::move(*opened);
    auto made = Store::open(*disk, journal, options_for(1));
    if (!made) FAIL(made.error().message);
    store = std::move(*made);
    commit();
  }
  void commit() {
    while (store->start_commit()) {
      disk->wait_for_commit();
      REQUIRE(store->on_committed(*disk->take_commit_result()) == Store::CommitOutcome::committed);
    }
    REQUIRE(journal.sync());
  }
  void set(const std::string& key, const std::string& value) {
    auto row = store->read(key);
    REQUIRE(row);
    REQUIRE(store->write(*row, Content::value, value, {}, test::now));
  }
  std::string get(const std::string& key) {
    const auto row = store->read(key);
    REQUIRE(row);
    const Sibling* visible = row->row.visible(test::now);
    return visible == nullptr ? "" : visible->value;
  }
  void wake() {
    const std::lock_guard lock(mutex);
    ++woken;
    changed.notify_all();
  }
  Result<std::uint64_t> backup(const std::string& path) {
    if (const auto begun = disk->start_backup(path); !begun) return tl::unexpected(begun.error());
    std::unique_lock lock(mutex);
    while (true) {
      const unsigned before = woken;
      if (const auto result = disk->take_backup_result()) return *result;
      changed.wait(lock, [&] { return woken != before; });
    }
  }

  test::VirtualJournal journal;
  std::unique_ptr<LmdbStore> disk;
  std::unique_ptr<Store> store;
  std::mutex mutex;
  std::condition_variable changed;
  unsigned woken = 0;
};

const NodeIdentity fresh{NodeId{77}, ActorId{7700}};

}  // namespace

TEST_CASE("a backup holds what was committed when it began, and is restored as a new node") {
  const TemporaryDirectory directory;
  const std::string file = directory.file("backup");
  Clock clock;
  {
    Site site(directory.file("old"));
    for (int i = 0; i < 500; ++i) site.set("key" + std::to_string(i), std::string(1000, 'v'));
    site.commit();
    clock = site.store->clock();
    const auto bytes = site.backup(file);
    REQUIRE(bytes);
    CHECK(*bytes == std::filesystem::file_size(file));
    site.set("key1", "later");
  }
  const auto restored = restore_backup(file, directory.file("new"), fresh);
  REQUIRE(restored);
  CHECK(restored->cluster == "test");
  CHECK(restored->rows == 500);
  Site site(directory.file("new"));
  CHECK(site.store->identity().node == fresh.node);
  CHECK(site.store->identity().actor == fresh.actor);
  CHECK(site.store->clock() == clock);
  CHECK(site.get("key1") == std::string(1000, 'v'));
  CHECK(site.get("key499") == std::string(1000, 'v'));
  site.set("key1", "here");
  CHECK(site.store->clock().covers(Dot{fresh.actor, 1}));
}

TEST_CASE("a backup does not replace a file, and needs its directory") {
  const TemporaryDirectory directory;
  Site site(directory.file("data"));
  directory.write("there", "mine");
  const auto refused = site.backup(directory.file("there"));
  REQUIRE(!refused);
  CHECK(refused.error().code == ErrorCode::refused);
  const auto missing = site.backup(directory.file("no/such"));
  REQUIRE(!missing);
  CHECK(missing.error().code == ErrorCode::not_found);
  directory.write("again.partial", "of an attempt that was broken off");
  CHECK(site.backup(directory.file("again")));
  CHECK(!std::filesystem::exists(directory.file("again.partial")));
}

TEST_CASE("one backup is made at a time, and one that is not waited for leaves nothing") {
  const TemporaryDirectory directory;
  {
    Site site(directory.file("data"));
    for (int i = 0; i < 2000; ++i) site.set("key" + std::to_string(i), std::string(10'000, 'v'));
    site.commit();
    REQUIRE(site.disk->start_backup(directory.file("backup")));
    const auto second = site.disk->start_backup(directory.file("second"));
    REQUIRE(!second);
    CHECK(second.error().code == ErrorCode::refused);
  }
  CHECK(!std::filesystem::exists(directory.file("backup.partial")));
  CHECK(!std::filesystem::exists(directory.file("second.partial")));
}

TEST_CASE("what cannot be restored leaves a directory without data") {
  const TemporaryDirectory directory;
  const auto error = [&](const std::string& file, const std::string& to) {
    const auto restored = restore_backup(directory.file(file), directory.file(to), fresh);
    REQUIRE(!restored);
    return restored.error().code;
  };
  CHECK(error("missing", "a") == ErrorCode::not_found);
  directory.write("text", std::string(100'000, 't'));
  CHECK(error("text", "a") == ErrorCode::corrupt);
  directory.write("empty", "");
  CHECK(error("empty", "a") == ErrorCode::corrupt);
  CHECK(!std::filesystem::exists(directory.file("a/data.mdb")));
  {
    Site site(directory.file("data"));
    site.set("k", "v");
    site.commit();
    REQUIRE(site.backup(directory.file("backup")));
  }
  CHECK(error("backup", "data") == ErrorCode::refused);
  std::filesystem::copy(directory.file("backup"), directory.file("cut"));
  std::filesystem::resize_file(directory.file("cut"), std::filesystem::file_size(directory.file("cut")) / 2);
  CHECK(error("cut", "a") == ErrorCode::corrupt);
  CHECK(restore_backup(directory.file("backup"), directory.file("a"), fresh));
}

TEST_CASE("a record of another owner is sealed again, a damaged one is not") {
  const TemporaryDirectory directory;
  std::string record;
  {
    Site site(directory.file("data"));
    site.set("k", "v");
    site.commit();
    const auto found = site.disk->get(Table::meta, identity_record);
    REQUIRE(found);
    record = **found;
  }
  CHECK(cluster_named_in(record) == "test");
  const auto renamed = with_identity(record, fresh, 0);
  REQUIRE(renamed);
  CHECK(cluster_named_in(*renamed) == "test");
  CHECK(*renamed != record);
  for (std::size_t at = 0; at < record.size(); ++at) {
    std::string damaged = record;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    CHECK(!with_identity(damaged, fresh, 0));
  }
  CHECK(!with_identity("", fresh, 0));
}
