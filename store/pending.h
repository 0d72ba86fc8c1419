// The pending layer: changes that are applied but not yet in the ordered store, laid over it. Two
// generations: one that grows, and one that is being committed and does not change any more.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/function_ref.h"
#include "base/result.h"
#include "store/ports.h"

namespace knit {

// One thread. Views live until the next call that changes something, or end_reads() of the store below.
class Pending {
 public:
  explicit Pending(OrderedStore& disk) : disk_(disk), growing_(std::make_unique<Batch>()) {}

  enum class Layer : std::uint8_t { disk, committing, growing };
  // What the newest layer says. `layer` tells how fresh that is, also when the key is absent.
  struct Answer {
    std::optional<std::string_view> value;
    Layer layer = Layer::disk;
  };
  Result<Answer> get(Table table, std::string_view key) const;

  // Visits what exists at or above `from`, ascending, until `visit` answers false. `visit` must not
  // change anything here.
  using Visit = FunctionRef<bool(std::string_view key, std::string_view value)>;
  Result<void> scan(Table table, std::string_view from, Visit visit) const;

  void put(Table table, std::string_view key, std::string_view value) { growing_->of(table).put(key, value); }
  void erase(Table table, std::string_view key) { growing_->of(table).erase(key); }

  // Entries of the log that the next commit forgets. Reads may find them until then.
  void trim_log(Batch::LogTrim trim) { growing_->log_trims.push_back(std::move(trim)); }

  // Rows whose keys begin with these bytes, as big-endian numbers, are to be read next.
  void expect(std::span<const std::uint64_t> row_hashes) const;

  bool empty() const { return growing_->empty() && !committing_; }
  bool committing() const { return running_; }
  std::size_t bytes() const;  // Of both generations.
  JournalPosition committing_position() const { return committing_->position; }
  std::size_t committing_rows() const { return committing_->of(Table::rows).size(); }

  // Hands what has grown to the ordered store, or what failed to be written before. Requires: not
  // committing().
  void start_commit(JournalPosition position);
  // The commit is durable: reads find it in the ordered store. Requires: committing().
  void finish_commit();
  // Nothing was written. The same batch is written by the next start_commit(). Requires: committing().
  void fail_commit();
  // Forgets both generations. Requires: not committing().
  void discard();

 private:
  OrderedStore& disk_;
  std::unique_ptr<Batch> growing_;
  std::unique_ptr<Batch> committing_;
  bool running_ = false;
};

}  // namespace knit
