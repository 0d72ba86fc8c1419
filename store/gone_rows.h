// Rows that were purged or swept, as far as it is remembered: a stream that does not find one need not look
// for it.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_set>

namespace knit {

// One thread. Each row that is purged or new comes here, so this is hashed. At `rows_max` all are forgotten.
class GoneRows {
 public:
  static constexpr std::size_t rows_max = 1 << 16;

  void note_gone(const std::string& row_key) {
    if (rows_.size() >= rows_max) rows_.clear();
    rows_.insert(row_key);
  }
  void note_back(std::string_view row_key) {
    if (const auto gone = rows_.find(row_key); gone != rows_.end()) rows_.erase(gone);
  }
  bool contains(std::string_view row_key) const { return rows_.contains(row_key); }

 private:
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  std::unordered_set<std::string, Hash, std::equal_to<>> rows_;
};

}  // namespace knit
