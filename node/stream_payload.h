// The payload of a stream batch: rows that the log names, each whole, and what they cover. A row that changed
// twice is in it once.
//
//   flags 1 | contents, or if flag 1 is set a zstd frame of them
//   contents  [clear: clock bytes, if flag 2] | covered: clock bytes | actors varint | part...
//   part      actor 8 | items varint | (sequence, less the one before varint | row key bytes | body bytes)...
//
// An item with an empty body tells that its row was in the batch before, or is no more because of a clear.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "crdt/clock.h"
#include "crdt/dot.h"

namespace knit {

constexpr std::size_t stream_compressed_contents_max = 1 << 20;  // Larger ones are sent as they are.
constexpr std::size_t stream_items_max = 1 << 16;                // Of one batch.

class StreamPayloadWriter {
 public:
  // All following items are of this actor, ascending.
  void begin_part(ActorId actor);
  // Adds an item; leaves the body out if the row is in the batch already.
  void add(std::uint64_t sequence, std::string_view row_key, std::string_view body);
  void set_clear(const Clock& clear) { clear_ = clear; }
  void cover(ActorId actor, Clock::Range range) { covered_.add(actor, range); }

  bool empty() const { return items_ == 0 && covered_.empty() && !clear_; }
  std::size_t rows() const { return rows_; }           // Items with a body.
  std::size_t bytes() const { return parts_.size(); }  // About, of what finish() answers.
  std::string finish(bool compressed) const;

 private:
  struct Part {
    ActorId actor;
    std::size_t begin{};  // In parts_.
    std::uint64_t items{};
    std::uint64_t last{};
  };
  // Where a row with this hash was added: the last one of each slot.
  struct Seen {
    std::uint64_t hash{};
    std::size_t row_key_at{};
  };
  bool remember(std::string_view row_key);

  std::optional<Clock> clear_;
  Clock covered_;
  std::vector<Part> index_;
  std::string parts_;
  std::size_t items_ = 0;
  std::size_t rows_ = 0;
  std::array<Seen, 1024> seen_{};
};

// What a peer sent, taken apart. Views into `contents` or into the payload.
struct StreamPayload {
  struct Item {
    Dot dot;
    std::string_view row_key;
    std::string_view body;
  };
  std::vector<char> contents;  // If they were compressed.
  std::optional<Clock> clear;
  Clock covered;
  std::vector<Item> items;
};

// bad_input on anything that is not just that, or is beyond a limit.
Result<StreamPayload> decode_stream_payload(std::string_view payload);

}  // namespace knit
