// What a peer streams to this node, taken a few rows at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "node/stream_payload.h"
#include "node/wire.h"
#include "store/store.h"

namespace knit {

// One thread. Batches are taken in order; when one cannot be, nothing more of its epoch is.
class InStream {
 public:
  // bad_input: the peer sends more than it has credit for.
  Result<void> receive(const StreamBatch& batch, Millis now);
  bool busy() const { return !waiting_.empty(); }
  void clear();  // The link is gone.

  // Causal order (node_causal.cpp): batches are held until they are admitted, in their order.
  struct Unadmitted {
    Clock needed;
    Clock brings;
  };
  // Those that are not. What step() will refuse needs and brings nothing.
  std::vector<Unadmitted> unadmitted(bool may_merge);
  void admit(std::size_t batches) { admitted_ += batches; }
  std::size_t admitted() const { return admitted_; }
  struct Held {
    std::size_t bytes{};
    bool too_much{};  // In memory, with the clocks of the batches: soon no more is received.
    Millis since{};
  };
  std::optional<Held> held() const;

  // The end of a batch, to be told to the peer.
  struct Done {
    std::uint64_t epoch{};
    std::uint64_t number{};
    bool accepted{};
    std::string why_not;
    std::size_t bytes{};
  };
  struct Counts {
    std::uint64_t rows{};
    std::uint64_t changed{};
  };
  // Unless it may merge, the batch is refused: one of the two nodes must rejoin, or mend its clock.
  // Takes up to `items`, and lowers it by what was taken. Empty: the first batch is not through yet.
  // bad_input: it cannot be understood, or holds what no peer may send. Requires: busy().
  Result<std::optional<Done>> step(Store& store, bool may_merge, std::size_t& items, WallTime now,
                                   Counts& counts);

 private:
  struct Incoming {
    std::uint64_t epoch{};
    std::uint64_t number{};
    Clock needed;
    std::optional<Clock> brings;  // Once it was asked for.
    Millis received{};
    std::string bytes;
    // Views into `bytes`. Of the first batch alone: taken apart, one may be many thousand times as long.
    std::optional<StreamPayload> payload;
    std::size_t next = 0;  // The first item that was not taken.

    std::size_t waiting_bytes() const;
  };
  static Result<void> take(Store& store, Incoming& batch, std::size_t& items, WallTime now, Counts& counts);
  // The last batch that was taken.
  struct Place {
    std::uint64_t epoch = 0;
    std::uint64_t number = 0;
  };
  bool expects(const Place& last, const Incoming& batch) const;

  std::deque<std::unique_ptr<Incoming>> waiting_;
  std::size_t waiting_bytes_ = 0;
  std::size_t admitted_ = 0;  // Of those that wait, from the front.
  Place taken_;
  std::uint64_t refused_epoch_ = 0;  // Of this epoch, and of earlier ones, nothing is taken.
};

}  // namespace knit
