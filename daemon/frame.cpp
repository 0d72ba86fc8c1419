#include "daemon/frame.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/check.h"

namespace knit {

namespace {

constexpr std::uint8_t flag_last = 1;

// What a message needs on the wire. An empty one is one empty fragment.
std::size_t framed_bytes(std::size_t message_bytes) {
  const std::size_t fragments =
      std::max<std::size_t>(1, (message_bytes + fragment_bytes_max - 1) / fragment_bytes_max);
  return message_bytes + fragments * frame_header_bytes;
}

}  // namespace

struct FrameReader::Header {
  std::size_t length{};
  std::uint8_t channel{};
  bool last = false;
};

void FrameReader::feed(std::string_view bytes) {
  input_.erase(0, std::exchange(read_, 0));
  input_.append(bytes);
}

std::size_t FrameReader::unfinished_bytes() const {
  std::size_t bytes = 0;
  for (const std::string& message : unfinished_) bytes += message.size();
  return bytes;
}

Result<std::optional<FrameReader::Header>> FrameReader::header() const {
  if (input_.size() - read_ < frame_header_bytes) return std::nullopt;
  ByteReader in(std::string_view(input_).substr(read_, frame_header_bytes));
  const std::size_t length = in.u32();
  const std::uint8_t channel = in.u8();
  const std::uint8_t flags = in.u8();
  const bool last = flags == flag_last;
  if (flags > flag_last) return fail(ErrorCode::bad_input, "a frame has unknown flags");
  if (channel >= frame_channels) return fail(ErrorCode::bad_input, "a frame has an unknown channel");
  if (length > fragment_bytes_max) return fail(ErrorCode::bad_input, "a frame is longer than 64 KiB");
  if (length == 0 && !last) return fail(ErrorCode::bad_input, "a frame in the middle of a message is empty");
  const std::size_t limit =
      accepted_ ? limits_[channel] : std::min(first_message_bytes_max, limits_[channel]);
  if (unfinished_[channel].size() + length > limit) {
    return fail(ErrorCode::bad_input, "a message is longer than " + std::to_string(limit) + " bytes");
  }
  return Header{length, channel, last};
}

Result<std::optional<FrameMessage>> FrameReader::next() {
  for (;;) {
    const auto found = header();
    if (!found) return tl::unexpected(found.error());
    if (!*found || input_.size() - read_ < frame_header_bytes + (*found)->length) return std::nullopt;
    const Header frame = **found;
    std::string& message = unfinished_[frame.channel];
    message.append(input_, read_ + frame_header_bytes, frame.length);
    read_ += frame_header_bytes + frame.length;
    if (frame.last) return FrameMessage{frame.channel, std::exchange(message, {})};
  }
}

void FrameWriter::queue(std::uint8_t channel, std::string message) {
  check(channel < frame_channels, "a message goes to a channel that exists");
  queued_bytes_ += framed_bytes(message.size());
  queues_[channel].messages.push_back(std::move(message));
}

// Channel 0, else the others by turns.
FrameWriter::Queue* FrameWriter::next_queue() {
  if (!queues_[0].messages.empty()) return queues_.data();
  for (std::size_t i = 1; i < frame_channels; ++i) {
    turn_ = turn_ % (frame_channels - 1) + 1;
    if (!queues_[turn_].messages.empty()) return &queues_[turn_];
  }
  return nullptr;
}

void FrameWriter::take(std::size_t budget, std::string& out) {
  const std::size_t enough = out.size() + budget;
  while (out.size() < enough) {
    Queue* queue = next_queue();
    if (queue == nullptr) return;
    const std::string& message = queue->messages.front();
    const std::size_t length = std::min(fragment_bytes_max, message.size() - queue->sent);
    const bool last = queue->sent + length == message.size();
    ByteWriter frame(out);
    frame.u32(static_cast<std::uint32_t>(length));
    frame.u8(static_cast<std::uint8_t>(queue - queues_.data()));
    frame.u8(last ? flag_last : 0);
    frame.raw(std::string_view(message).substr(queue->sent, length));
    queued_bytes_ -= frame_header_bytes + length;
    queue->sent += length;
    if (last) {
      queue->messages.pop_front();
      queue->sent = 0;
    }
  }
}

}  // namespace knit
