// Sorted batches of random rows into a store of 100,000 rows, and random reads, one JSON object a line.
// Usage: bench_lmdb [directory to make the store in]
#include <chrono>
#include <cstdio>
#include <random>
#include <string>

#include "base/bytes.h"
#include "base/check.h"
#include "store/lmdb/lmdb_store.h"
#include "tests/unit/temporary_directory.h"

using namespace knit;

namespace {

constexpr std::size_t store_rows = 100'000;
constexpr std::size_t value_bytes = 100;

std::string key_of(std::uint64_t number) {
  std::string key;
  ByteWriter(key).u64(number * 0x9e3779b97f4a7c15u);  // Spread over the table, as hashes are.
  ByteWriter(key).u64(number);
  return key;
}

std::string random_key(std::mt19937_64& random) { return key_of(random() % store_rows); }

double commit_seconds(LmdbStore& store, const Batch& batch) {
  const auto start = std::chrono::steady_clock::now();
  store.start_commit(batch);
  store.wait_for_commit();
  check(store.take_commit_result()->has_value(), "the disk has room for the bench");
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void print(const char* metric, std::size_t batch, double value, const char* unit) {
  std::printf(R"({"bench":"lmdb","rows":%zu,"batch":%zu,"metric":"%s","value":%.0f,"unit":"%s"})"
              "\n",
              store_rows, batch, metric, value, unit);
  std::fflush(stdout);
}

void fill(LmdbStore& store) {
  Batch batch;
  for (std::uint64_t number = 0; number < store_rows; ++number) {
    batch.of(Table::rows).put(key_of(number), std::string(value_bytes, 'v'));
  }
  commit_seconds(store, batch);
}

void bench_commits(LmdbStore& store, std::mt19937_64& random, std::size_t batch_rows) {
  constexpr std::size_t rows_wanted = 200'000;
  double seconds = 0;
  std::size_t rows = 0;
  while (rows < rows_wanted) {
    Batch batch;
    while (batch.of(Table::rows).size() < batch_rows) {
      batch.of(Table::rows).put(random_key(random), std::string(value_bytes, 'w'));
    }
    seconds += commit_seconds(store, batch);
    rows += batch_rows;
  }
  print("commit_rows_per_second", batch_rows, static_cast<double>(rows) / seconds, "rows/s");
}

void bench_gets(LmdbStore& store, std::mt19937_64& random) {
  constexpr std::size_t gets = 500'000;
  constexpr std::size_t gets_per_snapshot = 100;
  std::size_t found = 0;
  const auto start = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < gets; ++i) {
    const auto value = store.get(Table::rows, random_key(random));
    found += value && *value ? 1 : 0;
    if (i % gets_per_snapshot == 0) store.end_reads();
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  check(found == gets, "every row of the bench is there");
  print("get_per_second", 1, static_cast<double>(gets) / seconds, "gets/s");
}

}  // namespace

int main(int argc, char** argv) {
  const TemporaryDirectory temporary;
  LmdbOptions options;
  options.directory = argc > 1 ? argv[1] : temporary.path();
  auto store = LmdbStore::open(options, [] {});
  if (!store) {
    std::fprintf(stderr, "bench_lmdb: %s\n", store.error().message.c_str());
    return 1;
  }
  std::mt19937_64 random(1);
  fill(**store);
  for (const std::size_t batch_rows : {1'000, 10'000, 50'000}) bench_commits(**store, random, batch_rows);
  bench_gets(**store, random);
}
