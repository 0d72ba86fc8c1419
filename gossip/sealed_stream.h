// The encrypted byte stream between two peers. Stands between a socket and the frames: bytes in, bytes out,
// no I/O. After both preludes (stream_prelude.h) each direction has a key of its own, derived from the common
// key of the ring and all bytes of both preludes, so that nobody in between can choose version, mode or key.
// Then come records:
//
//   length of the plaintext 2 | XChaCha20-Poly1305 of it: as many bytes and a tag of 16
//
// The nonce is the number of the record in its direction, the length is associated data. The first record of
// each direction is empty: it shows that its sender has the key, before anything is said. No other is.
//
// Unencrypted, the preludes are exchanged all the same, and then bytes pass as they are.
//
// To be used like this:
//   SealedStream stream(options, ring);
//   write(stream.take_output());                       // At once, and after each next().
//   stream.feed(bytes); while (auto plain = next...)   // For what was read.
//   if (stream.established()) stream.seal(plain, out);
// When next() fails, what take_output() still gives should be written before the connection is closed,
// or the other side cannot say why.
//
// Invariants:
//  1. No byte is given out, and none may be sealed, before the other side has shown that it has the key.
//  2. No nonce is used twice, so a stream cannot be copied.
//  3. What is held is what was fed and not asked for, of which at most one record is incomplete.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gossip/key_ring.h"
#include "gossip/stream_prelude.h"

namespace knit {

constexpr std::size_t record_header_bytes = 2;
constexpr std::size_t record_tag_bytes = 16;
constexpr std::size_t record_plaintext_bytes_max = 32 << 10;
constexpr std::uint64_t stream_records_max = std::uint64_t{1} << 48;  // Of a direction: years at any speed.

struct SealedStreamOptions {
  bool dialed = false;  // This side dialed, the other one accepted.
  ProtocolRange versions;
};

class SealedStream {
 public:
  // Without a ring: not encrypted. Later changes of the ring concern later connections.
  SealedStream(SealedStreamOptions options, const KeyRing* ring);
  SealedStream(const SealedStream&) = delete;
  SealedStream& operator=(const SealedStream&) = delete;

  // Bytes to be written to the socket before anything that is sealed afterwards.
  std::string take_output();

  void feed(std::string_view bytes);
  // The next plaintext, if there is some: a view that holds until the next call of feed() or next().
  // To be called until it answers nothing, after each feed(). bad_input or refused: the connection is of no
  // use; it stays so. The message says what is wrong with the other side ("it ...").
  Result<std::optional<std::string_view>> next();

  bool established() const { return phase_ == Phase::open; }
  std::uint8_t version() const { return agreement_.version; }           // Requires: established().
  std::optional<KeyFingerprint> key() const { return agreement_.key; }  // Of the ring. Empty: not encrypted.

  // Appends the records of `plaintext`. Requires: established(); fewer than stream_records_max so far.
  void seal(std::string_view plaintext, std::string& out);

 private:
  enum class Phase : std::uint8_t { prelude, confirmation, open };
  struct Direction {
    SecretKey key;
    std::uint64_t records = 0;
  };

  Result<std::optional<std::string_view>> advance();
  Result<void> read_prelude();
  void derive_keys(const std::string& other);
  Result<std::optional<std::string_view>> read_record();
  void append_record(std::string_view plaintext, std::string& out);

  SealedStreamOptions options_;
  std::vector<SecretKey> ring_;  // Until one of them was agreed upon.
  Prelude prelude_;
  std::string output_;
  std::string input_;  // From read_ on: not yet given out.
  std::size_t read_ = 0;
  Phase phase_ = Phase::prelude;
  Agreement agreement_;
  std::optional<Direction> inbound_;
  std::optional<Direction> outbound_;
  std::optional<Error> failed_;
};

}  // namespace knit
