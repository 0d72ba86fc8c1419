#include "store/pending.h"

#include "base/check.h"

namespace knit {

namespace {

// Walks two generations as one map; what stands in `upper` hides what stands in `lower`.
class Overlay {
 public:
  Overlay(const Changes& upper, const Changes& lower, std::string_view from)
      : upper_(upper.lower_bound(from)),
        upper_end_(upper.end()),
        lower_(lower.lower_bound(from)),
        lower_end_(lower.end()) {}

  bool done() const { return upper_ == upper_end_ && lower_ == lower_end_; }
  std::string_view key() const { return upper_is_next_ ? upper_.key() : lower_.key(); }
  Changes::Change change() const { return upper_is_next_ ? *upper_ : *lower_; }
  void next() {
    if (!upper_is_next_) {
      ++lower_;
    } else {
      if (lower_ != lower_end_ && lower_.key() == upper_.key()) ++lower_;
      ++upper_;
    }
    upper_is_next_ = upper_is_next();
  }

 private:
  bool upper_is_next() const {
    return lower_ == lower_end_ || (upper_ != upper_end_ && upper_.key() <= lower_.key());
  }

  Changes::Iterator upper_, upper_end_, lower_, lower_end_;
  bool upper_is_next_ = upper_is_next();
};

}  // namespace

Result<Pending::Answer> Pending::get(Table table, std::string_view key) const {
  const auto look_up = [&](const Batch& batch, Layer layer) -> std::optional<Answer> {
    const auto found = batch.of(table).find(key);
    if (!found) return std::nullopt;
    return Answer{found->value, layer};
  };
  if (const auto answer = look_up(*growing_, Layer::growing)) return *answer;
  if (committing_) {
    if (const auto answer = look_up(*committing_, Layer::committing)) return *answer;
  }
  auto value = disk_.get(table, key);
  if (!value) return tl::unexpected(value.error());
  return Answer{*value, Layer::disk};
}

Result<void> Pending::scan(Table table, std::string_view from, Visit visit) const {
  static const Changes none(Changes::Layout::dense);
  Overlay overlay(growing_->of(table), committing_ ? committing_->of(table) : none, from);
  bool wanted = true;
  const auto visit_entry = [&] {
    const auto [key, value] = overlay.change();
    if (value) wanted = visit(key, *value);
    overlay.next();
  };
  auto scanned = disk_.scan(table, from, [&](std::string_view key, std::string_view value) {
    while (wanted && !overlay.done() && overlay.key() < key) visit_entry();
    if (!wanted) return false;
    if (!overlay.done() && overlay.key() == key) {
      visit_entry();
    } else {
      wanted = visit(key, value);
    }
    return wanted;
  });
  if (!scanned) return scanned;
  while (wanted && !overlay.done()) visit_entry();
  return {};
}

void Pending::expect(std::span<const std::uint64_t> row_hashes) const {
  growing_->of(Table::rows).expect(row_hashes);
  if (committing_) committing_->of(Table::rows).expect(row_hashes);
  disk_.expect(row_hashes);
}

std::size_t Pending::bytes() const { return growing_->bytes() + (committing_ ? committing_->bytes() : 0); }

void Pending::start_commit(JournalPosition position) {
  check(!committing(), "one commit at a time");
  if (!committing_) {
    growing_->position = position;
    committing_ = std::exchange(growing_, std::make_unique<Batch>());
  }
  running_ = true;
  disk_.start_commit(*committing_);
}

void Pending::finish_commit() {
  check(committing(), "a commit was running");
  disk_.end_reads();
  running_ = false;
  committing_.reset();
}

void Pending::fail_commit() {
  check(committing(), "a commit was running");
  running_ = false;
}

void Pending::discard() {
  check(!committing(), "what is being written stays as it is");
  disk_.end_reads();
  committing_.reset();
  growing_ = std::make_unique<Batch>();
}

}  // namespace knit
