// LMDB's objects as scope guards, and its byte ranges as views.
#pragma once

#include <lmdb.h>

#include <memory>
#include <string_view>

namespace knit {

struct CloseEnv {
  void operator()(MDB_env* env) const { mdb_env_close(env); }
};
struct AbortTxn {
  void operator()(MDB_txn* txn) const { mdb_txn_abort(txn); }
};
struct CloseCursor {
  void operator()(MDB_cursor* cursor) const { mdb_cursor_close(cursor); }
};

using EnvHandle = std::unique_ptr<MDB_env, CloseEnv>;           // Outlives its transactions.
using TxnHandle = std::unique_ptr<MDB_txn, AbortTxn>;           // release() it into mdb_txn_commit().
using CursorHandle = std::unique_ptr<MDB_cursor, CloseCursor>;  // Closed before its transaction ends.

// LMDB takes keys of 1 to 511 bytes, and answers differently to others from call to call.
constexpr std::size_t lmdb_key_bytes_max = 511;
inline bool fits_lmdb(std::string_view key) { return !key.empty() && key.size() <= lmdb_key_bytes_max; }

// LMDB never writes through the pointer of what it is given.
inline MDB_val to_val(std::string_view bytes) { return {bytes.size(), const_cast<char*>(bytes.data())}; }
inline std::string_view to_view(MDB_val val) { return {static_cast<const char*>(val.mv_data), val.mv_size}; }

}  // namespace knit
