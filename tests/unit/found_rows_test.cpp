#include "store/lmdb/found_rows.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "store/lmdb/lmdb_store.h"
#include "unit/temporary_directory.h"

using namespace knit;

namespace {

std::string key_of_hash(std::uint64_t hash, std::string_view name) {
  std::string key;
  ByteWriter(key).u64(hash);
  return key.append(name);
}

// Pages as LMDB lays them out: each value right behind its key.
class Pages {
 public:
  Pages() { bytes_.reserve(std::size_t{4} << 20); }  // Nothing moves.

  std::string_view put(std::string_view key, std::string_view value) {
    bytes_.append(64, '-').append(key).append(value);
    if (address() % 4096 < 64 + key.size() + value.size()) return put(key, value);  // Not across two pages.
    return std::string_view(bytes_).substr(bytes_.size() - value.size());
  }

 private:
  std::uintptr_t address() const { return reinterpret_cast<std::uintptr_t>(bytes_.data() + bytes_.size()); }
  std::string bytes_;
};

}  // namespace

TEST_CASE("a row is found where it was, until another snapshot is seen") {
  Pages pages;
  FoundRows rows;
  rows.see(7);
  const std::string key = key_of_hash(1, "key");
  CHECK_FALSE(rows.find(key).has_value());
  const std::string_view value = pages.put(key, "value");
  rows.add(key, value);
  REQUIRE(rows.find(key).has_value());
  CHECK((rows.find(key)->data() == value.data()));
  CHECK(rows.find(key)->size() == 5);
  CHECK_FALSE(rows.find(key_of_hash(1, "kex")).has_value());
  rows.see(7);
  CHECK(rows.find(key).has_value());
  rows.see(8);
  CHECK_FALSE(rows.find(key).has_value());
}

TEST_CASE("a value that does not lie behind its key is not kept, nor one with a key without a hash") {
  Pages pages;
  FoundRows rows;
  const std::string apart(4096, 'x');
  rows.add(key_of_hash(1, "key"), std::string_view(apart).substr(2000, 100));
  CHECK_FALSE(rows.find(key_of_hash(1, "key")).has_value());
  CHECK_FALSE(rows.add("short", pages.put("short", "value")));
  CHECK_FALSE(rows.find("short").has_value());
}

