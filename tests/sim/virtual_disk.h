// A disk and a journal that lose what was not synced, fill up, and are otherwise correct.
#pragma once

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <optional>
#include <string>

#include "store/ports.h"

namespace knit::sim {

class VirtualDisk final : public OrderedStore {
 public:
  Result<std::optional<std::string_view>> get(Table table, std::string_view key) override;
  Result<void> scan(Table table, std::string_view from,
                    FunctionRef<bool(std::string_view key, std::string_view value)> visit) override;
  void end_reads() override {}
  void start_commit(const Batch& batch) override { writing_ = &batch; }
  std::uint64_t bytes_on_disk() const override { return 0; }
  std::uint64_t bytes_used() const override { return used; }
  std::uint64_t bytes_free() const override { return full ? 0 : bytes_left; }

  bool writing() const { return writing_ != nullptr; }
  // Ends the commit: durable, or refused when the disk is full.
  Result<void> finish_commit();
  // The host died. What was being written is there whole or not at all.
  void crash(bool written);

  // Flips one byte of a stored row, or loses it: behind the store's back, between two boots.
  void damage_row(std::uint64_t random);
  void lose_row(std::uint64_t random);
  // Twice the same does not undo it.
  static void damage(std::string& record, std::uint64_t random) {
    char& byte = record[random % record.size()];
    byte = static_cast<char>(byte + 0x25);
  }
  // All there is of a table, to be damaged.
  using Entries = std::map<std::string, std::string, std::less<>>;
  Entries& of(Table table) { return tables_[static_cast<std::size_t>(table)]; }
  const Entries& of(Table table) const { return tables_[static_cast<std::size_t>(table)]; }

  JournalPosition durable() const { return durable_; }

  bool full = false;
  bool scans_fail = false;
  std::uint64_t bytes_left = ~std::uint64_t{0};
  std::uint64_t used = 0;

 private:
  void apply();

  std::array<Entries, tables> tables_;
  const Batch* writing_ = nullptr;
  JournalPosition durable_;
};

// A journal that loses what was not synced, may be left torn by a crash, and rots.
class VirtualJournal final : public Journal {
 public:
  Result<Tail> replay(NodeId owner, JournalPosition after,
                      FunctionRef<Result<void>(const JournalRecord&)> visit) override;
  void append(const JournalRecord& record) override;
  JournalPosition synced() const override { return std::max(synced_, committed_); }
  void on_committed(JournalPosition position) override;
  void discard_unsynced() override;
  std::size_t bytes_waiting() const override { return 0; }

  bool waiting() const { return !entries_.empty() && entries_.back().position > synced(); }
  // Syncs what has been appended up to `position`. disk_full: discard_unsynced() is to be called.
  Result<void> sync(JournalPosition position = {~std::uint64_t{0}});
  // The host died. `kept` of the records that were not synced are there all the same; `torn`: something of
  // the next one too. Answers up to where all are there.
  JournalPosition crash(bool torn, std::size_t kept = 0);
  // A record of a host that is down becomes unreadable; answers which.
  std::optional<JournalPosition> damage(std::uint64_t random);

  bool full = false;

 private:
  struct Entry {
    JournalPosition position;
    std::string frame;  // Sealed, with an end behind it.
  };
  std::deque<Entry> entries_;
  JournalPosition synced_;
  JournalPosition committed_;
  bool torn_ = false;
};

}  // namespace knit::sim
