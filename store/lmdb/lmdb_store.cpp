#include "store/lmdb/lmdb_store.h"

#include <algorithm>
#include <system_error>
#include <utility>

#include "base/arena.h"
#include "base/check.h"
#include "store/lmdb/batch_writer.h"
#include "store/lmdb/ordered_walk.h"

namespace knit {

namespace {

constexpr unsigned neighbours = 32;                    // Rows found along with one that is looked up.
constexpr std::size_t changes_worth_reopening = 2048;  // Each may have changed a page of its own: 8 MiB.

// Rows lie in a page in the order in which they came, so a walk in the order of keys waits for memory row by
// row. Asked for together, the lines of a page come in little more time than one of them.
class PageFetcher {
 public:
  void at(const void* row) {
    const auto page = reinterpret_cast<std::uintptr_t>(row) / page_bytes;
    if (page == page_) return;
    // A short walk does not come to a second page, and needs little of its first.
    if (page_ != 0) fetch(page);
    page_ = page;
  }

 private:
  static constexpr std::uintptr_t page_bytes = 4096;
  static constexpr std::uintptr_t line_bytes = 64;

  static void fetch(std::uintptr_t page) {
    for (std::uintptr_t offset = 0; offset < page_bytes; offset += line_bytes) {
      __builtin_prefetch(reinterpret_cast<const char*>(page * page_bytes + offset));
    }
  }

