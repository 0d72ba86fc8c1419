#include "daemon/frame.h"

#include <catch2/catch.hpp>
#include <vector>

#include "base/bytes.h"

using namespace knit;

namespace {

constexpr ChannelLimits limits{std::size_t{256} << 10, std::size_t{72} << 20, std::size_t{72} << 20};

std::string frame(std::uint32_t length, std::uint8_t channel, std::uint8_t flags, std::string_view fragment) {
  std::string out;
  ByteWriter writer(out);
  writer.u32(length);
  writer.u8(channel);
  writer.u8(flags);
  writer.raw(fragment);
  return out;
}

std::string frames_of(FrameWriter& writer) {
  std::string out;
  while (!writer.empty()) writer.take(1, out);
  return out;
}

FrameReader accepted_reader() {
  FrameReader reader(limits);
  reader.accept();
  return reader;
}

// All messages that can be had; none after an error, which is told by `ok`.
std::vector<FrameMessage> drain(FrameReader& reader, bool& ok) {
  std::vector<FrameMessage> out;
  for (;;) {
    auto message = reader.next();
    ok = message.has_value();
    if (!ok || !*message) return out;
    out.push_back(std::move(**message));
  }
}

bool refused(FrameReader& reader, std::string_view bytes) {
  reader.feed(bytes);
  bool ok = true;
  drain(reader, ok);
  return !ok;
}

}  // namespace

TEST_CASE("messages come out as they went in, wherever the stream is cut") {
  FrameWriter writer;
  writer.queue(0, "hello");
  writer.queue(1, "");
  writer.queue(1, std::string(200, 'x'));
  writer.queue(0, "bye");
  const std::string stream = frames_of(writer);
  for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
    FrameReader reader = accepted_reader();
    std::vector<FrameMessage> all;
    for (const std::string& part : {stream.substr(0, cut), stream.substr(cut)}) {
      reader.feed(part);
      bool ok = false;
      for (auto& message : drain(reader, ok)) all.push_back(std::move(message));
      REQUIRE(ok);
    }
    REQUIRE(all.size() == 4);
    CHECK(all[0].bytes == "hello");
    CHECK(all[1].bytes == "bye");  // Of the lower channel, so it goes first.
    CHECK(all[2].bytes.empty());
    CHECK(all[2].channel == 1);
    CHECK(all[3].bytes == std::string(200, 'x'));
  }
}

TEST_CASE("messages come out when the stream arrives byte by byte") {
  FrameWriter writer;
  writer.queue(1, "abc");
  writer.queue(1, "def");
  FrameReader reader = accepted_reader();
  std::string got;
  for (const char byte : frames_of(writer)) {
    reader.feed({&byte, 1});
    bool ok = false;
    for (const auto& message : drain(reader, ok)) got += message.bytes;
    REQUIRE(ok);
  }
  CHECK(got == "abcdef");
}

TEST_CASE("a small message overtakes a large one of a higher channel, between two of its fragments") {
  FrameWriter writer;
  const std::string large(300'000, 'L');
  writer.queue(1, large);
  std::string stream;
  writer.take(1, stream);
  CHECK(stream.size() == frame_header_bytes + fragment_bytes_max);
  writer.queue(0, "small");
  stream += frames_of(writer);

  FrameReader reader = accepted_reader();
  reader.feed(stream);
  bool ok = false;
  const auto messages = drain(reader, ok);
  REQUIRE(ok);
  REQUIRE(messages.size() == 2);
  CHECK(messages[0].bytes == "small");
  CHECK(messages[1].bytes == large);
}

TEST_CASE("a message of 64 MiB passes in fragments, and one byte above the limit does not") {
  FrameWriter writer;
  std::string large(std::size_t{64} << 20, 'v');
  large.front() = 'a';
  large.back() = 'z';
  writer.queue(1, large);
  FrameReader reader = accepted_reader();
  std::optional<FrameMessage> got;
  while (!writer.empty()) {
    std::string part;
    writer.take(100'000, part);
    CHECK(part.size() <= 100'000 + frame_header_bytes + fragment_bytes_max);
    reader.feed(part);
    bool ok = false;
    for (auto& message : drain(reader, ok)) got = std::move(message);
    REQUIRE(ok);
  }
  REQUIRE(got);
  CHECK((got->bytes == large));

  FrameReader narrow({100, 100});
  narrow.accept();
  CHECK_FALSE(refused(narrow, frame(60, 1, 0, std::string(60, 'a')) + frame(40, 1, 1, std::string(40, 'b'))));
  CHECK(refused(narrow, frame(60, 1, 0, std::string(60, 'a')) + frame(41, 1, 1, "")));
}

TEST_CASE("a writer knows how many bytes wait in it") {
  FrameWriter writer;
  writer.queue(1, std::string(fragment_bytes_max, 'a'));
  writer.queue(1, std::string(fragment_bytes_max + 1, 'a'));
  writer.queue(0, "");
  CHECK(writer.queued_bytes() == 2 * fragment_bytes_max + 1 + 4 * frame_header_bytes);
  std::string out;
  const std::size_t before = writer.queued_bytes();
  writer.take(1, out);
  CHECK(writer.queued_bytes() + out.size() == before);
  out += frames_of(writer);
  CHECK(out.size() == before);
}

TEST_CASE("before the first message was accepted, only a short one is taken") {
  FrameReader reader(limits);
  CHECK_FALSE(refused(reader, frame(4096, 0, 1, std::string(4096, 'h'))));
  CHECK(refused(reader, frame(4097, 0, 1, "")));
  FrameReader in_parts(limits);
  CHECK_FALSE(refused(in_parts, frame(4096, 1, 0, std::string(4096, 'h'))));
  CHECK(refused(in_parts, frame(1, 1, 1, "h")));
  FrameReader then_more(limits);
  then_more.accept();
  CHECK_FALSE(refused(then_more, frame(4097, 0, 1, std::string(4097, 'h'))));
}

TEST_CASE("a header that lies is refused before its fragment has come") {
  const auto hostile = [](const std::string& bytes) {
    FrameReader reader = accepted_reader();
    return refused(reader, bytes);
  };
  CHECK(hostile(frame(0xffffffff, 0, 1, "")));
  CHECK(hostile(frame(fragment_bytes_max + 1, 1, 1, "")));
  CHECK(hostile(frame(1, 3, 1, "a")));
  CHECK(hostile(frame(1, 255, 1, "a")));
  CHECK(hostile(frame(1, 0, 2, "a")));
  CHECK(hostile(frame(1, 0, 128, "a")));
  CHECK(hostile(frame(0, 0, 0, "")));
  CHECK(hostile("GET / HTTP/1.1\r\n\r\n"));
  CHECK_FALSE(hostile(frame(fragment_bytes_max, 1, 1, "")));  // Honest so far: the rest may come.
}

TEST_CASE("a reader that was lied to stays so") {
  FrameReader reader = accepted_reader();
  CHECK(refused(reader, frame(0, 9, 0, "")));
  CHECK(refused(reader, frame(2, 0, 1, "ok")));
}
