#include "store/lmdb/lmdb_store.h"

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <cstring>
#include <string>
#include <vector>

#include "tests/unit/temporary_directory.h"

using namespace knit;

namespace {

constexpr std::uint64_t map_bytes = std::uint64_t{1} << 30;

std::unique_ptr<LmdbStore> open_store(const std::string& path, std::uint64_t map = map_bytes) {
  LmdbOptions options;
  options.directory = path;
  options.map_bytes = map;
  auto store = LmdbStore::open(options, [] {});
  if (!store) FAIL(store.error().message);
  return std::move(*store);
}

Result<void> commit(LmdbStore& store, const Batch& batch) {
  store.start_commit(batch);
  store.wait_for_commit();
  auto result = store.take_commit_result();
  REQUIRE(result.has_value());
  return *result;
}

struct BatchOf : Batch {
  BatchOf(Table table, const std::vector<std::pair<std::string, std::optional<std::string>>>& wanted) {
    for (const auto& [key, value] : wanted) value ? of(table).put(key, *value) : of(table).erase(key);
  }
};

void put(LmdbStore& store, const std::string& key, const std::string& value) {
  REQUIRE(commit(store, BatchOf(Table::rows, {{key, value}})).has_value());
}

std::optional<std::string> get(LmdbStore& store, std::string_view key, Table table = Table::rows) {
  const auto found = store.get(table, key);
  REQUIRE(found.has_value());
  return *found ? std::optional<std::string>(**found) : std::nullopt;
}

std::vector<std::string> keys_from(LmdbStore& store, std::string_view from, Table table = Table::rows) {
  std::vector<std::string> keys;
  const auto scanned = store.scan(table, from, [&](std::string_view key, std::string_view) {
    keys.emplace_back(key);
    return true;
  });
  REQUIRE(scanned.has_value());
  return keys;
}

using Keys = std::vector<std::string>;

}  // namespace

TEST_CASE("a store holds what was put and not what was deleted", "[threads]") {
  const TemporaryDirectory directory;
  const auto store = open_store(directory.path());
  REQUIRE(commit(*store, BatchOf(Table::rows, {{"a", "1"}, {"b", ""}, {"c", "3"}})).has_value());
  REQUIRE(commit(*store, BatchOf(Table::rows, {{"a", std::nullopt}, {"c", "4"}, {"z", std::nullopt}}))
              .has_value());
  CHECK(get(*store, "a") == std::nullopt);
  CHECK(get(*store, "b") == "");
  CHECK(get(*store, "c") == "4");
  CHECK(get(*store, "z") == std::nullopt);
}

TEST_CASE("a batch reaches all tables, and they do not mix", "[threads]") {
  const TemporaryDirectory directory;
  const auto store = open_store(directory.path());
  Batch batch;
  batch.of(Table::rows).put("k", "row");
  batch.of(Table::log).put("k", "entry");
  batch.of(Table::meta).put("k", "clock");
  REQUIRE(commit(*store, batch).has_value());
  CHECK(get(*store, "k", Table::rows) == "row");
  CHECK(get(*store, "k", Table::log) == "entry");
  CHECK(get(*store, "k", Table::meta) == "clock");
  REQUIRE(commit(*store, BatchOf(Table::log, {{"k", std::nullopt}})).has_value());
  store->end_reads();
  CHECK(keys_from(*store, "", Table::log).empty());
  CHECK(keys_from(*store, "", Table::meta) == Keys{"k"});
}

TEST_CASE("a scan visits in the order of unsigned bytes from where it is told to start", "[threads]") {
  const TemporaryDirectory directory;
  const auto store = open_store(directory.path());
  const std::string zero(1, '\0');
  REQUIRE(
      commit(*store, BatchOf(Table::rows, {{"\xff", "x"}, {"b", "x"}, {zero, "x"}, {"ab", "x"}, {"a", "x"}}))
          .has_value());
  CHECK(keys_from(*store, "") == Keys{zero, "a", "ab", "b", "\xff"});
  CHECK(keys_from(*store, "ab") == Keys{"ab", "b", "\xff"});
  CHECK(keys_from(*store, "aa") == Keys{"ab", "b", "\xff"});
  CHECK(keys_from(*store, "\xff\xff").empty());
}

