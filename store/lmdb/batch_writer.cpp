#include "store/lmdb/batch_writer.h"

namespace knit {

namespace {

int erase(MDB_cursor* cursor, MDB_val key) {
  MDB_val value{};
  const int found = mdb_cursor_get(cursor, &key, &value, MDB_SET);
  if (found == MDB_NOTFOUND) return 0;
  return found != 0 ? found : mdb_cursor_del(cursor, 0);
}

int put(MDB_cursor* cursor, MDB_val key, std::string_view bytes) {
  MDB_val value = to_val(bytes);
  return mdb_cursor_put(cursor, &key, &value, 0);
}

// One cursor for all: in sorted order it mostly stays on its page, which saves the descent.
Result<void> write_changes(const Environment& environment, MDB_txn* txn, MDB_dbi table,
                           const Changes& changes) {
  MDB_cursor* raw = nullptr;
  if (const int code = mdb_cursor_open(txn, table, &raw); code != 0) {
    return tl::unexpected(environment.error(code, "mdb_cursor_open"));
  }
  const CursorHandle cursor(raw);
  for (const auto [key, value] : changes) {
    if (!fits_lmdb(key)) return fail(ErrorCode::bad_input, "a stored key has 1 to 511 bytes");
    const int code = value ? put(raw, to_val(key), *value) : erase(raw, to_val(key));
    if (code != 0) {
      return tl::unexpected(environment.error(code, value ? "mdb_cursor_put" : "mdb_cursor_del"));
    }
  }
  return {};
}

Result<void> trim_log(const Environment& environment, MDB_txn* txn, const Batch::LogTrim& trim) {
  MDB_cursor* raw = nullptr;
  if (const int code = mdb_cursor_open(txn, environment.table(Table::log), &raw); code != 0) {
    return tl::unexpected(environment.error(code, "mdb_cursor_open"));
  }
  const CursorHandle cursor(raw);
  MDB_val key = to_val(trim.first);
  MDB_val value{};
  int code = mdb_cursor_get(raw, &key, &value, MDB_SET_RANGE);
  while (code == 0 && to_view(key) < trim.end) {
    code = mdb_cursor_del(raw, 0);
    if (code == 0) code = mdb_cursor_get(raw, &key, &value, MDB_NEXT);
  }
  if (code == 0 || code == MDB_NOTFOUND) return {};
  return tl::unexpected(environment.error(code, "mdb_cursor_del"));
}

}  // namespace

Result<void> write_batch(const Environment& environment, const Batch& batch) {
  MDB_txn* raw = nullptr;
  if (const int code = mdb_txn_begin(environment.get(), nullptr, 0, &raw); code != 0) {
    return tl::unexpected(environment.error(code, "mdb_txn_begin"));
  }
  TxnHandle txn(raw);
  for (const Table table : {Table::rows, Table::log, Table::meta}) {
    auto written = write_changes(environment, raw, environment.table(table), batch.of(table));
    if (!written) return written;
  }
  for (const Batch::LogTrim& trim : batch.log_trims) {
    if (auto trimmed = trim_log(environment, raw, trim); !trimmed) return trimmed;
  }
  const int code = mdb_txn_commit(txn.release());
  if (code != 0) return tl::unexpected(environment.commit_error(code));
  return {};
}

}  // namespace knit
