// The log, being read to one peer from that peer's position.
//
// A position is the peer's clock: what it has said, and what it acknowledged since. For each actor that is
// streamed, rounds go from where the last one ended to what this node has at that moment. In a round each row
// travels once, with its last dot of that actor; when the round is through, all that it passes is
// covered. The row that replaced another one has then arrived, which is what invariant 2 asks for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/types.h"
#include "crdt/clock.h"
#include "node/stream_payload.h"
#include "store/store.h"

namespace knit {

struct StreamOptions {
  std::size_t batch_bytes = 48 << 10;        // A batch ends with the row that reaches this.
  std::size_t window_bytes_min = 128 << 10;  // Sent and not acknowledged: it moves between these,
  std::size_t window_bytes_max = 4 << 20;    // down while acknowledgements are late.
  std::size_t entries_per_batch = 1024;      // Of the log, looked at.
  std::size_t items_per_turn = 128;          // Of what comes in, for all peers together: about a millisecond.
  std::uint64_t company = 32;                // Fewer entries wait for others, if a batch is under way,
  Millis batch_interval{2};                  // for so long.
};

// One thread. Lives as long as the peer is known; sends only between begin() and the link's end.
class OutStream {
 public:
  explicit OutStream(StreamOptions options) : options_(options), window_(options.window_bytes_max / 4) {}

  // What the peer has, as far as it told: changes of its clock, or all of it.
  void on_clock(const Clock& told, bool whole);
  const Clock& peer_clock() const { return peer_clock_; }
  bool knows_peer() const { return knows_peer_; }

  // Streams the log of `actor`, from what the peer has or where the log is complete. Does nothing if it is
  // streamed already.
  void begin(ActorId actor, const Store& store);
  void end(ActorId actor) { actors_.erase(actor); }
  bool streams(ActorId actor) const { return actors_.contains(actor); }
  // The link is gone, or the peer refused a batch: all that is in flight is forgotten, nothing is streamed.
  void stop();

  struct Batch {
    std::uint64_t number{};
    std::string_view payload;  // Empty: nothing to send. Lives in the copy, until the next batch is built.
    std::size_t rows = 0;
  };
  class Copy;
  // `copy` is shared by streams to different peers: what one of them has just built another one need not.
  Batch next(const Store& store, Millis now, Copy& copy);

  struct Acked {
    std::size_t rows{};
    Millis built;
  };
  // Empty if that batch is not the one whose acknowledgement comes next.
  std::optional<Acked> on_ack(std::uint64_t epoch, std::uint64_t number, Millis now);

  // What next() would find.
  enum class Waiting : std::uint8_t {
    nothing,
    credit,   // Acknowledgements must come first.
    company,  // Little, just after another batch: for what else comes within batch_interval.
    work,
  };
  Waiting waiting(const Store& store, Millis now) const;

  std::uint64_t epoch() const { return epoch_; }

 private:
  struct Reading {           // Of one actor's log.
    std::uint64_t from{};    // What the round began behind,
    std::uint64_t at{};      // what was looked at,
    std::uint64_t to{};      // and where it ends.
    bool has_holes = false;  // Not everything between `from` and `at` was sent or is there already.
    std::vector<std::uint64_t> withheld;  // Could not be read: not covered.
    bool operator==(const Reading&) const = default;
  };
  struct InFlight {
    std::uint64_t number{};
    std::size_t bytes{};
    std::size_t rows{};
    Millis built;
    std::vector<std::pair<ActorId, Clock::Range>> gains;
  };
  enum class Look : std::uint8_t { go_on, full, hopeless };

  std::optional<Batch> copied(const Store& store, bool with_clear, Millis now, const Copy& copy);
  Batch send(std::string_view payload, InFlight flight, Millis now);
  void read(ActorId actor, Reading& reading, const Store& store, StreamPayloadWriter& out, InFlight& flight);
  Look look_at(Dot dot, std::string_view row_key, Reading& reading, const Store& store,
               StreamPayloadWriter& out, InFlight& flight);
  void end_round(ActorId actor, Reading& reading, StreamPayloadWriter& out, InFlight& flight) const;
  bool worth_compressing(std::size_t bytes);
  void adapt(Millis delay, Millis now);

  StreamOptions options_;
  Clock peer_clock_;
  bool knows_peer_ = false;
  std::map<ActorId, Reading> actors_;
  std::deque<InFlight> in_flight_;
  std::size_t in_flight_bytes_ = 0;
  Millis last_built_{};
  std::size_t entries_left_ = 0;  // To look at, for the batch that is made.
  std::uint64_t epoch_ = 1;
  std::uint64_t last_number_ = 0;
  std::optional<std::uint64_t> clears_sent_;  // The store's count of clears when one was last sent.
  std::size_t window_;
  Millis delay_min_{};
  Millis delay_min_until_{};
  unsigned batches_to_plain_ = 0;  // Compressing did not pay: not tried for so many batches.
};

// The last batch that would be the same for every peer at the same place of the log.
class OutStream::Copy {
 private:
  friend class OutStream;
  JournalPosition applied_;
  bool with_clear_ = false;
  ActorId actor_;
  Reading before_;
  Reading after_;
  std::string payload_;
  InFlight flight_;
};

}  // namespace knit
