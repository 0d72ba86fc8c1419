// Segments of the journal after any damage: each frame that was written whole is found, up to the end, and
// nothing that an earlier use left behind. Headers and names of segments.
#include <vector>

#include "base/hash.h"
#include "store/journal_frame.h"
#include "store/lmdb/journal_segment.h"
#include "tests/fuzz/fuzz.h"

using namespace knit;

namespace {

constexpr std::uint64_t seed = 0x0123456789abcdef;
constexpr std::uint64_t earlier_seed = 0x1123456789abcdef;
constexpr std::size_t pieces_max = 64;

std::string sealed(std::string frame, std::uint64_t with_seed) {
  seal_frame(frame.data(), frame.size(), with_seed);
  return frame;
}

std::string record_frame(std::string_view row) {
  std::string frame;
  JournalRecord record;
  record.row = row;
  append_frame(frame, record);
  return frame;
}

std::string end_frame() {
  std::string frame;
  append_end_frame(frame);
  return frame;
}

// A segment, and what must be found in it.
struct Segment {
  std::string bytes;
  std::vector<std::string> found;
  bool damaged = false;
  bool ended = false;

  void add_record(std::string_view row) {
    bytes += sealed(record_frame(row), seed);
    if (!ended) found.emplace_back(row);
  }
  void add_end() {
    bytes += sealed(end_frame(), seed);
    ended = ended || !damaged;
  }
  void add_damage(const std::string& what) {
    bytes += what;
    damaged = damaged || (!ended && !what.empty());
  }
};

Segment read_segment(ByteReader& in) {
  Segment segment;
  for (std::size_t pieces = 0; pieces < pieces_max && in.left() > 0; ++pieces) {
    const std::uint8_t kind = in.u8();
    const std::string_view bytes = in.bytes();
    switch (kind % 4) {
      case 0: segment.add_record(bytes); break;
      case 1: segment.add_end(); break;
      case 2: segment.add_damage(sealed(record_frame(bytes), earlier_seed)); break;
      default:
        segment.add_damage(std::string(bytes.substr(0, bytes.size() / frame_alignment * frame_alignment)));
    }
  }
  return segment;
}

void compare(const Segment& segment) {
  JournalFrames frames(segment.bytes, seed);
  for (const std::string& row : segment.found) {
    const auto payload = frames.next();
    DecodedRecord decoded;
    check(payload && decode_payload(*payload, decoded) && decoded.record.row == row,
          "a whole frame is found");
  }
  check(!frames.next(), "nothing else is found");
  check(frames.damaged() == (segment.damaged || !segment.ended), "damage is told");
}

void take_header(std::string_view bytes) {
  check(!SegmentHeader::decode(bytes) || bytes.size() >= 48, "a header is whole");
  std::string fixed(bytes.substr(0, 40));
  ByteWriter(fixed).u64(checksum(fixed));
  const auto header = SegmentHeader::decode(fixed);
  if (!header) return;
  const auto again = SegmentHeader::decode(header->encode());
  check(again && again->encode() == header->encode(), "a header comes back");
}

void take_name(std::string_view name) {
  const auto generation = segment_generation(name);
  if (generation) check(segment_generation(segment_name(*generation)) == generation, "a name comes back");
}

}  // namespace

// Kind | header, name or pieces of a segment
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ByteReader in(fuzz::text_of(data, size));
  switch (in.u8() % 4) {
    case 0: take_header(fuzz::rest_of(in)); break;
    case 1: take_name(fuzz::rest_of(in)); break;
    default: compare(read_segment(in));
  }
  return 0;
}
