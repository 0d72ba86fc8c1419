#include "store/lmdb/ordered_walk.h"

#include <cstdint>

namespace knit {

int OrderedWalk::open() {
  MDB_cursor* raw = nullptr;
  const int code = mdb_cursor_open(txn_, table_, &raw);
  cursor_.reset(raw);
  return code;
}

// LMDB seeks no key above its limit, so such a key is cut: an entry equal to the cut one is shorter than
// `from`, and thus before it.
int OrderedWalk::seek_in_table(std::string_view from) {
  if (from.empty()) return mdb_cursor_get(cursor_.get(), &key_, &value_, MDB_FIRST);
  const std::string_view cut = from.substr(0, lmdb_key_bytes_max);
  key_ = to_val(cut);
  const int code = mdb_cursor_get(cursor_.get(), &key_, &value_, MDB_SET_RANGE);
  if (code != 0 || cut.size() == from.size() || key() != cut) return code;
  return mdb_cursor_get(cursor_.get(), &key_, &value_, MDB_NEXT);
}

int OrderedWalk::seek(std::string_view from) {
  int code = seek_in_table(from);
  if (code == MDB_NOTFOUND) return check_before(from);
  if (code != 0) return code;
  if (key() < from) return MDB_CORRUPTED;
  if (from.empty()) return check_found(key_, value_);
  code = check_before(from);
  if (code != MDB_NOTFOUND) return code;
  code = mdb_cursor_get(cursor_.get(), &key_, &value_, MDB_SET_KEY);
  return code == MDB_NOTFOUND ? MDB_CORRUPTED : code;
}

// What lies before a place that a search answered must be below what was searched, and above what lies before
// it: a key that is too low has led the search to the place behind it. MDB_NOTFOUND: so it is.
int OrderedWalk::check_before(std::string_view from) {
  MDB_val above = to_val(from);
  for (int steps = 0; steps < 2; ++steps) {
    MDB_val key{};
    MDB_val value{};
    if (const int code = mdb_cursor_get(cursor_.get(), &key, &value, MDB_PREV); code != 0) return code;
    if (to_view(key) >= to_view(above)) return MDB_CORRUPTED;
    above = key;
  }
  return MDB_NOTFOUND;
}

int OrderedWalk::next() {
  const MDB_val last_key = key_;
  const MDB_val last_value = value_;
  const int code = mdb_cursor_get(cursor_.get(), &key_, &value_, MDB_NEXT);
  if (code == MDB_NOTFOUND) {
    const int found = check_found(last_key, last_value);
    return found == 0 ? MDB_NOTFOUND : found;
  }
  if (code != 0) return code;
  if (to_view(last_key) >= key()) return MDB_CORRUPTED;
  if (same_page(last_key, key_)) return 0;
  const int found = check_found(last_key, last_value);
  return found == 0 ? check_found(key_, value_) : found;
}

int OrderedWalk::check_found(MDB_val key, MDB_val value) {
  MDB_val found{};
  const int code = mdb_get(txn_, table_, &key, &found);
  if (code != 0) return code == MDB_NOTFOUND ? MDB_CORRUPTED : code;
  return found.mv_data == value.mv_data && found.mv_size == value.mv_size ? 0 : MDB_CORRUPTED;
}

bool OrderedWalk::same_page(MDB_val a, MDB_val b) const {
  return reinterpret_cast<std::uintptr_t>(a.mv_data) / page_bytes_ ==
         reinterpret_cast<std::uintptr_t>(b.mv_data) / page_bytes_;
}

}  // namespace knit
