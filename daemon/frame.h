// How messages of several channels share one byte stream: as fragments in frames. No I/O.
//
// A frame is: length of the fragment (4 bytes, big endian) | channel (1) | flags (1) | fragment.
// A fragment has at most fragment_bytes_max bytes. Flag 1 marks the last fragment of a message; only
// that one may be empty. The fragments of a channel are in order; those of two channels may alternate,
// so a small message never waits for a large one.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace knit {

constexpr std::size_t frame_channels = 3;
constexpr std::size_t frame_header_bytes = 6;
constexpr std::size_t fragment_bytes_max = 64 << 10;
constexpr std::size_t first_message_bytes_max = 4 << 10;  // Until the peer's first message was accepted.

using ChannelLimits = std::array<std::size_t, frame_channels>;  // The longest message of each channel.

struct FrameMessage {
  std::uint8_t channel{};
  std::string bytes;
};

// Takes hostile bytes. What it holds is bounded by what was really sent: at most one unfinished message
// a channel, within its limit, and what was fed but not yet asked for.
class FrameReader {
 public:
  explicit FrameReader(ChannelLimits limits) : limits_(limits) {}

  void feed(std::string_view bytes);
  // The next whole message, if there is one. bad_input: a frame lies; the stream is then of no use.
  // To be called until it answers nothing, after each feed(), or what waits in here grows.
  Result<std::optional<FrameMessage>> next();

  // The peer's first message was good: from now on the channels' own limits hold.
  void accept() { accepted_ = true; }
  bool accepted() const { return accepted_; }

  std::size_t unfinished_bytes() const;  // Of messages whose last fragment is still to come.

 private:
  struct Header;
  Result<std::optional<Header>> header() const;

  ChannelLimits limits_;
  std::string input_;  // From read_ on: not yet looked at.
  std::size_t read_ = 0;
  std::array<std::string, frame_channels> unfinished_;
  bool accepted_ = false;
};

// Queues messages and cuts them into frames. Channel 0, for small messages whose sender does not flood, goes
// first; the others take turns.
class FrameWriter {
 public:
  void queue(std::uint8_t channel, std::string message);  // Requires: channel < frame_channels.
  // Appends whole frames to `out`, until `budget` bytes were appended or more, or nothing waits.
  void take(std::size_t budget, std::string& out);

  bool empty() const { return queued_bytes_ == 0; }
  std::size_t queued_bytes() const { return queued_bytes_; }  // With the headers.

 private:
  struct Queue {
    std::deque<std::string> messages;
    std::size_t sent = 0;  // Of the first one.
  };
  Queue* next_queue();

  std::array<Queue, frame_channels> queues_;
  std::size_t turn_ = 1;  // The channel that was served last, of the others.
  std::size_t queued_bytes_ = 0;
};

}  // namespace knit
