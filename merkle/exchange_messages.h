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
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "crdt/clock.h"
#include "crdt/register_row.h"
#include "merkle/effort.h"
#include "merkle/exchange.h"
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

// Rows to be sent, as they lie in the message.
struct PackedRows {
  std::string bytes;
  std::size_t count{};
};

struct Open {
  ExchangeMode mode{};
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
  std::vector<ShippedRow> rows;  // Of a turn that was received;
  std::size_t row_bytes{};       // as encoded.
  PackedRows packed;             // Of a turn that is to be sent.

  bool needs_answer() const {
    return !children.empty() || !lists.empty() || !versions.empty() || !wants.empty();
  }
  bool has_rows() const { return !rows.empty() || packed.count > 0; }
  bool empty() const { return !needs_answer() && !has_rows() && !clock; }
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

// Writes a turn in steps, its kind first. Parts are given up once they are written, except the lists, which
// must be kept until they are answered. The turn and the table outlive this.
class TurnWriter {
 public:
  TurnWriter(Turn& turn, ActorTable& actors);

  bool write(Effort& effort);  // True: all is written.
  // Require: all is written.
  std::string take() { return std::move(message_); }                  // Once.
  std::size_t comparison_bytes() const { return comparison_bytes_; }  // Without the rows.

 private:
  template <class Part, class WriteItem>
  void write_part(std::vector<Part>& parts, Effort& effort, WriteItem write_item);
  void write_some(Effort& effort);
  void write_rows(Effort& effort);

  Turn& turn_;
  ActorTable& actors_;
  std::string message_;
  ByteWriter out_{message_};
  unsigned part_ = 0;        // Of those of a turn, in their order.
  std::size_t written_ = 0;  // Of that part.
  std::size_t comparison_bytes_ = 0;
};

// Reads a turn in steps, from behind its kind to the end. The bytes outlive this and the turn, whose rows
// are views of them.
class TurnReader {
 public:
  TurnReader(ByteReader in, bool with_details, ActorTable& actors);

  // True: all was read. bad_input on anything malformed or over a limit.
  Result<bool> read(Turn& turn, Effort& effort);

 private:
  template <class Part, class ReadItem>
  void read_part(std::vector<Part>& parts, Effort& effort, ReadItem read_item);
  void read_head(Turn& turn);
  void read_some(Turn& turn, Effort& effort);
  std::size_t begin_part();

  ByteReader in_;
  bool with_details_;
  ActorTable& actors_;
  unsigned flags_ = 0;
  bool head_read_ = false;
  unsigned part_ = 0;                // Of those of a turn, in their order.
  std::optional<std::size_t> left_;  // Of that part.
};

void encode(ByteWriter& out, const Open& open);
void encode_clear(ByteWriter& out, const Clock& clear);
void encode_abort(ByteWriter& out);
void encode_row(ByteWriter& out, std::string_view row_key, std::string_view body);

// Each reads to the end of `in`, behind the kind. bad_input on anything malformed or over a limit.
Result<Open> decode_open(ByteReader& in);
Result<Clock> decode_clear(ByteReader& in);

}  // namespace knit::wire
