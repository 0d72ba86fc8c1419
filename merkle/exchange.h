// One Merkle comparison between two nodes, and the repair that follows: both directions in one
// session. Sans-IO: a pair of these objects talks through byte strings that any transport carries.
//
// The two sides take strict turns. Each message answers what it can of the message before and says
// whether its sender still has work of its own. docs/protocol.md draws the messages.
//
// A message may hold thousands of ranges and megabytes of rows. So it is taken with on_message(), then worked
// on in steps of bounded cost, as small as the owner likes; rows may change in between, by whomever. The last
// step gives the answer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "crdt/register_row.h"
#include "merkle/replica.h"
#include "merkle/tree.h"

namespace knit {

// The initiator says what is to be done. Who lies below the peer's floor (its clock does not cover that)
// begins with a fence: what it holds may have been superseded, and what superseded it been purged.
enum class ExchangeMode : std::uint8_t {
  repair = 0,   // Ship and merge, both ways.
  compare = 1,  // List differences, ship nothing, join no clock.
  fence = 2,    // Compare; the initiator drops what the peer does not have at or below `fence`, and fetches
                // what the peer has in its place.
};
constexpr bool only_compares(ExchangeMode mode) { return mode != ExchangeMode::repair; }

struct ExchangeOptions {
  ExchangeMode mode = ExchangeMode::repair;
  Clock fence{};                             // With that mode: what the peer has of its floor.
  bool peer_is_below = false;                // Its clock does not cover our floor.
  Line peer_purged{};                        // Spent rows at or below it the peer has purged: it needs none.
  std::size_t ranges_per_message = 1 << 14;  // Compared in one message, at most 2^14; the rest waits.
  std::size_t row_bytes_per_message = 4 << 20;  // Rows of one message, beyond its first row.
  std::size_t work_max = 1 << 20;               // Ranges that may wait; beyond, the session ends incomplete.
  std::size_t differences_max = 100'000;        // Listed by comparisons; more are counted only.
};

// What one session cost and did, seen from one side.
struct ExchangeStats {
  std::uint64_t messages_sent{};
  std::uint64_t messages_received{};
  std::uint64_t comparison_bytes_sent{};  // Without the rows themselves.
  std::uint64_t comparison_bytes_received{};
  std::uint64_t row_bytes_sent{};
  std::uint64_t row_bytes_received{};
  std::uint64_t rows_sent{};
  std::uint64_t rows_received{};
  std::uint64_t rows_changed{};  // Received rows that changed something here.
};

// What a person needs to know of one side of a difference.
struct RowSummary {
  RowVersion version;
  Stamp stamp;                  // Of the winner; the greatest of all if each sibling is cleared.
  Content content{};            // Of the winner; value if increments count.
  std::uint64_t value_bytes{};  // Of the winner.
};

struct Difference {
  std::string row_key;
  std::string
      key;  // The whole Redis key; empty if only the peer has the row and its name is too long for a row key.
  std::optional<RowSummary> mine;    // Empty: no such row here.
  std::optional<RowSummary> theirs;  // Empty: no such row there.
};

class Exchange {
 public:
  enum class Outcome : std::uint8_t {
    running,
    equal,       // Nothing differed; clocks were joined.
    repaired,    // All that differed was shipped and merged; clocks were joined.
    compared,    // Modes that only compare: differences() lists what was found.
    cleared,     // A FLUSHALL was passed on instead; compare again once the tree is complete.
    incomplete,  // A limit was reached, or rows could not be read: what was merged stays, no clock was
                 // joined.
  };

  // The side that starts. Both require: the replica's tree is complete, and the replica outlives this.
  // `salt` is random: it keeps short digests of one session from colliding in the next.
  // `expect_difference`: sends the first level along with the root.
  static std::unique_ptr<Exchange> initiate(Replica& replica, ExchangeOptions options, std::uint64_t salt,
                                            bool expect_difference);
  // The side that is asked: limits are its own, the mode is the initiator's.
  static std::unique_ptr<Exchange> respond(Replica& replica, ExchangeOptions options);

  ~Exchange();

  // What a first message asks for. Empty: it cannot be understood.
  static std::optional<ExchangeMode> mode_asked(std::string_view opening);

  // The first message. Requires: initiate(), called once.
  std::string open(WallTime now);

  // Takes the peer's message; busy() from now on. bad_input if it speaks out of turn: the session is over
  // then. refused if the session is over.
  Result<void> on_message(std::string message);

  // True while a message is being worked on: the peer waits for us, else we wait for it.
  bool busy() const;

  // Works on the message for about `units` (see merkle/effort.h; at least one range or row). Answers our
  // message once it is complete; nothing while busy(), or if the session is over on both sides and nothing is
  // left to say. bad_input if the peer broke the protocol or a limit: the session is over, rows merged so far
  // stay (each is whole), no clock was joined. Other errors are those of the replica; the session is over
  // then too. Requires: busy().
  Result<std::optional<std::string>> step(std::size_t units, WallTime now);

  Outcome outcome() const;
  bool finished() const { return outcome() != Outcome::running; }
  double progress() const;  // 0 to 1, of the positions: what has been settled. Never falls.
  const ExchangeStats& stats() const;
  ExchangeMode mode() const;
  const std::vector<Difference>& differences() const;  // Of the initiator, with compare.
  std::uint64_t differences_found() const;             // With those that were not listed.

 private:
  struct State;
  explicit Exchange(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace knit
