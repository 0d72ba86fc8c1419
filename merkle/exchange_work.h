// The comparing half of an exchange: which ranges still have to be compared, which rows shipped, and
// what is answered to what the peer says of its ranges. merkle/exchange.h owns one and does the rest:
// turns, clocks, clears, the end.
//
// Why joining the peer's start clock is sound. Let S be the clock that a side took when its session
// began. The effects of a dot on the rows only grow: whatever a row is later, it contains or supersedes
// what it was. It remains to show that each of the sender's rows, as it was at some moment after S was
// taken, has been merged at the receiver when the session ends.
//  1. A range that is not settled is in exactly one place: on one side's stack, or in the message that
//     is under way, where the receiver must settle it, answer it or put it on its own stack. So when both
//     stacks are empty and the last message needs no answer, all ranges are settled.
//  2. A range is settled without shipping only when a digest that one side took after its start equals
//     the other's at a later moment: then each had all that the other had at its start.
//  3. A list is a digest a row. A row of the lister is settled if what it *is now* was in the list and the
//     peer has it. This is why the list is kept until it is answered: a row that changed in between is
//     not what the peer said it has, and what it superseded may be covered by S, so it is compared as if
//     it had not been listed. Each other row is compared by version with the peer's row of the same tag,
//     or shipped if there is none, or asked for if there is only the peer's.
//  4. What is to be shipped is read when it is shipped, so it is no older than what was decided about.
//     A row that is gone by then was purged (the peer has it too) or cleared (the session ends).
// None of this needs a message to be worked on at one instant: a step looks at whole ranges, each of them at
// one moment after S was taken. What is written between two steps is written, to the peer, while the answer
// was under way.
// A clear that is applied during the session takes rows away before the peer knows why; the owner watches
// for that and ends the session without a join.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "base/result.h"
#include "merkle/effort.h"
#include "merkle/exchange.h"
#include "merkle/exchange_messages.h"
#include "merkle/replica.h"

namespace knit {

// The short digests of one session.
class SessionHashes {
 public:
  SessionHashes(const HashKeys& keys, std::uint64_t salt);

  wire::Short range(const Summary& summary) const;  // Never 0, which stands for "nothing there".
  wire::Short row(Uint128 digest) const;
  wire::Short tag(std::string_view row_key) const;

 private:
  HashKey key_{};
};

// Memory: at most twice work_max ranges, and what one message holds.
class ExchangeWork {
 public:
  enum class Role : std::uint8_t {
    repair,
    compare,  // The modes that only compare: the side that is asked (and, in a fence, ships what it is asked
              // for),
    collect,  // and the side that lists the differences, or drops what must go and fetches what replaces it.
  };

  ExchangeWork(Replica& replica, const ExchangeOptions& options, Role role, std::uint64_t salt);

  // Which way rows may travel here: a fence fetches, unless the peer must rejoin too, and is given.
  bool takes_rows() const;
  bool gives_rows() const;

  // The digests of the children of a range, as they are now.
  Result<wire::Children> children(const Prefix& prefix) const;
  // Puts a range on the stack.
  void compare(const Prefix& prefix);

  // One message after the other is worked on, by these three in this order, each until it answers true. Each
  // stops when `effort` is spent, and is to be called again.

  // Takes what the peer says, in `turn`, of its ranges, and takes it out of `turn`; puts what must be said at
  // once into `reply`. bad_input if the peer breaks the protocol.
  Result<bool> answer(wire::Turn& turn, wire::Turn& reply, Effort& effort);
  // Fills up `reply` from the stack with ranges, unless the peer said hold.
  Result<bool> compare_more(wire::Turn& reply, bool hold, Effort& effort);
  // Fills up `reply` with rows.
  Result<bool> ship(wire::Turn& reply, Effort& effort);
  // `reply` was sent: keeps what its answer will refer to.
  void on_sent(wire::Turn& reply);

  bool idle() const { return compares_.empty() && shipments_.empty() && fetched_.empty(); }
  // True if there are enough rows to ship for more comparing to make no sense.
  bool busy_shipping() const { return shipments_.size() > options_.ranges_per_message; }
  bool over_limit() const { return over_limit_; }
  double remaining() const;                        // Of all positions, 0 to 1: what waits here,
  double in_flight() const { return in_flight_; }  // and what the reply asks the peer about.

  std::vector<Difference>& differences() { return differences_; }
  const std::vector<Difference>& differences() const { return differences_; }
  std::uint64_t differences_found() const { return differences_found_; }

 private:
  struct Comparison {
    Prefix prefix;
    bool descend{};  // Its rows are too many for one answer, although the peer listed few.
  };
  struct Shipment {
    Prefix prefix;
    std::vector<wire::Short> tags;  // Ascending. Empty: all rows.
    std::string cursor;             // The first row key that was not looked at.
    double remaining{};             // Of all positions.
  };

  Result<wire::Short> digest(const Prefix& prefix) const;
  Result<void> answer_one(wire::Turn& turn, wire::Turn& reply, Effort& effort);
  Result<void> on_children(const wire::Children& theirs, wire::Turn& reply);
  void settle(const Prefix& prefix, wire::Short mine, wire::Short theirs, wire::Turn& reply);
  void name_damaged(Range range, std::vector<wire::TaggedVersion>& rows) const;
  Result<void> on_list(const wire::List& list, wire::Turn& reply);
  void on_wants(wire::Wants wants);
  Result<void> on_versions(const wire::Versions& versions, wire::Turn& reply);
  Result<void> decide(const wire::Versions& versions, const std::vector<wire::Short>& settled,
                      wire::Turn& reply);
  Result<void> collect(const wire::Versions& versions, const std::vector<wire::Short>& settled);
  struct Answered {
    std::vector<wire::Short> settled;
    std::vector<wire::Short> lacked;
  };
  Result<void> drop(const wire::Versions& versions, const Answered& answered, wire::Turn& reply);
  Result<Answered> answered_by(const wire::Versions& versions) const;
  void push(Comparison comparison);
  void push(Shipment shipment);
  Comparison pop();

  Result<void> fill_range(const Comparison& comparison, wire::Turn& reply, Effort& effort);
  Result<void> fill_list(const Prefix& prefix, wire::Turn& reply);
  enum class Shipped : std::uint8_t { all, message_full, effort_spent };
  Result<Shipped> ship_some(Shipment& shipment, wire::PackedRows& rows, Effort& effort);
  void pass(Shipment& shipment, std::string_view row_key);

  bool needless(const RowView& row) const;

  Replica& replica_;
  ExchangeOptions options_;
  Role role_;
  SessionHashes hashes_;
  std::deque<Comparison> compares_;  // Stacks. No vectors: those are copied at one go when they grow.
  std::deque<Shipment> shipments_;
  // Of a fence: ranges to be compared once more, when the rows that were fetched are here.
  std::deque<Prefix> fetched_;
  bool fetches_ = true;
  double remaining_ = 0;                // Of all positions: in compares_ and shipments_.
  std::vector<wire::List> lists_sent_;  // In the last message, by prefix.
  // Of the reply.
  bool begun_ = false;
  std::size_t compared_ = 0;  // Ranges.
  double in_flight_ = 0;
  std::size_t version_rows_ = 0;
  std::size_t version_bytes_ = 0;  // The same, in bytes, about.
  std::size_t row_bytes_ = 0;      // Of rows, without their lengths.
  bool over_limit_ = false;
  std::vector<Difference> differences_;
  std::uint64_t differences_found_ = 0;
};

}  // namespace knit