TEST_CASE("a row that is added again takes no second place") {
  Pages pages;
  FoundRows rows;
  const std::string key = key_of_hash(1, "key");
  const std::string_view value = pages.put(key, "value");
  for (int i = 0; i < 100'000; i++) REQUIRE(rows.add(key, value));
  CHECK(rows.slots() == 2048);
  CHECK_FALSE(rows.wants_neighbours());
}

TEST_CASE("snapshots beyond all numbers of generations bring nothing back") {
  Pages pages;
  FoundRows rows;
  const std::string key = key_of_hash(1, "key");
  rows.add(key, pages.put(key, "value"));
  for (std::uint64_t snapshot = 1; snapshot < 70'000; snapshot++) {
    rows.see(snapshot);
    REQUIRE_FALSE(rows.find(key).has_value());
  }
}

TEST_CASE("rows push others out, grow their table, and are never taken for one another") {
  Pages pages;
  FoundRows rows;
  std::mt19937_64 random(1);
  std::map<std::string, std::string_view> all;
  std::vector<std::uint64_t> hashes;
  for (int i = 0; i < 20'000; i++) {
    const std::uint64_t hash = random() & ~std::uint64_t{0xfff000000000};  // Some share what a slot compares.
    const std::string key = key_of_hash(hash, std::to_string(i % 3));
    all[key] = pages.put(key, std::to_string(i));
    rows.add(key, all[key]);
    hashes.push_back(hash);
    const auto found = rows.find(key);
    if (found) REQUIRE((*found == all[key]));
  }
  CHECK(rows.slots() >= 16'384);
  rows.expect({hashes.data(), 100});
  std::size_t found = 0;
  for (const auto& [key, value] : all) {
    const auto again = rows.find(key);
    if (!again) continue;
    found++;
    REQUIRE((again->data() == value.data()));
  }
  CHECK(found > 1000);
}

TEST_CASE("a table of found rows stops growing at its limit, and can be given back") {
  Pages pages;
  FoundRows rows;
  std::mt19937_64 random(3);
  const std::string_view value = pages.put("hashhashkey", "value");
  char* const row = const_cast<char*>(value.data()) - 11;
  for (std::size_t i = 0; i < 4 * FoundRows::slots_max; i++) {
    const std::uint64_t hash = random();
    std::memcpy(row, &hash, sizeof hash);
    rows.add({row, 11}, value);
  }
  CHECK(rows.slots() == FoundRows::slots_max);
  rows.give_back_memory();
  CHECK(rows.slots() == 0);
  CHECK_FALSE(rows.find(key_of_hash(1, "key")).has_value());
}

TEST_CASE("a row that was read is read anew after each commit", "[threads]") {
  const TemporaryDirectory directory;
  LmdbOptions options;
  options.directory = directory.path();
  options.map_bytes = std::uint64_t{1} << 28;
  auto store = LmdbStore::open(options, [] {});
  REQUIRE(store);
  std::mt19937_64 random(2);
  std::map<std::string, std::string> model;
  for (int round = 0; round < 60; round++) {
    Batch batch;
    for (int change = 0; change < 40; change++) {
      const std::string key = key_of_hash((random() % 300) << 50, "k");
      const auto value =
          std::string(random() % (random() % 20 == 0 ? 5000 : 200), 'v') + std::to_string(round);
      if (random() % 4 == 0) {
        batch.of(Table::rows).erase(key);
        model.erase(key);
      } else {
        batch.of(Table::rows).put(key, value);
        model[key] = value;
      }
    }
    (*store)->start_commit(batch);
    (*store)->wait_for_commit();
    REQUIRE((*store)->take_commit_result()->has_value());
    (*store)->end_reads();
    for (int look = 0; look < 1000; look++) {
      const std::uint64_t hash = (random() % 300) << 50;
      (*store)->expect({&hash, 1});
      const auto found = (*store)->get(Table::rows, key_of_hash(hash, "k"));
      REQUIRE(found);
      const auto expected = model.find(key_of_hash(hash, "k"));
      REQUIRE(found->has_value() == (expected != model.end()));
      if (*found) REQUIRE((**found == expected->second));
      if (look % 100 == 0) (*store)->end_reads();
    }
  }
}

TEST_CASE("a snapshot that is read much shows each row as it is", "[threads]") {
  const TemporaryDirectory directory;
  LmdbOptions options;
  options.directory = directory.path();
  options.map_bytes = std::uint64_t{1} << 28;
  auto store = LmdbStore::open(options, [] {});
  REQUIRE(store);
  constexpr std::uint64_t rows = 20'000;
  const auto key_of = [](std::uint64_t number) {
    return key_of_hash(number * 0x9e3779b97f4a7c15, std::to_string(number));
  };
  for (const std::string round : {"a", "b"}) {
    Batch batch;
    for (std::uint64_t i = 0; i < rows; i++) {
      batch.of(Table::rows)
          .put(key_of(i), round + std::string(i % 50 == 0 ? 3000 : i % 100, 'v') + std::to_string(i));
    }
    (*store)->start_commit(batch);
    (*store)->wait_for_commit();
    REQUIRE((*store)->take_commit_result()->has_value());
    (*store)->end_reads();
    for (std::uint64_t look = 0; look < 3 * rows; look++) {
      const std::string key = key_of(look * 7919 % rows);
      const auto found = (*store)->get(Table::rows, key);
      REQUIRE((found.has_value() && *found == batch.of(Table::rows).find(key)->value));
    }
    REQUIRE_FALSE((*store)->get(Table::rows, key_of(rows))->has_value());
  }
}
