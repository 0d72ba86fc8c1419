// What must be true in the end: every write that became durable is shown, or was superseded by one
// that did. Knows each write a client made, and what it superseded.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "crdt/dot.h"
#include "crdt/stamp.h"
#include "crdt/version_vector.h"
#include "store/store.h"

namespace knit::sim {

struct Write {
  std::size_t host{};
  JournalPosition position;
  Dot dot;
  Stamp stamp;
  std::string key;
  std::vector<Dot> superseded;
  bool shows = true;  // As a sibling; an increment does not, but its dot is in the row too.
  Clock cleared;      // Of a FLUSHALL: what it covers. `key` is empty then.
  bool is_clear = false;
};

// An increment of a key that is never written otherwise.
struct Addition {
  std::size_t host{};
  JournalPosition position;
  std::string key;
  std::int64_t amount{};
};

class Model {
 public:
  void add(Addition addition) { additions_.push_back(std::move(addition)); }
  void add(Write write) { writes_.push_back(std::move(write)); }
  // Host lost what it had not made durable: dots above may name other writes from now on.
  void forget_unsynced(std::size_t host, JournalPosition durable);

  // Empty if the rows of `store` are just what the writes demand, which all nodes have seen by now.
  std::optional<std::string> difference(Store& store) const;
  // Empty if each key that was only ever incremented shows the sum of all increments that lasted.
  std::optional<std::string> miscount(Store& store, WallTime now) const;
  // Invariant 2: what the clock covers is in the rows.
  std::optional<std::string> uncovered(Store& store) const;

  std::size_t writes() const { return writes_.size() + additions_.size(); }

 private:
  bool cleared(Dot dot) const;
  std::set<std::string> keys() const;

  std::vector<Write> writes_;
  std::vector<Addition> additions_;
};

}  // namespace knit::sim
