#include "node/stream_payload.h"

#include <zstd.h>

#include "base/bytes.h"
#include "base/check.h"

namespace knit {

namespace {

constexpr std::uint8_t flag_compressed = 1;
constexpr std::uint8_t flag_clear = 2;
constexpr int compression_level = 1;
constexpr std::size_t row_key_bytes_min = 8 + 2 + 1;
constexpr std::size_t item_bytes_min = 1 + 1 + row_key_bytes_min + 1;

Result<StreamPayload> broken() {
  return fail(ErrorCode::bad_input, "a stream batch that cannot be understood");
}

std::uint64_t hash_of(std::string_view row_key) { return ByteReader(row_key).u64(); }

std::optional<std::string> compress(std::string_view contents) {
  std::string frame(ZSTD_compressBound(contents.size()), '\0');
  const std::size_t size =
      ZSTD_compress(frame.data(), frame.size(), contents.data(), contents.size(), compression_level);
  if (ZSTD_isError(size) != 0) return std::nullopt;
  frame.resize(size);
  return frame;
}

std::optional<std::vector<char>> decompress(std::string_view frame) {
  const unsigned long long size = ZSTD_getFrameContentSize(frame.data(), frame.size());
  if (size > stream_compressed_contents_max)
    return std::nullopt;  // Unknown and wrong sizes are huge numbers.
  std::vector<char> contents(static_cast<std::size_t>(size));
  const std::size_t got = ZSTD_decompress(contents.data(), contents.size(), frame.data(), frame.size());
  if (ZSTD_isError(got) != 0 || got != contents.size()) return std::nullopt;
  return contents;
}

std::optional<Clock> read_clock(ByteReader& in) {
  ByteReader bytes(in.bytes());
  Clock clock = Clock::decode(bytes);
  if (!bytes.done()) return std::nullopt;
  return clock;
}

void write_clock(ByteWriter& out, const Clock& clock) {
  std::string bytes;
  ByteWriter writer(bytes);
  clock.encode(writer);
  out.bytes(bytes);
}

void read_part(ByteReader& in, StreamPayload& payload) {
  const ActorId actor{in.u64()};
  std::uint64_t sequence = 0;
  for (std::size_t left = in.count(item_bytes_min, stream_items_max - payload.items.size());
       left > 0 && in.ok(); --left) {
    const std::uint64_t distance = in.varint();
    const std::string_view row_key = in.bytes();
    const std::string_view body = in.bytes();
    if (distance == 0 || sequence + distance < sequence || row_key.size() < row_key_bytes_min) in.fail();
    sequence += distance;
    payload.items.push_back({{actor, sequence}, row_key, body});
  }
}

}  // namespace

void StreamPayloadWriter::begin_part(ActorId actor) { index_.push_back({actor, parts_.size(), 0, 0}); }

void StreamPayloadWriter::add(std::uint64_t sequence, std::string_view row_key, std::string_view body) {
  check(!index_.empty() && sequence > index_.back().last, "items of an actor ascend");
  Part& part = index_.back();
  ByteWriter out(parts_);
  out.varint(sequence - part.last);
  out.varint(row_key.size());
  const bool is_new = !body.empty() && remember(row_key);
  out.raw(row_key);
  out.bytes(is_new ? body : std::string_view{});
  part.last = sequence;
  ++part.items;
  ++items_;
  rows_ += is_new ? 1 : 0;
}

// False if the row is in the batch. A slot knows its last row only: an earlier one is then sent again.
bool StreamPayloadWriter::remember(std::string_view row_key) {
  const std::uint64_t hash = hash_of(row_key);
  Seen& seen = seen_[(hash >> 20) % seen_.size()];
  const bool known = seen.row_key_at != 0 && seen.hash == hash &&
                     std::string_view(parts_).substr(seen.row_key_at, row_key.size()) == row_key;
  if (!known) seen = {hash, parts_.size()};  // Its length precedes it: never at 0.
  return !known;
}

std::string StreamPayloadWriter::finish(bool compressed) const {
  std::string payload(1, '\0');
  payload.reserve(parts_.size() + 64);
  ByteWriter out(payload);
  if (clear_) write_clock(out, *clear_);
  write_clock(out, covered_);
  out.varint(index_.size());
  for (std::size_t i = 0; i < index_.size(); ++i) {
    const std::size_t end = i + 1 < index_.size() ? index_[i + 1].begin : parts_.size();
    out.u64(index_[i].actor.value);
    out.varint(index_[i].items);
    out.raw(std::string_view(parts_).substr(index_[i].begin, end - index_[i].begin));
  }
  payload[0] = clear_ ? flag_clear : 0;
  if (!compressed || payload.size() > stream_compressed_contents_max) return payload;
  const auto frame = compress(std::string_view(payload).substr(1));
  if (!frame || frame->size() >= payload.size()) return payload;
  return static_cast<char>(payload[0] | flag_compressed) + *frame;
}

Result<StreamPayload> decode_stream_payload(std::string_view bytes) {
  if (bytes.empty()) return broken();
  const auto flags = static_cast<std::uint8_t>(bytes.front());
  StreamPayload payload;
  std::string_view contents = bytes.substr(1);
  if ((flags & flag_compressed) != 0) {
    auto plain = decompress(contents);
    if (!plain) return broken();
    payload.contents = std::move(*plain);
    contents = {payload.contents.data(), payload.contents.size()};
  }
  ByteReader in(contents);
  if ((flags & flag_clear) != 0) {
    payload.clear = read_clock(in);
    if (!payload.clear) return broken();
  }
  auto covered = read_clock(in);
  if (!covered) return broken();
  payload.covered = std::move(*covered);
  for (std::size_t parts = in.count(9, Clock::actors_max); parts > 0 && in.ok(); --parts)
    read_part(in, payload);
  if (!in.done() || flags > (flag_compressed | flag_clear)) return broken();
  return payload;
}

}  // namespace knit
