// How fast one node applies what peers stream to it, without a network: rows of the store, overwritten by
// another actor, merged in batches over LMDB and the journal. For the bench `catchup`.
// Usage: merge_rows DIRECTORY CLUSTER_KEY_FILE ROWS MERGED BATCH_ROWS VALUE_BYTES
//   of a directory that make_store filled with ROWS; prints "durable SECONDS" and "committed SECONDS"
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/check.h"
#include "crdt/row_body.h"
#include "daemon/commit_pace.h"
#include "report.h"
#include "store/cluster_key.h"
#include "store/lmdb/file_journal.h"
#include "store/lmdb/lmdb_store.h"
#include "store/store.h"

using namespace knit;

namespace {

constexpr WallTime now{1'700'000'001'000};

struct Plan {
  std::string directory;
  std::string key_file;
  std::size_t rows{};
  std::size_t merged{};
  std::size_t batch_rows{};
  std::size_t value_bytes{};
};

struct Received {
  std::string row_key;
  std::string body;
  Dot dot;
};

std::string key_of(std::size_t number) {
  char key[32];
  std::snprintf(key, sizeof key, "key:%012zu", number);
  return key;
}

std::string random_value(std::mt19937_64& random, std::size_t bytes) {
  std::string value;
  while (value.size() < bytes) ByteWriter(value).u64(random());
  value.resize(bytes);
  return value;
}

// What a peer would send that has overwritten these rows, in the order of its writes.
std::vector<Received> overwritten(Store& store, const Plan& plan) {
  std::mt19937_64 random(std::random_device{}());
  const ActorId writer{random() | 2};  // None that has written here before.
  std::vector<std::uint32_t> order(plan.rows);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), random);
  order.resize(std::min(plan.rows, plan.merged));
  std::vector<Received> received;
  for (const std::uint32_t number : order) {
    auto row = store.read(key_of(number));
    check(row.has_value() && !row->row.empty(), "the store was filled");
    const Dot dot{writer, received.size() + 1};
    row->row.write({dot, row->row.greatest_stamp().next(), Expiry{}, Content::value,
                    random_value(random, plan.value_bytes)});
    received.push_back({row->row_key, encode_body(row->name, row->row), dot});
  }
  store.end_reads();
  return received;
}

// Store, journal and committer, driven as the daemon drives them.
class Receiver {
 public:
  Receiver(Store& store, LmdbStore& disk, FileJournal& journal)
      : store_(store), disk_(disk), journal_(journal) {}

  void merge(std::span<const Received> batch) {
    for (const Received& row : batch)
      check(store_.merge_streamed(row.row_key, row.body, row.dot, now).value_or(false), "each row is news");
    end_turn();
  }
  bool durable() const { return store_.synced() >= store_.applied(); }
  bool at_rest() const { return !store_.committing() && !store_.has_uncommitted(); }
  void end_turn() {
    store_.end_reads();
    journal_.flush();
    if (const auto result = disk_.take_commit_result()) {
      check(store_.on_committed(*result) == Store::CommitOutcome::committed, "the disk has room");
      pace_.on_ended(time());
    }
    if (!store_.committing() && pace_.wait(time(), store_.pending_bytes()) == Millis{0} &&
        store_.start_commit())
      pace_.on_started(time());
  }

 private:
  static Millis time() {
    return std::chrono::duration_cast<Millis>(std::chrono::steady_clock::now().time_since_epoch());
  }

  Store& store_;
  LmdbStore& disk_;
  FileJournal& journal_;
  CommitPace pace_{std::size_t{256} << 20};
};

void measure(Receiver& receiver, const std::vector<Received>& rows, std::size_t batch_rows) {
  const bench::Stopwatch watch;
  for (std::size_t first = 0; first < rows.size(); first += batch_rows)
    receiver.merge(std::span(rows).subspan(first, std::min(batch_rows, rows.size() - first)));
  while (!receiver.durable()) {
    std::this_thread::sleep_for(std::chrono::microseconds(200));
    receiver.end_turn();
  }
  std::printf("durable %.6f\n", watch.seconds());
  while (!receiver.at_rest()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    receiver.end_turn();
  }
  std::printf("committed %.6f\n", watch.seconds());
}

int run(const Plan& plan) {
  const auto cluster = read_cluster_key(plan.key_file);
  check(cluster.has_value(), "the cluster key can be read");
  LmdbOptions lmdb;
  lmdb.directory = plan.directory;
  const auto disk = LmdbStore::open(lmdb, [] {});
  check(disk.has_value(), "the directory can be opened");
  FileJournalOptions files;
  files.directory = plan.directory + "/journal";
  const auto journal = FileJournal::open(files, [] {});
  check(journal.has_value(), "the journal can be opened");
  StoreOptions options;
  options.cluster = *cluster;
  options.fresh = {NodeId{1}, ActorId{1}};
  const auto store = Store::open(**disk, **journal, std::move(options));
  check(store.has_value(), "the store can be opened");
  (*store)->refresh_space();
  while (!(*store)->tree().complete())
    check((*store)->work(100'000, {}).has_value(), "the tree can be built");
  const auto rows = overwritten(**store, plan);
  Receiver receiver(**store, **disk, **journal);
  measure(receiver, rows, plan.batch_rows);
  return 0;
}

}  // namespace

int main(int count, char** words) {
  if (count != 7) {
    std::fprintf(stderr, "usage: merge_rows DIRECTORY CLUSTER_KEY_FILE ROWS MERGED BATCH_ROWS VALUE_BYTES\n");
    return 2;
  }
  const auto number = [&](int index) { return std::strtoull(words[index], nullptr, 10); };
  return run({words[1], words[2], number(3), number(4), std::max<std::size_t>(number(5), 1), number(6)});
}
