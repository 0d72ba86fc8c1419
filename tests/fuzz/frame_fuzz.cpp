// Frames between peers: the same messages come out however the bytes come in, and no more is held than the
// limits allow.
#include <array>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "daemon/frame.h"
#include "tests/fuzz/fuzz.h"

using namespace knit;

namespace {

constexpr ChannelLimits limits{100, 5000, 150 << 10};
constexpr std::size_t all_limits = std::accumulate(limits.begin(), limits.end(), std::size_t{0});

using Message = std::pair<std::uint8_t, std::string>;

struct Messages {
  std::vector<Message> whole;
  std::optional<std::string> error;
  bool operator==(const Messages&) const = default;
};

Messages read(FrameReader reader, std::string_view stream, std::size_t piece_bytes) {
  Messages messages;
  while (!stream.empty()) {
    const std::string_view piece = stream.substr(0, piece_bytes);
    stream.remove_prefix(piece.size());
    reader.feed(piece);
    for (;;) {
      auto message = reader.next();
      check(reader.unfinished_bytes() <= all_limits, "what is unfinished is within the limits");
      if (!message) {
        messages.error = message.error().message;
        return messages;
      }
      if (!*message) break;
      check((*message)->bytes.size() <= limits.at((*message)->channel), "a message is within its limit");
      reader.accept();
      messages.whole.emplace_back((*message)->channel, std::move((*message)->bytes));
    }
  }
  return messages;
}

// Of two channels, one may overtake the other.
std::array<std::vector<std::string>, frame_channels> by_channel(const std::vector<Message>& messages) {
  std::array<std::vector<std::string>, frame_channels> sorted;
  for (const auto& [channel, bytes] : messages) sorted.at(channel).push_back(bytes);
  return sorted;
}

std::string written(const std::vector<Message>& messages) {
  FrameWriter writer;
  for (const auto& [channel, bytes] : messages) writer.queue(channel, bytes);
  const std::size_t queued = writer.queued_bytes();
  std::string stream;
  while (!writer.empty()) writer.take(1000, stream);
  check(stream.size() == queued, "as many bytes are written as were queued");
  return stream;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ByteReader in(fuzz::text_of(data, size));
  const std::uint8_t least = in.u8();
  const std::string stream = fuzz::inflate(fuzz::rest_of(in));
  const Messages messages = read(FrameReader(limits), stream, stream.size());
  check(read(FrameReader(limits), stream, fuzz::piece_bytes(stream, least)) == messages,
        "pieces make no difference");

  FrameReader accepted(limits);
  accepted.accept();
  const std::string again = written(messages.whole);
  const Messages reread = read(accepted, again, again.size());
  check(!reread.error && by_channel(reread.whole) == by_channel(messages.whole),
        "messages come back as written");
  return 0;
}
