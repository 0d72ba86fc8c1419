// What a client sees: keys and values. Redis's semantics over rows; no protocol.
//
// One thread. Every answer may leave the node only when store.synced() has reached seen(): the
// position of what the last call wrote or saw.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "crdt/register_row.h"
#include "store/store.h"

namespace knit {

struct SetOptions {
  enum class Condition : std::uint8_t { always, if_absent, if_present };
  Condition condition = Condition::always;
  Expiry expiry{};           // Never, if not said otherwise. One that has passed deletes the key.
  bool keep_expiry = false;  // Of the value that is replaced.
  bool want_old = false;
};

class Keyspace {
 public:
  // What of concurrent writes a client sees: a view of the same rows. By default the last one wins. Keys with
  // one of these prefixes must be resolved: while several writes stand beside each other, one of them a
  // value, reads of the value and all writes but resolve() are refused: conflict.
  explicit Keyspace(Store& store, std::vector<std::string> resolved_prefixes = {})
      : store_(store), resolved_prefixes_(std::move(resolved_prefixes)) {}

  struct Found {
    std::string_view value;
    Expiry expiry;
  };
  // The value lives until the next call here or of the store, or the end of the turn. Empty if the key does
  // not exist. Keys longer than key_bytes_max never exist, and cannot be written: bad_input. So are values
  // longer than value_bytes_max. Errors else as Store's.
  Result<std::optional<Found>> get(std::string_view key, WallTime now);
  // Commands are to look at these keys next. Only makes that quicker.
  void expect(std::span<const std::string_view> keys) const { store_.expect(keys); }
  // As get(), for its expiry alone, and never refused.
  Result<std::optional<Expiry>> find(std::string_view key, WallTime now);

  struct SetOutcome {
    bool written = false;
    std::optional<std::string> old;  // With want_old.
  };
  Result<SetOutcome> set(std::string_view key, std::string value, const SetOptions& options, WallTime now);
  Result<bool> remove(std::string_view key, WallTime now);  // Whether the key existed.
  // Whether the key existed. An expiry that has passed deletes the key; "never" persists it.
  Result<bool> set_expiry(std::string_view key, Expiry expiry, WallTime now);
  Result<void> clear(WallTime now);

  // INCRBY: adds to a number, 0 if there is none, and answers the sum. Concurrent increments on several nodes
  // all count. bad_input, worded as Redis words it: the value is no integer, or the sum does not fit.
  Result<std::int64_t> add(std::string_view key, std::int64_t amount, WallTime now);
  // INCRBYFLOAT: exact to 17 decimals as long as the numbers fit into 128 bits; beyond that it is a plain
  // write of the sum.
  Result<std::string> add_decimal(std::string_view key, std::string_view amount, WallTime now);

  // Keys in hash order, from `cursor` (0 at first). Looks at about `count` rows, at most; the same
  // key is never shown twice in one walk, and a key that exists all the while is shown.
  struct Page {
    std::uint64_t next{};  // 0: the walk is over.
    std::vector<std::string> keys;
  };
  Result<Page> scan(std::uint64_t cursor, std::size_t count, WallTime now);

  std::uint64_t size(WallTime now);

  // All siblings of a key, the winner first; empty if the row does not exist.
  Result<std::vector<Sibling>> siblings(std::string_view key);
  // Writes a value in place of the siblings with these dots; others, that came since, stay beside it. Errors
  // as Store::resolve(), and bad_input for a key or value that is too long.
  Result<void> resolve(std::string_view key, std::span<const Dot> superseded, std::string value,
                       WallTime now);

  JournalPosition seen() const { return seen_; }

 private:
  Result<OpenRow> open(std::string_view key);
  Result<OpenRow> open_to_replace(std::string_view key, Store::Values values);
  Result<OpenRow> resolved(Result<OpenRow> row, std::string_view key, WallTime now) const;
  enum class Unresolved : std::uint8_t { refused, shown };
  Result<std::optional<Found>> look(std::string_view key, WallTime now, Unresolved unresolved);
  Result<std::optional<Found>> look_at_siblings(std::string_view key, WallTime now, Unresolved unresolved);
  Result<void> check_resolved(std::string_view key, const RegisterRow& row, WallTime now) const;
  Result<void> add_to(OpenRow& row, const Decimal& amount, const Decimal& sum, Expiry expiry, WallTime now);

  Store& store_;
  std::vector<std::string> resolved_prefixes_;
  JournalPosition seen_;
  RegisterRow shown_;  // These two hold what get() showed, if that was not a view of the store's.
  std::string shown_total_;
};

}  // namespace knit
