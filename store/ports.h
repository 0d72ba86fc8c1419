// The two things a store stands on, so that tests and the simulator can put others in their place:
// an ordered store (LMDB) and a journal.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/function_ref.h"
#include "base/result.h"
#include "base/types.h"

namespace knit {

enum class Table : std::uint8_t { rows, log, meta };
constexpr std::size_t tables = 3;

// Puts and deletes (an empty optional), in key order, that become durable together.
struct Batch {
  using Changes = std::map<std::string, std::optional<std::string>, std::less<>>;

  std::array<Changes, tables> changes;
  std::size_t bytes = 0;     // Of keys and values, about: what back-pressure counts.
  JournalPosition position;  // Everything up to here is in this batch or in an earlier one.

  Changes& of(Table table) { return changes[static_cast<std::size_t>(table)]; }
  const Changes& of(Table table) const { return changes[static_cast<std::size_t>(table)]; }
  bool empty() const;
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
  virtual std::uint64_t bytes_free() const = 0;  // What may still be written before disk_full.
};

// One applied change, as a journal keeps it.
struct JournalRecord {
  JournalPosition position;
  std::string_view row_key;  // Empty if no row was changed (a clock was joined).
  std::string_view row;      // The row as it is stored.
  std::string_view clock;    // The increment of the clock, encoded.
  std::uint64_t stamp{};     // The hybrid clock.
};

// Makes applied changes durable ahead of the ordered store.
class Journal {
 public:
  virtual ~Journal() = default;
  virtual void append(const JournalRecord& record) = 0;
  // Everything up to here survives a power cut.
  virtual JournalPosition synced() const = 0;
  // The ordered store holds everything up to `position`: records up to there may be dropped.
  virtual void on_committed(JournalPosition position) = 0;
};

// No journal at all: a change is durable when the ordered store has committed it.
class CommitJournal final : public Journal {
 public:
  void append(const JournalRecord&) override {}
  JournalPosition synced() const override { return synced_; }
  void on_committed(JournalPosition position) override { synced_ = position; }

 private:
  JournalPosition synced_;
};

}  // namespace knit
