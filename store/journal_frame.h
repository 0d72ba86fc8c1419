// Journal records as bytes: in frames, which a segment of the journal is a row of.
//
//   checksum 8 | length of payload 4 | type 4 | payload | zeros up to a multiple of 8
//
// The type is masked with the low half of the seed. The checksum is XXH3 over all from the length to the end
// of the payload, under the seed of the segment's present use: what an earlier use left there never
// validates, nor does what a client sent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/ports.h"

namespace knit {

constexpr std::size_t frame_alignment = 8;
constexpr std::size_t journal_frame_header_bytes = 16;

enum class JournalFrameType : std::uint32_t {
  record = 0x7265636f,
  end = 0x656e6421,  // Nothing was written after it. Its payload is empty.
};

// Appends a frame that is still to be sealed.
void append_frame(std::string& out, const JournalRecord& record);
void append_end_frame(std::string& out);

// The size of the frame that begins there. Requires: append_frame() made it.
std::size_t frame_bytes(std::string_view frames);
// Its position. Requires: a record's.
JournalPosition frame_position(std::string_view frame);
// Masks the type and enters the checksum. Requires: frame_bytes(frame) == frame.size().
void seal_frame(char* frame, std::size_t size, std::uint64_t seed);

// Takes the frames of a segment apart, whatever has happened to it.
class JournalFrames {
 public:
  JournalFrames(std::string_view bytes, std::uint64_t seed) : bytes_(bytes), seed_(seed) {}

  // The payload of the next record that validates; empty at the end. What does not validate is skipped,
  // up to the next frame that does.
  std::optional<std::string_view> next();
  // Whether anything was skipped, or the end frame is missing. Requires: next() answered empty.
  bool damaged() const { return damaged_; }

 private:
  struct Frame {
    JournalFrameType type{};
    std::string_view payload;
    std::size_t size = 0;
  };
  std::optional<Frame> frame_at(std::size_t offset) const;

  std::string_view bytes_;
  std::uint64_t seed_;
  std::size_t offset_ = 0;
  bool damaged_ = false;
};

// A record taken apart; views into the payload. corrupt if it cannot be decoded.
struct DecodedRecord {
  JournalRecord record;  // Its `dots` are those below: do not copy.
  std::vector<Dot> dots;
};
Result<void> decode_payload(std::string_view payload, DecodedRecord& decoded);

}  // namespace knit