  std::uintptr_t page_ = 0;
};

// A transaction for reading that is renewed whenever one is needed.
Result<TxnHandle> make_reader(const Environment& environment) {
  MDB_txn* reader = nullptr;
  if (const int code = mdb_txn_begin(environment.get(), nullptr, MDB_RDONLY, &reader); code != 0) {
    return tl::unexpected(environment.error(code, "mdb_txn_begin"));
  }
  mdb_txn_reset(reader);
  return TxnHandle(reader);
}

}  // namespace

Result<std::unique_ptr<LmdbStore>> LmdbStore::open(const LmdbOptions& options, std::function<void()> wake) {
  auto directory = DataDirectory::open(options.directory);
  if (!directory) return tl::unexpected(directory.error());
  auto environment = Environment::open(options);
  if (!environment) return tl::unexpected(environment.error());
  auto reader = make_reader(*environment);
  if (!reader) return tl::unexpected(reader.error());
  try {
    return std::unique_ptr<LmdbStore>(new LmdbStore(options, std::move(*directory), std::move(*environment),
                                                    std::move(*reader), std::move(wake)));
  } catch (const std::system_error& error) {
    return fail(ErrorCode::io, std::string("cannot start the committer's thread: ") + error.what());
  }
}

LmdbStore::LmdbStore(LmdbOptions options, DataDirectory directory, Environment environment, TxnHandle reader,
                     std::function<void()> wake)
    : options_(std::move(options)),
      directory_(std::move(directory)),
      environment_(std::move(environment)),
      reader_(std::move(reader)),
      bytes_reusable_(environment_.count_bytes_reusable()),
      wake_(std::move(wake)),
      committer_([this](const Batch& batch) { return write(batch); }, wake_) {}

tl::unexpected<Error> LmdbStore::failure(int code, const char* call) {
  Error error = environment_.error(code, call);
  if (error.code == ErrorCode::corrupt && !damage_) damage_ = error;
  return tl::unexpected<Error>(std::move(error));
}

Result<void> LmdbStore::begin_reads() {
  if (reading_) return {};
  if (const int code = mdb_txn_renew(reader_.get()); code != 0) {
    return failure(code, "mdb_txn_renew");
  }
  reading_ = true;
  found_rows_.see(mdb_txn_id(reader_.get()));
  return {};
}

void LmdbStore::end_reads() {
  check(scans_ == 0, "a snapshot outlives the scans that see it");
  if (reading_) mdb_txn_reset(reader_.get());
  reading_ = false;
}

Result<std::optional<std::string_view>> LmdbStore::get(Table table, std::string_view key) {
  if (!fits_lmdb(key)) return std::nullopt;
  ++activity_;
  if (auto begun = begin_reads(); !begun) return tl::unexpected(begun.error());
  if (table == Table::rows) {
    if (const auto found = found_rows_.find(key)) return *found;
  }
  MDB_val value{};
  const int code = table == Table::rows ? find_row(key, value) : find(table, key, value);
  if (code == MDB_NOTFOUND) return std::nullopt;
  if (code != 0) return failure(code, "mdb_get");
  return to_view(value);
}

int LmdbStore::find(Table table, std::string_view key, MDB_val& value) {
  MDB_val wanted = to_val(key);
  return mdb_get(reader_.get(), environment_.table(table), &wanted, &value);
}

// Most of a search is waiting for the pages that the rows beside it lie in, too.
int LmdbStore::find_row(std::string_view key, MDB_val& value) {
  if (!found_rows_.wants_neighbours()) {
    const int code = find(Table::rows, key, value);
    if (code == 0) found_rows_.add(key, to_view(value));
    return code;
  }
  MDB_cursor* raw = nullptr;
  if (const int code = mdb_cursor_open(reader_.get(), environment_.table(Table::rows), &raw); code != 0) {
    return code;
  }
  const CursorHandle cursor(raw);
  MDB_val at = to_val(key);
  if (const int code = mdb_cursor_get(raw, &at, &value, MDB_SET_KEY); code != 0) return code;
  MDB_val next = value;
  for (unsigned rows = 0; rows < neighbours && found_rows_.add(to_view(at), to_view(next)); rows++) {
    if (mdb_cursor_get(raw, &at, &next, MDB_NEXT) != 0) break;
  }
  return 0;
}

void LmdbStore::expect(std::span<const std::uint64_t> row_hashes) {
  if (begin_reads()) found_rows_.expect(row_hashes);
}

Result<void> LmdbStore::scan(Table table, std::string_view from,
                             FunctionRef<bool(std::string_view key, std::string_view value)> visit) {
  if (auto begun = begin_reads(); !begun) return begun;
  OrderedWalk walk(reader_.get(), environment_.table(table), environment_.page_bytes());
  int code = walk.open();
  if (code != 0) return failure(code, "mdb_cursor_open");
  ++scans_;
  PageFetcher fetcher;
  code = walk.seek(from);
  while (code == 0) {
    fetcher.at(walk.key().data());
    const bool wanted = visit(walk.key(), walk.value());
    // Also behind the last one: a scan that goes on from there might begin behind what is wrong.
    code = walk.next();
    if (!wanted) break;
  }
  --scans_;
  if (code != 0 && code != MDB_NOTFOUND) return failure(code, "mdb_cursor_get");
  return {};
}

Result<void> LmdbStore::write(const Batch& batch) {
  auto written = write_batch(environment_, batch);
  // Of what grows meanwhile there may be as much again.
  prepare_arena_memory(batch.bytes());
  if (written) bytes_reusable_ = environment_.count_bytes_reusable();
  return written;
}

void LmdbStore::start_commit(const Batch& batch) {
  ++activity_;
  std::size_t changes = 0;
  for (const Changes& table : batch.changes) changes += table.size();
  changes_kept_ = std::max(changes_kept_, changes);
  committer_.start(batch);
}

Result<void> LmdbStore::start_backup(const std::string& path) {
  if (backup_) return fail(ErrorCode::refused, "a backup is being made already");
  auto begun = Backup::begin(environment_, path, wake_);
  if (!begun) return tl::unexpected(begun.error());
  backup_ = std::move(*begun);
  return {};
}

std::optional<Result<std::uint64_t>> LmdbStore::take_backup_result() {
  auto result = backup_ ? backup_->result() : std::nullopt;
  if (result) backup_.reset();
  return result;
}

Result<void> LmdbStore::give_back_memory() {
  end_reads();
  found_rows_.give_back_memory();
  if (changes_kept_ < changes_worth_reopening) return {};
  reader_.reset();
  environment_ = Environment();
  auto environment = Environment::open(options_);
  if (!environment) return tl::unexpected(environment.error());
  environment_ = std::move(*environment);
  auto reader = make_reader(environment_);
  if (!reader) return tl::unexpected(reader.error());
  reader_ = std::move(*reader);
  changes_kept_ = 0;
  return {};
}

std::optional<Result<void>> LmdbStore::take_commit_result() { return committer_.take_result(); }

void LmdbStore::wait_for_commit() { committer_.wait(); }

std::uint64_t LmdbStore::bytes_on_disk() const { return environment_.bytes_used(); }

std::uint64_t LmdbStore::bytes_used() const {
  return bytes_on_disk() - std::min<std::uint64_t>(bytes_reusable_, bytes_on_disk());
}

std::uint64_t LmdbStore::bytes_free() const { return environment_.bytes_growable() + bytes_reusable_; }

}  // namespace knit