TEST_CASE("a scan ends when its visitor has seen enough, and the visitor may read", "[threads]") {
  const TemporaryDirectory directory;
  const auto store = open_store(directory.path());
  REQUIRE(commit(*store, BatchOf(Table::rows, {{"a", "b"}, {"b", "c"}, {"c", "d"}})).has_value());
  Keys seen;
  const auto scanned = store->scan(Table::rows, "", [&](std::string_view key, std::string_view value) {
    seen.push_back(std::string(key) + get(*store, value).value_or(""));
    return seen.size() < 2;
  });
  CHECK(scanned.has_value());
  CHECK(seen == Keys{"ac", "bd"});
}

TEST_CASE("readers see one snapshot until they end, and its views stay as they are", "[threads]") {
  const TemporaryDirectory directory;
  const auto store = open_store(directory.path());
  put(*store, "k", "old");
  const auto before = store->get(Table::rows, "k");
  REQUIRE(before.has_value());
  for (int i = 0; i < 20; ++i) put(*store, "k", std::string(10'000, 'n'));
  CHECK(**before == "old");
  CHECK(get(*store, "k") == "old");
  store->end_reads();
  CHECK(get(*store, "k") == std::string(10'000, 'n'));
}

TEST_CASE("a value of 64 MiB comes back whole", "[threads]") {
  const TemporaryDirectory directory;
  const auto store = open_store(directory.path());
  std::string value(std::size_t{64} << 20, 'v');
  value.back() = 'e';
  REQUIRE(commit(*store, BatchOf(Table::rows, {{"big", value}, {"small", "s"}})).has_value());
  const auto found = store->get(Table::rows, "big");
  REQUIRE(found.has_value());
  CHECK((**found == value));
  CHECK(get(*store, "small") == "s");
}

TEST_CASE("a key of 511 bytes is stored, longer and empty ones are refused whole and never found",
          "[threads]") {
  const TemporaryDirectory directory;
  const auto store = open_store(directory.path());
  const std::string longest(511, 'k');
  const std::string too_long(512, 'k');
  put(*store, longest, "v");
  for (const std::string& key : {std::string(), too_long}) {
    const BatchOf put_bad(Table::rows, {{"a", "with it"}, {key, "v"}});
    CHECK(commit(*store, put_bad).error().code == ErrorCode::bad_input);
    const BatchOf erase_bad(Table::rows, {{"a", "with it"}, {key, std::nullopt}});
    CHECK(commit(*store, erase_bad).error().code == ErrorCode::bad_input);
    CHECK(get(*store, key) == std::nullopt);
  }
  CHECK(get(*store, longest) == "v");
  CHECK(get(*store, "a") == std::nullopt);
}

TEST_CASE("a scan may start at a key longer than any that is stored", "[threads]") {
  const TemporaryDirectory directory;
  const auto store = open_store(directory.path());
  const std::string longest(511, 'k');
  REQUIRE(commit(*store, BatchOf(Table::rows, {{longest, "v"}, {"l", "v"}})).has_value());
  CHECK(keys_from(*store, longest) == Keys{longest, "l"});
  CHECK(keys_from(*store, longest + "a") == Keys{"l"});
  CHECK(keys_from(*store, std::string(510, 'k') + "ja") == Keys{longest, "l"});
}

TEST_CASE("the result of a commit is handed over once, after its owner was woken", "[threads]") {
  const TemporaryDirectory directory;
  std::atomic<int> wakes{0};
  LmdbOptions options;
  options.directory = directory.path();
  options.map_bytes = map_bytes;
  const auto store = LmdbStore::open(options, [&] {
    ++wakes;
    wakes.notify_all();
  });
  REQUIRE(store.has_value());
  CHECK((*store)->take_commit_result() == std::nullopt);
  const BatchOf batch(Table::rows, {{"k", "v"}});
  (*store)->start_commit(batch);
  wakes.wait(0);
  const auto result = (*store)->take_commit_result();
  REQUIRE(result.has_value());
  CHECK(result->has_value());
  CHECK((*store)->take_commit_result() == std::nullopt);
  CHECK(wakes == 1);
  (*store)->wait_for_commit();  // Nothing runs: it answers at once.
}

TEST_CASE("reads go on while commits run", "[threads]") {
  const TemporaryDirectory directory;
  const auto store = open_store(directory.path());
  put(*store, "k0", "v");
  Batch batch;
  for (int i = 0; i < 5000; ++i) batch.of(Table::rows).put("k" + std::to_string(i), std::string(100, 'v'));
  for (int round = 0; round < 5; ++round) {
    store->start_commit(batch);
    std::optional<Result<void>> result;
    while (!(result = store->take_commit_result())) {
      CHECK(get(*store, "k0").has_value());
      store->end_reads();
    }
    CHECK(result->has_value());
  }
  CHECK(keys_from(*store, "").size() == 5000);
}

TEST_CASE("a store that is closed ends the commit it began, and opens with it", "[threads]") {
  const TemporaryDirectory directory;
  const BatchOf batch(Table::meta, {{"k", "v"}});
  open_store(directory.path())->start_commit(batch);
  const auto store = open_store(directory.path());
  CHECK(get(*store, "k", Table::meta) == "v");
}

TEST_CASE("a store that gave its memory back reads and commits as before", "[threads]") {
  const TemporaryDirectory directory;
  const auto store = open_store(directory.path());
  Batch large;
  for (int i = 0; i < 10'000; ++i)
    large.of(Table::rows).put("row" + std::to_string(i), std::string(500, 'x'));
  REQUIRE(commit(*store, large).has_value());
  CHECK(get(*store, "row7").has_value());
  const std::uint64_t activity = store->activity();
  for (int round = 0; round < 3; ++round) {
    REQUIRE(store->give_back_memory().has_value());
    CHECK(store->activity() == activity + 2 * static_cast<unsigned>(round));
    put(*store, "row7", std::to_string(round));
    CHECK(get(*store, "row7") == std::to_string(round));
  }
  CHECK(get(*store, "row8") == std::string(500, 'x'));
  CHECK(keys_from(*store, {}).size() == 10'000);
  const auto second = LmdbStore::open({directory.path()}, [] {});
  CHECK(second.error().code == ErrorCode::refused);
}

TEST_CASE("a second store on the same directory is refused", "[threads]") {
  const TemporaryDirectory directory;
  const auto first = open_store(directory.path());
  LmdbOptions options;
  options.directory = directory.path();
  const auto second = LmdbStore::open(options, [] {});
  REQUIRE_FALSE(second.has_value());
  CHECK(second.error().code == ErrorCode::refused);
}

#ifndef __SANITIZE_THREAD__  // ThreadSanitizer leaves an application 1.5 TiB, not always in one piece.
TEST_CASE("the default map of 1 TiB is only reserved", "[threads]") {
  const TemporaryDirectory directory;
  LmdbOptions options;
  options.directory = directory.path();
  const auto store = LmdbStore::open(options, [] {});
  REQUIRE(store.has_value());
  CHECK((*store)->bytes_on_disk() < 1 << 20);
}
#endif

TEST_CASE("an absurd map is refused", "[threads]") {
  const TemporaryDirectory directory;
  LmdbOptions options;
  options.directory = directory.path();
  for (const std::uint64_t bytes :
       {std::uint64_t{0}, std::uint64_t{1} << 12, map_bytes + 1, ~std::uint64_t{0} << 12}) {
    options.map_bytes = bytes;
    const auto store = LmdbStore::open(options, [] {});
    REQUIRE_FALSE(store.has_value());
    CHECK(store.error().code == ErrorCode::bad_input);
  }
}

TEST_CASE("a data file that is not LMDB's is reported as corrupt", "[threads]") {
  const TemporaryDirectory directory;
  directory.write("format", "knit 2\n");
  directory.write("data.mdb", std::string(100'000, 'x'));
  LmdbOptions options;
  options.directory = directory.path();
  options.map_bytes = map_bytes;
  const auto store = LmdbStore::open(options, [] {});
  REQUIRE_FALSE(store.has_value());
  CHECK(store.error().code == ErrorCode::corrupt);
}

TEST_CASE("bytes on disk grow with the data, free bytes shrink, and deleted space is free again",
          "[threads]") {
  const TemporaryDirectory directory;
  const auto store = open_store(directory.path(), 4 << 20);
  const auto disk_before = store->bytes_on_disk();
  const auto free_before = store->bytes_free();
  put(*store, "big", std::string(2 << 20, 'v'));
  CHECK(store->bytes_on_disk() >= disk_before + (2 << 20));
  CHECK(store->bytes_free() <= free_before - (2 << 20));
  REQUIRE(commit(*store, BatchOf(Table::rows, {{"big", std::nullopt}})).has_value());
  CHECK(store->bytes_free() >= free_before - (1 << 16));
}

namespace {

constexpr std::size_t page_size = 4096;

template <class T>
T number_at(const std::string& bytes, std::size_t at) {
  T number{};
  std::memcpy(&number, bytes.data() + at, sizeof number);
  return number;
}

// Where the keys of inner pages lie: offset and size. An inner page has flag 1.
std::vector<std::pair<std::size_t, std::size_t>> separators(const std::string& file) {
  std::vector<std::pair<std::size_t, std::size_t>> found;
  for (std::size_t page = 2 * page_size; page + page_size <= file.size(); page += page_size) {
    if (number_at<std::uint16_t>(file, page + 10) != 1) continue;
    const std::size_t end = number_at<std::uint16_t>(file, page + 12);
    for (std::size_t slot = 18; slot < end; slot += 2) {  // The first key of an inner page is empty.
      const std::size_t node = page + number_at<std::uint16_t>(file, page + slot);
      found.emplace_back(node + 8, number_at<std::uint16_t>(file, node + 6));
    }
  }
  return found;
}

// Where keys of this size lie in leaf pages, which have flag 2, used or not.
std::vector<std::size_t> leaf_keys(const std::string& file, std::size_t size) {
  std::vector<std::size_t> found;
  for (std::size_t page = 2 * page_size; page + page_size <= file.size(); page += page_size) {
    if (number_at<std::uint16_t>(file, page + 10) != 2) continue;
    const std::size_t end = number_at<std::uint16_t>(file, page + 12);
    for (std::size_t slot = 16; slot < end; slot += 2) {
      const std::size_t node = page + number_at<std::uint16_t>(file, page + slot);
      if (number_at<std::uint16_t>(file, node + 6) == size) found.push_back(node + 8);
    }
  }
  return found;
}

std::string key_of(int number) {
  std::string digits = std::to_string(number * 7919 % 10000);
  return std::string(5 - digits.size(), '0') + digits + std::string(20, 'k');
}

constexpr int many = 2000;

// A directory with `many` rows, written at once.
void fill(const TemporaryDirectory& directory) {
  const auto store = open_store(directory.path());
  Batch batch;
  for (int i = 0; i < many; ++i) batch.of(Table::rows).put(key_of(i), std::string(100, 'v'));
  batch.of(Table::meta).put("name", "value");
  REQUIRE(commit(*store, batch).has_value());
}

}  // namespace

TEST_CASE("a scan finds inner pages that would lead a lookup astray") {
  const TemporaryDirectory directory;
  fill(directory);
  const std::string sound = directory.read("data.mdb");
  const auto keys = separators(sound);
  REQUIRE(keys.size() > 30);
  int found = 0;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    for (std::size_t byte = 0; byte < keys[i].second; byte += 3) {
      std::string damaged = sound;
      damaged[keys[i].first + byte] ^= static_cast<char>(1 << i % 8);
      directory.write("data.mdb", damaged);
      const auto store = open_store(directory.path());
      int visited = 0;
      const auto scanned = store->scan(Table::rows, {}, [&](std::string_view, std::string_view) {
        ++visited;
        return true;
      });
      CHECK(store->damage().has_value() == !scanned.has_value());
      if (!scanned) {
        ++found;
        CHECK(scanned.error().code == ErrorCode::corrupt);
        CHECK(scanned.error().message.find("move " + directory.path() + " away") != std::string::npos);
        continue;
      }
      CHECK(visited == many);
      for (int row = 0; row < many; ++row) CHECK(get(*store, key_of(row)).has_value());
    }
  }
  CHECK(found > 30);
}

TEST_CASE("a scan from anywhere begins where it should, or says that it cannot") {
  const TemporaryDirectory directory;
  fill(directory);
  const std::string sound = directory.read("data.mdb");
  std::vector<std::string> all;
  for (int i = 0; i < many; ++i) all.push_back(key_of(i));
  std::sort(all.begin(), all.end());
  int found = 0;
  for (const auto& [offset, size] : separators(sound)) {
    std::string damaged = sound;
    damaged[offset + 2] ^= 1;
    directory.write("data.mdb", damaged);
    const auto store = open_store(directory.path());
    for (std::size_t i = 0; i < all.size(); i += 3) {
      std::string first;
      const auto scanned = store->scan(Table::rows, all[i], [&](std::string_view key, std::string_view) {
        first = key;
        return false;
      });
      if (scanned) CHECK(first == all[i]);
      if (!scanned) ++found;
    }
  }
  CHECK(found > 30);
}

// Each begins behind what the one before it took last, or at what that would not take any more.
TEST_CASE("scans that go on where the last one ended miss nothing, or one finds that keys do not ascend") {
  const TemporaryDirectory directory;
  fill(directory);
  const std::string sound = directory.read("data.mdb");
  const auto keys = leaf_keys(sound, key_of(0).size());
  REQUIRE(keys.size() >= many);
  const bool behind = GENERATE(true, false);
  constexpr int most = 5;
  int found = 0;
  for (std::size_t i = 0; i < keys.size(); i += 7) {
    INFO("key " << i);
    std::string damaged = sound;
    damaged[keys[i] + i % 5] ^= static_cast<char>(1 << i % 4);
    directory.write("data.mdb", damaged);
    const auto store = open_store(directory.path());
    std::vector<std::string> seen;
    std::string from;
    bool ended = false;
    bool corrupt = false;
    while (!ended && !corrupt) {
      ended = true;
      int taken = 0;
      const auto stop_at = [&](std::string next) {
        from = std::move(next);
        ended = false;
        return false;
      };
      const auto scanned = store->scan(Table::rows, from, [&](std::string_view key, std::string_view) {
        if (taken == most) return stop_at(std::string(key));
        seen.emplace_back(key);
        return ++taken < most || !behind || stop_at(seen.back() + '\0');
      });
      corrupt = !scanned;
    }
    found += corrupt ? 1 : 0;
    CHECK((corrupt || seen.size() == many));
    CHECK((corrupt || std::is_sorted(seen.begin(), seen.end(), std::less_equal<>())));
  }
  CHECK(found > 30);
}

TEST_CASE("first pages that LMDB would believe and that are wrong are found before it does") {
  const TemporaryDirectory directory;
  fill(directory);
  {
    const auto again = open_store(directory.path());
  }
  const std::string sound = directory.read("data.mdb");
  const std::size_t newest =
      number_at<std::uint64_t>(sound, 144) > number_at<std::uint64_t>(sound, page_size + 144) ? 0 : page_size;
  const auto refused = [&](std::size_t at, unsigned bit) {
    std::string damaged = sound;
    damaged[at] ^= static_cast<char>(1 << bit);
    directory.write("data.mdb", damaged);
    LmdbOptions options;
    options.directory = directory.path();
    options.map_bytes = map_bytes;
    const auto store = LmdbStore::open(options, [] {});
    return !store && store.error().code == ErrorCode::corrupt &&
           store.error().message.find("data.mdb is damaged") != std::string::npos;
  };
  for (const std::size_t page : {std::size_t{0}, page_size}) {
    for (std::size_t byte = 144; byte < 152; ++byte) CHECK(refused(page + byte, byte % 8));  // Transaction.
    CHECK(refused(page, 3));                                                                 // Page number.
    CHECK(refused(page + 16, 0));                                                            // Magic number.
    CHECK(refused(page + 40, 5));  // Bytes of a page.
  }
  CHECK(refused(newest + 136 + 4, 2));  // Last page.
  CHECK(refused(newest + 128 + 3, 1));  // Root of the tree of tables.
  directory.write("data.mdb", sound);
  CHECK(get(*open_store(directory.path()), key_of(1)).has_value());
}

TEST_CASE("a table whose name is damaged is not made anew") {
  const TemporaryDirectory directory;
  fill(directory);
  std::string bytes = directory.read("data.mdb");
  std::size_t named = 0;
  for (std::size_t at = bytes.find("rows", 2 * page_size); at != std::string::npos;
       at = bytes.find("rows", at)) {
    bytes[at] = 'x';
    ++named;
  }
  REQUIRE(named > 0);
  directory.write("data.mdb", bytes);
  LmdbOptions options;
  options.directory = directory.path();
  options.map_bytes = map_bytes;
  const auto store = LmdbStore::open(options, [] {});
  REQUIRE(!store);
  CHECK(store.error().code == ErrorCode::corrupt);
}
