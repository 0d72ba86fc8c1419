// Seals and opens the datagrams of gossip: nobody without a key of the ring reads them, makes them, or
// gets any answer, and none is taken twice. XChaCha20-Poly1305 (libsodium) under a key derived from the
// ring's. No I/O and no clock; the one source of random numbers is libsodium's, for one secret.
//
// Each datagram names its sender and a counter; together with the sender's generation, a number that
// rises at each start, they are the nonce, which is therefore never used twice. A receiver remembers of
// each sender the generation and which counters it has seen. A sender or a generation that it does not
// know may be a recording, so it is not believed before it was proven:
//
//   A                                        B, which does not know this generation of A
//   | ---- data, long form ------------------> |  dropped
//   | <--- challenge: 16 bytes --------------- |  a MAC over A's id, generation, address and the time
//   | ---- response: the same 16 bytes ------> |  A is proven: what has a higher counter is taken
//   | ---- data again -----------------------> |
//
// B keeps nothing for a challenge, and a challenge is never longer than what it answers.
//
// The short form leaves out A's generation. It is used once B has shown, in a datagram of its own, that it
// knows it, and for no more than unanswered_max datagrams in a row: B may have been restarted.
//
// Keyless (on loopback addresses, or by the operator's wish) the layout and all rules are the same, but
// nothing is encrypted and a checksum takes the tag's place: it proves nothing.
//
// Invariants:
//  1. No nonce is used twice: of a generation, each counter goes into one datagram, and a
//     seal cannot be copied.
//  2. Memory is bounded by DatagramOptions::senders_max; of more, the one used longest ago is forgotten, and
//     must be proven again.
//  3. Between one node and another, a datagram is opened at most once.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <unordered_map>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "gossip/datagram_header.h"
#include "gossip/key_ring.h"
#include "gossip/replay_window.h"

namespace knit {

constexpr std::size_t seal_tag_bytes = 16;
constexpr std::size_t checksum_tag_bytes = 8;  // Keyless.
constexpr std::size_t short_overhead_bytes = short_header_bytes + seal_tag_bytes;
constexpr std::size_t datagram_overhead_bytes_max = long_header_bytes + 1 + seal_tag_bytes;
// A shorter plaintext in the long form is padded to this with its own count of padding: so it may be
// answered.
constexpr std::size_t challenge_bytes = 16;
constexpr std::size_t datagram_plaintext_bytes_max = 60'000;

struct DatagramOptions {
  NodeId node;  // This one.
  // Rises at each start of the daemon, so it is kept on disk, or peers drop what it says until they are
  // restarted too. Two starts of a copied data directory must not have the same one (invariant 1): let it be
  // milliseconds since 1970, times 2^16, and random bits. Not 0.
  std::uint64_t generation{};
  std::string cluster;     // The cluster's id, 16 bytes.
  std::uint8_t version{};  // Of the plaintext: the one that is sent, and the only one that is taken.
  std::size_t senders_max = 1024;
  std::uint64_t first_counter{};  // Of this generation.
};

enum class DropReason : std::uint8_t {
  malformed,        // Too short, or no form of ours.
  other_mode,       // Encrypted and we are not, or the other way round.
  foreign_cluster,  // It names another cluster.
  reflected,        // Our own.
  unknown_key,      // Under a key that is not in the ring.
  forged,           // Under a key of the ring as it says, but it is not. Also: not meant for us.
  // These were made by somebody who has the key; all but unknown_sender name the sender.
  unknown_version,
  unknown_sender,   // Short, of a sender not proven: it will use the long form soon.
  unanswerable,     // Of a sender not proven, and too short to be answered.
  old_generation,   // Of a daemon that was restarted since.
  replayed,         // Seen already, or too old to tell.
  stale_challenge,  // A challenge, or a response to one, that is not or no longer of use.
  counter_end,      // It asks for an answer, and we have no counter left.
};
constexpr std::size_t drop_reasons = static_cast<std::size_t>(DropReason::counter_end) + 1;
std::string_view name(DropReason reason);

// What came of a datagram.
struct DatagramOpened {
  NodeId sender;
  std::uint64_t generation{};
  std::string plaintext;
};
struct DatagramChallenge {  // The sender is not proven. What it said is lost; it will say so again.
  std::string datagram;     // To be sent back to where it came from.
};
struct DatagramResponse {  // We were challenged: what was sent to there of late is lost.
  NodeId challenger;
  std::string datagram;  // To be sent back, and then again what was lost.
};
struct DatagramProven {  // What the sender sends from now on is taken.
  NodeId sender;
};
struct DatagramDropped {
  DropReason reason{};
  std::optional<NodeId> sender;  // If it had the key.
  std::uint8_t version{};        // With unknown_version: the one it speaks.
};
using DatagramOutcome =
    std::variant<DatagramOpened, DatagramChallenge, DatagramResponse, DatagramProven, DatagramDropped>;

struct DatagramCounts {
  std::uint64_t opened{};
  std::uint64_t challenged{};  // Challenges that we made.
  std::uint64_t responded{};   // Challenges that we answered.
  std::uint64_t proven{};
  std::array<std::uint64_t, drop_reasons> dropped{};  // By reason.
};

class DatagramSeal {
 public:
  static constexpr unsigned unanswered_max = 3;
  static constexpr Millis challenge_slot{5000};  // A challenge can be answered for one to two of them.

