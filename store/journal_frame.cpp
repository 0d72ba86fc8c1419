#include "store/journal_frame.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/hash.h"

namespace knit {

namespace {

constexpr std::size_t checksum_bytes = 8;
constexpr std::size_t type_offset = 12;
constexpr std::size_t dots_max = 8192;
constexpr std::size_t dot_bytes_min = 9;
constexpr std::uint8_t flag_logged = 1;
constexpr std::uint8_t flag_row_unchanged = 2;

std::size_t padded(std::size_t size) {
  return (size + frame_alignment - 1) / frame_alignment * frame_alignment;
}

void begin_frame(std::string& out, JournalFrameType type) {
  ByteWriter writer(out);
  writer.u64(0);
  writer.u32(0);
  writer.u32(static_cast<std::uint32_t>(type));
}

// Enters the length of what follows the header that begins at `start`.
void end_frame(std::string& out, std::size_t start) {
  const auto length = static_cast<std::uint32_t>(out.size() - start - journal_frame_header_bytes);
  for (unsigned i = 0; i < 4; ++i) {
    out[start + checksum_bytes + i] = static_cast<char>(length >> (24 - 8 * i));
  }
  out.resize(start + padded(journal_frame_header_bytes + length), '\0');
}

std::size_t payload_bytes(std::string_view frame) {
  return ByteReader(frame.substr(checksum_bytes, 4)).u32();
}

std::uint64_t sum_of(std::string_view frame, std::size_t payload, std::uint64_t seed) {
  return checksum(frame.substr(checksum_bytes, journal_frame_header_bytes - checksum_bytes + payload), seed);
}

// The type as it stands in a sealed frame. What a client sent cannot look like a frame: the seed is secret,
// so the search for one after damage does not try checksums in vain.
std::uint32_t masked(JournalFrameType type, std::uint64_t seed) {
  return static_cast<std::uint32_t>(type) ^ static_cast<std::uint32_t>(seed);
}

}  // namespace

void append_frame(std::string& out, const JournalRecord& record) {
  const std::size_t start = out.size();
  begin_frame(out, JournalFrameType::record);
  ByteWriter writer(out);
  writer.u64(record.position.value);
  writer.u64(record.stamp);
  writer.bytes(record.row_key);
  writer.bytes(record.row);
  writer.u8(static_cast<std::uint8_t>((record.logged ? flag_logged : 0) |
                                      (record.row_unchanged ? flag_row_unchanged : 0)));
  writer.varint(record.dots.size());
  for (const Dot dot : record.dots) {
    writer.u64(dot.actor.value);
    writer.varint(dot.sequence);
  }
  writer.bytes(record.clock);
  writer.u8(static_cast<std::uint8_t>(record.clock_change));
  writer.bytes(record.meta_name);
  writer.bytes(record.meta_value);
  end_frame(out, start);
}

void append_end_frame(std::string& out) { begin_frame(out, JournalFrameType::end); }

std::size_t frame_bytes(std::string_view frames) {
  return padded(journal_frame_header_bytes + payload_bytes(frames));
}

JournalPosition frame_position(std::string_view frame) {
  return {ByteReader(frame.substr(journal_frame_header_bytes, 8)).u64()};
}

void seal_frame(char* frame, std::size_t size, std::uint64_t seed) {
  for (std::size_t i = 0; i < 4; ++i) frame[type_offset + i] ^= static_cast<char>(seed >> (24 - 8 * i));
  const std::string_view bytes(frame, size);
  std::uint64_t sum = sum_of(bytes, payload_bytes(bytes), seed);
  for (std::size_t i = checksum_bytes; i-- > 0; sum >>= 8) frame[i] = static_cast<char>(sum & 0xff);
}

std::optional<JournalFrames::Frame> JournalFrames::frame_at(std::size_t offset) const {
  const std::string_view rest = bytes_.substr(offset);
  if (rest.size() < journal_frame_header_bytes) return std::nullopt;
  ByteReader in(rest);
  const std::uint64_t sum = in.u64();
  const std::size_t length = in.u32();
  const std::uint32_t type_bytes = in.u32();
  const bool is_end = type_bytes == masked(JournalFrameType::end, seed_);
  if (!is_end && type_bytes != masked(JournalFrameType::record, seed_)) return std::nullopt;
  if (length > rest.size() - journal_frame_header_bytes) return std::nullopt;
  if (sum != sum_of(rest, length, seed_)) return std::nullopt;
  const JournalFrameType type = is_end ? JournalFrameType::end : JournalFrameType::record;
  return Frame{type, rest.substr(journal_frame_header_bytes, length),
               padded(journal_frame_header_bytes + length)};
}

std::optional<std::string_view> JournalFrames::next() {
  while (offset_ < bytes_.size()) {
    const auto frame = frame_at(offset_);
    if (!frame) {
      damaged_ = true;
      offset_ += frame_alignment;
      continue;
    }
    offset_ = std::min(offset_ + frame->size, bytes_.size());
    // An end that stands amid the damage is not the end.
    if (frame->type == JournalFrameType::end && damaged_) continue;
    if (frame->type == JournalFrameType::end) return std::nullopt;
    return frame->payload;
  }
  damaged_ = true;
  return std::nullopt;
}

Result<void> decode_payload(std::string_view payload, DecodedRecord& decoded) {
  ByteReader in(payload);
  decoded.dots.clear();
  JournalRecord& record = decoded.record;
  record.position = {in.u64()};
  record.stamp = in.u64();
  record.row_key = in.bytes();
  record.row = in.bytes();
  const std::uint8_t flags = in.u8();
  record.logged = (flags & flag_logged) != 0;
  record.row_unchanged = (flags & flag_row_unchanged) != 0;
  const std::size_t count = in.count(dot_bytes_min, dots_max);
  for (std::size_t i = 0; i < count; ++i) decoded.dots.push_back({{in.u64()}, in.varint()});
  record.dots = decoded.dots;
  record.clock = in.bytes();
  record.clock_change = ClockChange{in.u8()};
  record.meta_name = in.bytes();
  record.meta_value = in.bytes();
  const bool known_change = record.clock_change <= ClockChange::streamed;
  if (!in.done() || !known_change || (record.logged && decoded.dots.empty())) {
    return fail(ErrorCode::corrupt, "a record of the journal cannot be decoded");
  }
  return {};
}

}  // namespace knit
