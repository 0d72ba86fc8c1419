// A walk through one table in key order, that proves the order on its way. LMDB's pages carry no checksum: a
// damaged one shows as rows that a scan meets and a lookup does not, or that a scan passes over.
#pragma once

#include <cstddef>
#include <string_view>

#include "store/lmdb/lmdb_handles.h"

namespace knit {

// Lives within one read transaction. Each step answers LMDB's code: MDB_NOTFOUND at the end, MDB_CORRUPTED if
// keys do not ascend (of a seek: also the two before), or if a lookup would not find the first or the last
// key of a page that was met. As inner pages only say where a page begins, that holds for the keys between
// them too.
class OrderedWalk {
 public:
  OrderedWalk(MDB_txn* txn, MDB_dbi table, std::size_t page_bytes)
      : txn_(txn), table_(table), page_bytes_(page_bytes) {}
  int open();  // First of all.

  int seek(std::string_view from);  // The first key >= from, which may have any length.
  int next();

  std::string_view key() const { return to_view(key_); }
  std::string_view value() const { return to_view(value_); }

 private:
  int seek_in_table(std::string_view from);
  int check_before(std::string_view from);
  int check_found(MDB_val key, MDB_val value);
  bool same_page(MDB_val a, MDB_val b) const;

  MDB_txn* txn_;
  MDB_dbi table_;
  std::size_t page_bytes_;
  CursorHandle cursor_;
  MDB_val key_{};
  MDB_val value_{};
};

}  // namespace knit
