// Fills a data directory with rows, as a daemon would whose journal costs nothing: keys "key:000000000000"
// and up, in random order, in big batches. For the bench `store`. A copy is the directory of another node
// that has got all of it from the first.
// Usage: make_store DIRECTORY CLUSTER_KEY_FILE ROWS VALUE_BYTES BATCH_ROWS [COPY_DIRECTORY...]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <numeric>
#include <random>
#include <vector>

#include "base/check.h"
#include "report.h"
#include "store/cluster_key.h"
#include "store/lmdb/lmdb_store.h"
#include "store/store.h"

using namespace knit;

namespace {

struct Plan {
  std::string directory;
  std::string key_file;
  std::size_t rows{};
  std::size_t value_bytes{};
  std::size_t batch_rows{};
  std::vector<std::string> copies;
};

constexpr WallTime now{1'700'000'000'000};

// Nothing lies in front of the ordered store: what was appended counts as synced.
class NoJournal final : public Journal {
 public:
  Result<Tail> replay(NodeId, JournalPosition, FunctionRef<Result<void>(const JournalRecord&)>) override {
    return Tail::whole;
  }
  void append(const JournalRecord& record) override { last_ = record.position; }
  JournalPosition synced() const override { return last_; }
  void on_committed(JournalPosition) override {}
  void discard_unsynced() override {}
  std::size_t bytes_waiting() const override { return 0; }

 private:
  JournalPosition last_;
};

std::uint64_t bytes_written() {
  std::ifstream io("/proc/self/io");
  std::string name;
  std::uint64_t value = 0;
  while (io >> name >> value) {
    if (name == "write_bytes:") return value;
  }
  return 0;
}

std::string key_of(std::size_t number) {
  char key[32];
  std::snprintf(key, sizeof key, "key:%012zu", number);
  return key;
}

void commit(Store& store, LmdbStore& disk) {
  if (!store.start_commit()) return;
  disk.wait_for_commit();
  const auto result = disk.take_commit_result().value();
  check(store.on_committed(result) == Store::CommitOutcome::committed, "the disk has room for the bench");
}

// A value may well be compressed by a file system: no two are alike.
std::string random_value(std::mt19937_64& random, std::size_t bytes) {
  std::string value;
  while (value.size() < bytes) ByteWriter(value).u64(random());
  value.resize(bytes);
  return value;
}

void fill(Store& store, LmdbStore& disk, const Plan& plan) {
  std::mt19937_64 random(1);
  std::vector<std::uint32_t> order(plan.rows);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), random);
  store.refresh_space();
  for (std::size_t i = 0; i < plan.rows; ++i) {
    auto row = store.read(key_of(order[i]));
    check(row.has_value(), "an absent row can be read");
    const auto written =
        store.write(*row, Content::value, random_value(random, plan.value_bytes), Expiry{}, now);
    check(written.has_value(), "there is room for the bench");
    if ((i + 1) % plan.batch_rows == 0) commit(store, disk);
  }
  commit(store, disk);
}

// The store of the node with this number, and what it stands on.
struct OpenStore {
  OpenStore(const Plan& plan, const std::string& directory, std::uint64_t number) {
    const auto cluster = read_cluster_key(plan.key_file);
    check(cluster.has_value(), "the cluster key can be read");
    LmdbOptions lmdb;
    lmdb.directory = directory;
    auto opened_disk = LmdbStore::open(lmdb, [] {});
    check(opened_disk.has_value(), "the directory can be opened");
    disk = std::move(*opened_disk);
    StoreOptions options;
    options.cluster = *cluster;
    options.fresh = {NodeId{number}, ActorId{number}};
    auto opened = Store::open(*disk, journal, std::move(options));
    check(opened.has_value(), "the store can be made");
    store = std::move(*opened);
    store->refresh_space();
  }

  std::unique_ptr<LmdbStore> disk;
  NoJournal journal;
  std::unique_ptr<Store> store;
};

void copy(const Store& from, OpenStore& to, std::size_t batch_rows) {
  std::size_t rows = 0;
  const auto copied = from.visit_rows(Range::all(), {}, [&](const RowView& row) {
    check(to.store->merge_row(row.row_key, row.body, now).has_value(), "there is room for the copy");
    if (++rows % batch_rows == 0) commit(*to.store, *to.disk);
    return true;
  });
  check(copied.has_value() && to.store->join_clock(from.clock(), now).has_value(), "all can be copied");
  commit(*to.store, *to.disk);
}

void run(const Plan& plan) {
  OpenStore first(plan, plan.directory, 1);
  const bench::Stopwatch watch;
  fill(*first.store, *first.disk, plan);
  const auto rows = static_cast<double>(plan.rows);
  const std::string where = "\"rows\":" + std::to_string(plan.rows) +
                            ",\"value_bytes\":" + std::to_string(plan.value_bytes) +
                            ",\"batch_rows\":" + std::to_string(plan.batch_rows);
  bench::report("store", where, "fill", rows / watch.seconds(), "rows/s");
  bench::report("store", where, "fill_bytes_written", static_cast<double>(bytes_written()) / rows, "B/row");
  for (std::size_t i = 0; i < plan.copies.size(); ++i) {
    OpenStore other(plan, plan.copies[i], i + 2);
    copy(*first.store, other, plan.batch_rows);
  }
}

}  // namespace

int main(int count, char** words) {
  if (count < 6) {
    std::fprintf(
        stderr,
        "usage: make_store DIRECTORY CLUSTER_KEY_FILE ROWS VALUE_BYTES BATCH_ROWS [COPY_DIRECTORY...]\n");
    return 2;
  }
  const auto number = [&](int index) { return std::strtoull(words[index], nullptr, 10); };
  run({words[1],
       words[2],
       number(3),
       number(4),
       std::max<std::size_t>(number(5), 1),
       {words + 6, words + count}});
  return 0;
}
