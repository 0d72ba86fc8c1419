#include "virtual_disk.h"

namespace knit::sim {

Result<std::optional<std::string_view>> VirtualDisk::get(Table table, std::string_view key) {
  const auto found = of(table).find(key);
  if (found == of(table).end()) return std::nullopt;
  return std::string_view(found->second);
}

Result<void> VirtualDisk::scan(Table table, std::string_view from,
                               FunctionRef<bool(std::string_view key, std::string_view value)> visit) {
  for (auto entry = of(table).lower_bound(from); entry != of(table).end(); ++entry) {
    if (!visit(entry->first, entry->second)) break;
  }
  return {};
}

void VirtualDisk::apply() {
  for (std::size_t table = 0; table < tables; ++table) {
    for (const auto& [key, value] : writing_->changes[table]) {
      if (value) {
        tables_[table][key] = *value;
      } else {
        tables_[table].erase(key);
      }
    }
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
  std::string& record = std::next(rows.begin(), static_cast<std::ptrdiff_t>(random % rows.size()))->second;
  record[random / 7 % record.size()] ^= 0x40;
}

void VirtualDisk::lose_row(std::uint64_t random) {
  Entries& rows = of(Table::rows);
  if (!rows.empty()) rows.erase(std::next(rows.begin(), static_cast<std::ptrdiff_t>(random % rows.size())));
}

}  // namespace knit::sim
