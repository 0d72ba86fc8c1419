// The messages between two nodes: msgpack arrays, the kind first. The only place that knows msgpack.
// docs/protocol.md lists them. Bulk data travels as one binary field that merkle/ packs itself.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "base/result.h"
#include "base/types.h"
#include "crdt/dot.h"
#include "crdt/register_row.h"

namespace knit {

constexpr std::uint64_t protocol_version = 9;  // The one this build speaks.

constexpr std::size_t control_message_bytes_max = 512 << 10;
constexpr std::size_t exchange_message_bytes_max = value_bytes_max + (8 << 20);  // One row fits whole.

// The first message of both sides of a link; sent again when the sender's actor changed.
struct Hello {
  std::uint64_t protocol_min = protocol_version;
  std::uint64_t protocol_max = protocol_version;
  std::string cluster_id;
  NodeId node;
  ActorId actor;
  std::uint64_t boot{};  // Random, new at every start of the daemon.
  std::string name;
  std::string address;
  std::string version;
};

// The first message of a node that has no cluster yet, in place of a hello.
struct JoinRequest {
  std::uint64_t protocol_min = protocol_version;
  std::uint64_t protocol_max = protocol_version;
  std::string name;
  std::string version;
};
// The answer: all that makes a node one of this cluster.
struct Welcome {
  std::string cluster_name;
  std::string cluster_id;
  std::string position_key;
  std::string digest_key;
};

// What gossip/ has to say to the peer, in its own form.
struct Gossip {
  std::string_view payload;
};

// The sender's key ring, in gossip/'s form. Only over encrypted links.
struct Keys {
  std::string_view payload;
};

// Step 0 of a comparison: told when something has changed. All of one instant.
struct Status {
  Uint128 root{};
  bool tree_complete{};
  std::uint64_t keys{};
  bool clock_whole{};        // False: what `clock` says of its actors replaces what was told of them before.
  std::string_view clock{};  // Encoded.
  std::string_view floor{};  // As clock.
  std::string_view purged{};
  std::uint64_t batches{};         // So many stream batches, and
  std::uint64_t turns{};           // messages of exchanges, and
  std::uint64_t rows{};            // of reads of several replicas, the sender has sent on this link.
  std::uint64_t floor_number = 1;  // Rises with the sender's floor, and when it has rejoined; not 0.
  std::uint64_t fenced_at{};       // The receiver's, at which the sender, rejoining, dropped rows; or 0.
  WallTime time;                   // By the sender's clock.
  WallTime expired;                // What expires by then has expired, says the sender;
  WallTime floor_expired;          // as it knows, so say all,
  WallTime purged_expired;         // and all know of each other.
  bool passes{};                   // Rows at or below the purged line may still be here.
  std::uint64_t meeting{};        // The sender wants to be told what the receiver has: so many times, lately.
  std::uint64_t meeting_heard{};  // The receiver's last, that was heard before this was written.
  std::string_view lags{};  // How far peers are behind the sender's writes: (node 8 | milliseconds varint)...
};

// A part of the log: rows, and what they cover. docs/protocol.md draws the payload.
struct StreamBatch {
  std::uint64_t
      epoch{};  // Rises when the sender begins anew, from what it then knows of the receiver's clock.
  std::uint64_t number{};   // From 1, in each epoch.
  std::string_view seen{};  // Encoded, for causal order: the sender's clock when it read the rows. Or empty.
  std::string_view payload;
};
// The sender has all of the batch durably, or has refused it and takes nothing more of its epoch.
struct StreamAck {
  std::uint64_t epoch{};
  std::uint64_t number{};
  bool accepted{};
};

struct ExchangeOpen {
  std::uint64_t session{};
  std::string_view payload;
};
struct ExchangeTurn {
  std::uint64_t session{};
  std::string_view payload;
};
// The sender has no part in this session, or not any more.
struct ExchangeEnd {
  std::uint64_t session{};
  std::string reason;
};

// A read of several replicas: one row is asked for, shown, and sent to who was behind.
struct RowRequest {
  std::uint64_t read{};
  std::string_view row_key;
};
struct RowReply {
  enum class State : std::uint8_t {
    shown = 0,    // As it is here; an empty payload: there is none.
    damaged = 1,  // It is to be had from others, and is wanted here.
    refused = 2,  // One of the two nodes must rejoin first.
  };
  std::uint64_t read{};
  State state{};
  std::string_view clear{};  // Encoded: what was cleared at the sender.
  std::string_view row_key;
  std::string_view payload;  // The body.
};
struct RowRepair {
  std::string_view clear{};  // As in a reply: what the row is without.
  std::string_view row_key;
  std::string_view payload;
};

using Message = std::variant<Hello, Status, ExchangeOpen, ExchangeTurn, ExchangeEnd, Gossip, StreamBatch,
                             StreamAck, JoinRequest, Welcome, Keys, RowRequest, RowReply, RowRepair>;

std::string encode(const Message& message);

// bad_input on anything that is not exactly one message within the limits. Views point into `bytes`.
Result<Message> decode_message(std::string_view bytes);

}  // namespace knit
