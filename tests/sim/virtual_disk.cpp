#include "virtual_disk.h"

#include "store/journal_frame.h"

namespace knit::sim {

Result<std::optional<std::string_view>> VirtualDisk::get(Table table, std::string_view key) {
  const auto found = of(table).find(key);
  if (found == of(table).end()) return std::nullopt;
  return std::string_view(found->second);
}

Result<void> VirtualDisk::scan(Table table, std::string_view from,
                               FunctionRef<bool(std::string_view key, std::string_view value)> visit) {
  if (scans_fail) return fail(ErrorCode::io, "the virtual disk cannot be read");
  for (auto entry = of(table).lower_bound(from); entry != of(table).end(); ++entry) {
    if (!visit(entry->first, entry->second)) break;
  }
  return {};
}

void VirtualDisk::apply() {
  for (std::size_t table = 0; table < tables; ++table) {
    for (const auto [key, value] : writing_->changes[table]) {
      if (value) {
        tables_[table][std::string(key)] = *value;
      } else {
        tables_[table].erase(std::string(key));
      }
    }
  }
  for (const auto& trim : writing_->log_trims) {
    Entries& log = of(Table::log);
    log.erase(log.lower_bound(trim.first), log.lower_bound(trim.end));
  }
  durable_ = writing_->position;
}

Result<void> VirtualDisk::finish_commit() {
  if (full) {
    writing_ = nullptr;
    return fail(ErrorCode::disk_full, "the virtual disk is full");
  }
  apply();
  writing_ = nullptr;
  return {};
}

void VirtualDisk::crash(bool written) {
  if (written && writing_ != nullptr && !full) apply();
  writing_ = nullptr;
}

void VirtualDisk::damage_row(std::uint64_t random) {
  Entries& rows = of(Table::rows);
  if (rows.empty()) return;
  damage(std::next(rows.begin(), static_cast<std::ptrdiff_t>(random % rows.size()))->second, random / 7);
}

void VirtualDisk::lose_row(std::uint64_t random) {
  Entries& rows = of(Table::rows);
  if (!rows.empty()) rows.erase(std::next(rows.begin(), static_cast<std::ptrdiff_t>(random % rows.size())));
}

constexpr std::uint64_t seal = 0x5ea1;

void VirtualJournal::append(const JournalRecord& record) {
  Entry& entry = entries_.emplace_back();
  entry.position = record.position;
  append_frame(entry.frame, record);
  seal_frame(entry.frame.data(), entry.frame.size(), seal);
  const std::size_t size = entry.frame.size();
  append_end_frame(entry.frame);
  seal_frame(entry.frame.data() + size, entry.frame.size() - size, seal);
}

Result<void> VirtualJournal::sync(JournalPosition position) {
  if (full && waiting()) return fail(ErrorCode::disk_full, "the virtual disk is full");
  if (!entries_.empty()) synced_ = std::max(synced_, std::min(position, entries_.back().position));
  return {};
}

void VirtualJournal::on_committed(JournalPosition position) {
  committed_ = std::max(committed_, position);
  while (!entries_.empty() && entries_.front().position <= committed_) entries_.pop_front();
}

void VirtualJournal::discard_unsynced() {
  while (!entries_.empty() && entries_.back().position > synced_) entries_.pop_back();
}

JournalPosition VirtualJournal::crash(bool torn, std::size_t kept) {
  for (; kept > 0 && waiting(); --kept) {
    const auto unsynced = [this](const Entry& entry) { return entry.position > synced(); };
    synced_ = std::find_if(entries_.begin(), entries_.end(), unsynced)->position;
  }
  torn_ = torn_ || (torn && waiting());
  discard_unsynced();
  committed_ = {};
  return synced_;
}

std::optional<JournalPosition> VirtualJournal::damage(std::uint64_t random) {
  if (entries_.empty()) return std::nullopt;
  Entry& entry = entries_[random % entries_.size()];
  // Of the record; the end frame behind it is another one.
  const std::size_t size = entry.frame.size() - 2 * journal_frame_header_bytes;
  entry.frame[random / 7 % size + journal_frame_header_bytes] ^= 0x40;
  return entry.position;
}

Result<Journal::Tail> VirtualJournal::replay(NodeId, JournalPosition after,
                                             FunctionRef<Result<void>(const JournalRecord&)> visit) {
  Tail tail = std::exchange(torn_, false) ? Tail::uncertain : Tail::whole;
  std::uint64_t expected = after.value + 1;
  DecodedRecord decoded;
  for (const Entry& entry : entries_) {
    if (entry.position <= after) continue;
    JournalFrames frames(entry.frame, seal);
    const auto payload = frames.next();
    if (!payload || !decode_payload(*payload, decoded)) continue;
    if (decoded.record.position.value != expected) tail = Tail::uncertain;
    expected = decoded.record.position.value + 1;
    if (auto visited = visit(decoded.record); !visited) return tl::unexpected(visited.error());
  }
  if (!entries_.empty() && entries_.back().position.value >= expected) tail = Tail::uncertain;
  synced_ = std::max(synced_, JournalPosition{expected - 1});
  std::erase_if(entries_, [&](const Entry& entry) { return entry.position.value >= expected; });
  return tail;
}

}  // namespace knit::sim
