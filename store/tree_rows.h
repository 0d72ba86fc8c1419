// What the tree reads of a store: the rows, and while it is being built also what they show, so that
// one scan counts the keys too. Internal to store/.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "merkle/replica.h"
#include "store/row_record.h"
#include "store/store.h"

namespace knit {

class Store::TreeRows final : public RowSource {
 public:
  explicit TreeRows(const Store& store) : store_(store) {}

  Result<void> visit_rows(Range range, std::string_view from_row_key,
                          FunctionRef<bool(const RowView&)> visit) const override {
    return store_.visit_rows(range, from_row_key, [&](const RowView& row) {
      if (counting) seen.emplace_back(row.position, row.shown_until);
      if (counting && row.shown_until <= store_.purged().expired.millis)
        store_.note_spent(row.row_key, row.body);
      return visit(row);
    });
  }

  bool counting = false;
  mutable std::vector<std::pair<Position, std::uint64_t>> seen;  // While counting.

 private:
  const Store& store_;
};

}  // namespace knit