  // Without a ring: keyless.
  DatagramSeal(DatagramOptions options, const KeyRing* ring);
  DatagramSeal(const DatagramSeal&) = delete;
  DatagramSeal& operator=(const DatagramSeal&) = delete;

  // The ring was changed. Requires: keyless or not, as it was made. What was sealed under a key that is still
  // in the ring opens as before.
  void set_keys(const KeyRing& ring);

  // The datagram to send. `receiver` is whoever is believed to be there, if anybody is.
  // Requires: at most datagram_plaintext_bytes_max.
  // refused: the counters of this generation are at their end; go on under a higher generation.
  Result<std::string> seal(std::optional<NodeId> receiver, std::string_view plaintext);

  // `from` stands for the address it came from, in any one form. `now` never goes back.
  DatagramOutcome open(std::string_view datagram, std::string_view from, Millis now);

  const DatagramCounts& counts() const { return counts_; }
  std::size_t senders() const { return peers_.size(); }

 private:
  struct Key {
    KeyFingerprint fingerprint;
    SecretKey secret;
  };
  // A node whose running generation was proven to us.
  struct Peer {
    std::uint64_t generation{};
    ReplayWindow window;
    bool knows_us = false;    // Our generation, that is.
    unsigned unanswered = 0;  // Datagrams to it since it last showed that.
    std::uint64_t used = 0;
  };
  struct Incarnation {
    NodeId node;
    std::uint64_t generation{};
  };
  using Plaintext = tl::expected<std::string, DropReason>;
  struct Arrival;

  Peer* find(NodeId node);
  void remember(NodeId node, Peer peer);
  Result<std::string> seal_form(DatagramForm form, Incarnation receiver, std::string_view plaintext);
  std::string associated_data(std::string_view header, DatagramForm form, Incarnation receiver) const;
  Plaintext unseal(const DatagramHeader& header, std::string_view datagram) const;
  DatagramOutcome judge(std::string_view datagram, std::string_view from, Millis now);
  DatagramOutcome on_data(Arrival& arrival);
  DatagramOutcome on_challenge(const Arrival& arrival);
  DatagramOutcome on_response(const Arrival& arrival);
  DatagramOutcome challenge(const Arrival& arrival);
  std::string challenge_for(const Arrival& arrival, std::uint64_t slot) const;
  void count(const DatagramOutcome& outcome);

  DatagramOptions options_;
  std::uint16_t cluster_tag_;
  std::optional<std::vector<Key>> keys_;  // The primary first; empty: keyless.
  SecretKey challenge_secret_ = SecretKey::random();
  std::uint64_t next_counter_;
  std::unordered_map<NodeId, Peer> peers_;
  std::uint64_t uses_ = 0;
  DatagramCounts counts_;
};

}  // namespace knit
