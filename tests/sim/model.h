// What must be true in the end: every write that became durable is shown, or was superseded by one
// that did. Knows each write a client made, what it superseded, and what clients were told.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "crdt/dot.h"
#include "crdt/line.h"
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
  Expiry expiry;      // As it was written.
  Clock cleared;      // Of a FLUSHALL: what it covers. `key` is empty then.
  bool is_clear = false;
  bool deletes = false;
  bool doubtful = false;  // Its record rotted: peers may have it, or nobody.
  bool scarred = false;  // Its host's row was damaged: whatever that host does to the key next supersedes it.
};

// The expiry of a sibling was put off.
struct Raise {
  std::size_t host{};
  JournalPosition position;
  std::string key;
  Dot dot;  // Of the sibling.
  Expiry expiry;
  bool doubtful = false;
};

// An increment of a key that is never written otherwise.
struct Addition {
  std::size_t host{};
  JournalPosition position;
  Dot dot;
  std::string key;
  std::int64_t amount{};
  bool doubtful = false;
};

class Model {
 public:
  void add(Addition addition);
  void add(Write write);
  void add(Raise raise);
  // A client has seen what these dots wrote, on the host that issued them or on another.
  void tell(const std::vector<Dot>& dots) { told_.insert(dots.begin(), dots.end()); }
  // Host lost what it had not made durable: dots above may name other writes from now on.
  void forget_unsynced(std::size_t host, JournalPosition durable);
  // All that the host wrote is known to others: whatever becomes of its journal, that stays.
  void keep_all_of(std::size_t host);
  // The host's record of this position rotted.
  void doubt(std::size_t host, JournalPosition position);

  // The host's row of this key was damaged.
  void scar(std::size_t host, const std::string& key);

  // This node drops what the host does not show, and may drop it before it has what superseded it; until all
  // are equal, or for good if the host is lost meanwhile.
  void rejoins(NodeId node, std::size_t through) {
    rejoining_.insert(node);
    fenced_through_.insert(through);
  }
  void copied(NodeId from, NodeId to);
  void all_are_equal() {
    rejoining_.clear();
    fenced_through_.clear();
  }

  // All have come to this: a delete in it, or a value that had expired, may be gone without a trace.
  void note_floor(const Line& floor) { floor_.join(floor); }

  // What was written to a key, of what the clock covers without a gap.
  std::vector<Dot> written(const std::string& key, const Clock& clock) const;

  // Those of the dots whose effect is neither in the row of `store` nor superseded there.
  std::vector<Dot> missing(const std::string& key, const std::vector<Dot>& dots, Store& store) const;

  // This host is gone, for now or for good, and with it the writes that nobody else has.
  void miss(std::size_t host) {
    missed_.insert(host);
    if (fenced_through_.contains(host)) lost_fences_.insert(host);
  }
  void find(std::size_t host) {
    missed_.erase(host);
    lost_fences_.erase(host);
  }

  // Others go on without this host: what it puts off, or has put off so far, may have expired for them.
  void leave_out(std::size_t host);
  bool is_left_out(std::size_t host) const { return left_out_.contains(host); }
  void take_in_all() { left_out_.clear(); }

  // This node has given up what its clock lacked, and none of `others` had. A host that is left out may have
  // written it, and still hold it: it does not come back with that host.
  void give_up(Store& store, const std::vector<Store*>& others);

  // What clients saw that can never be: a dot that names two writes, a write that was shown and then lost.
  const std::optional<std::string>& contradiction() const { return contradiction_; }
  // Empty if the rows of `store` are just what the writes demand, which all nodes have seen by now.
  std::optional<std::string> difference(Store& store) const;
  // Empty if each key that was only ever incremented shows the sum of all increments that lasted.
  std::optional<std::string> miscount(Store& store, WallTime now) const;
  // Invariant 2: what the clock covers is in the rows. Not asked of keys in `scarred`: their rows were
  // damaged behind the store's back. Nor of what rotted in a journal, or was written by a host that is left
  // out, if none of `others` has it.
  std::optional<std::string> uncovered(Store& store, const std::set<std::string>& scarred,
                                       const std::vector<Store*>& others) const;

  // All that is known of a key, for whoever looks for the cause of a violation.
  void trace_key(const std::string& key) const;
  std::size_t writes() const;

 private:
  using Shown = std::map<Dot, Stamp>;

  bool is_missed(const auto& change) const { return missed_.contains(change.host); }
  bool is_doubtful(const auto& change) const { return change.doubtful || is_missed(change); }
  void note_dot(Dot dot);
  void forget_dot(Dot dot);
  Expiry expiry_of(const Write& write) const;
  std::vector<std::string> possible_sums(const std::vector<const Addition*>& additions) const;
  bool is_purged(const Write& write) const;
  bool cleared(Dot dot, const Store& store) const;
  bool is_anywhere(const Write& write, const std::vector<Store*>& stores) const;
  bool is_in(const Write& write, const RegisterRow& row, const Store& store) const;
  bool is_in(const Write& write, const RegisterRow& row, const Store& store, std::set<Dot>& absent) const;
  const std::vector<Write>& writes_of(const std::string& key) const;
  void for_all_changes(auto change) {
    for (auto& [key, writes] : writes_) std::for_each(writes.begin(), writes.end(), change);
    std::for_each(clears_.begin(), clears_.end(), change);
    std::for_each(additions_.begin(), additions_.end(), change);
    std::for_each(raises_.begin(), raises_.end(), change);
  }
  Shown expected(const std::string& key, const RegisterRow& row, const Store& store) const;

  // In the order in which they were made.
  std::map<std::string, std::vector<Write>> writes_;  // By key.
  std::vector<Write> clears_;
  std::vector<Addition> additions_;
  std::vector<Raise> raises_;
  std::set<Dot> dots_;  // Of them all.
  std::set<Dot> told_;
  Line floor_;
  std::set<NodeId> rejoining_;
  std::set<std::size_t> fenced_through_;
  std::set<std::size_t> lost_fences_;  // Through hosts that were lost before all were equal.
  std::set<std::size_t> missed_;
  std::set<std::size_t> left_out_;
  std::optional<std::string> contradiction_;
};

}  // namespace knit::sim
