// The two things a store stands on, so that tests and the simulator can put others in their place:
// an ordered store (LMDB) and a journal.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/function_ref.h"
#include "base/result.h"
#include "base/types.h"
#include "crdt/dot.h"
#include "store/changes.h"

namespace knit {

enum class Table : std::uint8_t { rows, log, meta };
constexpr std::size_t tables = 3;

// Changes that become durable together.
struct Batch {
  // Entries of the log that are forgotten: all keys from `first`, below `end`. They are erased after the
  // changes were made.
  struct LogTrim {
    std::string first;
    std::string end;
  };

  // Rows, log, meta.
  std::array<Changes, tables> changes{Changes(Changes::Layout::spread), Changes(Changes::Layout::dense),
                                      Changes(Changes::Layout::dense)};
  std::vector<LogTrim> log_trims;
  JournalPosition position;  // Everything up to here is in this batch or in an earlier one.

  Changes& of(Table table) { return changes[static_cast<std::size_t>(table)]; }
  const Changes& of(Table table) const { return changes[static_cast<std::size_t>(table)]; }
  bool empty() const;
  std::size_t bytes() const;  // Of memory, about: what back-pressure counts.
};

// An ordered map from bytes to bytes for each table, whose writes are batches. All calls come from
// one thread; only the writing of a batch may go on elsewhere.
class OrderedStore {
 public:
  virtual ~OrderedStore() = default;

  // Reads see the batches that were finished when reading began, and go on seeing those until
  // end_reads(). Views stay valid until then too.
  virtual Result<std::optional<std::string_view>> get(Table table, std::string_view key) = 0;
  // Visits entries with key >= from, ascending, until `visit` answers false. `visit` may call get().
  virtual Result<void> scan(Table table, std::string_view from,
                            FunctionRef<bool(std::string_view key, std::string_view value)> visit) = 0;
  // Rows whose keys begin with these 8 bytes, as big-endian numbers, are to be got next. Changes nothing but
  // how long that takes.
  virtual void expect(std::span<const std::uint64_t>) {}
  // Lets go of the snapshot that reads see. To be called often: a snapshot keeps old pages alive.
  virtual void end_reads() = 0;

  // Begins to write `batch` durably, all or nothing. Returns at once; the owner is told the result
  // by whatever loop drives it, and hands it on. `batch` must stay as it is until then.
  // Requires: no other batch is being written. Errors reported: disk_full, io.
  virtual void start_commit(const Batch& batch) = 0;

  virtual std::uint64_t bytes_on_disk() const = 0;
  virtual std::uint64_t bytes_used() const = 0;  // Of those, what is not free for new data.
  virtual std::uint64_t bytes_free() const = 0;  // What may still be written before disk_full.
};

// What a clock that is kept with a change means.
enum class ClockChange : std::uint8_t {
  joined = 0,    // By an exchange: the log does not hold what is new.
  replaced = 1,  // All of the clock: what it covered besides was disowned.
  streamed = 2,  // The log holds what superseded it.
};

// One applied change, as a journal keeps it: enough to apply it again to the ordered store.
struct JournalRecord {
  JournalPosition position{};
  std::uint64_t stamp{};        // The hybrid clock after it.
  std::string_view row_key{};   // Empty if no row was changed.
  std::string_view row{};       // The row as it is stored; empty if it is no more.
  bool row_unchanged = false;   // `row` is left out: it is as it was.
  bool logged = false;          // Each of `dots` has an entry in the log, of row_key.
  std::span<const Dot> dots{};  // What the clock gained,
  std::string_view clock{};     // and what became of it besides, encoded; empty: nothing.
  ClockChange clock_change{};
  std::string_view meta_name{};  // An entry of the meta table that was put; empty: none.
  std::string_view meta_value{};
};

// Makes applied changes durable ahead of the ordered store. All calls come from one thread.
class Journal {
 public:
  virtual ~Journal() = default;

  enum class Tail : std::uint8_t {
    whole,      // Nothing is missing, or nothing that anybody could have seen.
    uncertain,  // A record is torn, damaged or missing, or more was answered than was synced.
  };
  // Visits all records above `after` that can be read, ascending. Used at the start, and after
  // discard_unsynced(). Errors: io, refused (the journal is another node's), wrong_format.
  virtual Result<Tail> replay(NodeId owner, JournalPosition after,
                              FunctionRef<Result<void>(const JournalRecord&)> visit) = 0;

  // Requires: replay() was called; positions ascend by one.
  virtual void append(const JournalRecord& record) = 0;
  // Everything up to here survives a power cut.
  virtual JournalPosition synced() const = 0;
  // Clients may be answered up to here: as synced(), or more if the journal was told that they do not wait.
  virtual JournalPosition answerable() const { return synced(); }
  // Records up to `position` may be dropped: the ordered store holds them.
  virtual void on_committed(JournalPosition position) = 0;
  // Forgets what was appended and is not synced. Requires: a failure was reported by whoever drives it.
  virtual void discard_unsynced() = 0;
  virtual std::size_t bytes_waiting() const = 0;  // Appended and not synced yet.
  virtual std::uint64_t bytes_on_disk() const { return 0; }
  virtual std::uint64_t syncs() const { return 0; }  // Since the start.
};

}  // namespace knit
