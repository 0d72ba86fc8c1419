// The bytes of an exchange: what the two sides of merkle/exchange.h say to each other. Pure values;
// what they mean is decided there. docs/protocol.md has the layout.
//
// Short digests and tags have 6 bytes and are salted with the session, so that what collides in one
// session does not in the next. Prefixes within a part are ascending and disjoint.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "crdt/clock.h"
#include "crdt/register_row.h"
#include "merkle/range.h"

namespace knit::wire {

constexpr std::uint8_t version = 2;
constexpr unsigned short_bytes = 6;
constexpr std::size_t list_rows_max = 64;      // Of one list.
constexpr std::size_t version_rows_max = 256;  // Of one range.
constexpr std::size_t ranges_max = 1 << 14;    // Compared in one message.
constexpr std::size_t wants_max = 16 * ranges_max;
constexpr std::size_t rows_max = 1 << 20;    // Of one message.
constexpr std::size_t actors_max = 1 << 16;  // Remembered in a session; others are spelt out each time.

enum class Kind : std::uint8_t { open = 1, turn = 2, clear = 3, abort = 4 };

using Short = std::uint64_t;  // The low short_bytes bytes of a hash. 0 in Children: nothing is there.

struct Children {
  Prefix prefix;
  std::array<Short, 16> digests{};
};

struct List {
  Prefix prefix;
  std::vector<Short> rows;  // In row order.
};

// What only_compare tells besides.
struct RowDetails {
  std::string row_key;
  Stamp stamp;
  Content content{};
  std::uint64_t value_bytes{};
};

struct TaggedVersion {
  Short tag{};
  RowVersion version;
  std::optional<RowDetails> details;
};

// Answers a List.
struct Versions {
  Prefix prefix;
  std::vector<std::uint8_t> missing;  // Indices into the list, ascending: what the sender does not have.
  std::vector<TaggedVersion> rows;    // What the list did not have.
};

struct Wants {
  Prefix prefix;
  std::vector<Short> tags;  // Empty: the whole range.
};

// Views into the message.
struct ShippedRow {
  std::string_view row_key;
  std::string_view body;
};

struct Open {
  bool only_compare{};
  Uint128 root{};
  std::uint64_t clock_digest{};
  std::uint64_t clear_digest{};
  std::uint64_t salt{};
  std::optional<std::array<Short, 16>> children;  // Of the root.
};

struct Turn {
  bool done{};                // The sender has no work of its own left.
  bool hold{};                // The sender has rows to ship first: send it nothing to compare.
  bool clocks_differ{};       // Said by the responder, in its first turn.
  std::uint16_t remaining{};  // If not done: the share of all positions that the sender still has to do.
  std::optional<Clock> clock;
  std::vector<Children> children;
  std::vector<List> lists;
  std::vector<Versions> versions;
  std::vector<Wants> wants;
  std::vector<ShippedRow> rows;
  std::size_t row_bytes{};  // Of `rows` as encoded; known of a decoded turn.

  bool needs_answer() const {
    return !children.empty() || !lists.empty() || !versions.empty() || !wants.empty();
  }
  bool empty() const { return !needs_answer() && rows.empty() && !clock; }
};

// The actors that one side has named so far: each is spelt out once in a session, then it is a small
// number. The two ends of a direction keep equal tables because messages come in order.
class ActorTable {
 public:
  void write(ByteWriter& out, ActorId actor);
  ActorId read(ByteReader& in);

 private:
  std::vector<ActorId> actors_;
  std::map<ActorId, std::size_t> indices_;
};

void encode(ByteWriter& out, const Open& open);
// A turn is what encode() writes, then its rows if there are any.
void encode(ByteWriter& out, const Turn& turn, ActorTable& actors);
void encode_rows(ByteWriter& out, const std::vector<ShippedRow>& rows);
void encode_clear(ByteWriter& out, const Clock& clear);
void encode_abort(ByteWriter& out);

// Each reads to the end of `in`, behind the kind. bad_input on anything malformed or over a limit.
Result<Open> decode_open(ByteReader& in);
Result<Turn> decode_turn(ByteReader& in, bool with_details, ActorTable& actors);
Result<Clock> decode_clear(ByteReader& in);

}  // namespace knit::wire
