// Records of the journal: what decodes says the same when it is written anew, in a frame that shows any
// damage.
#include "store/journal_frame.h"
#include "tests/fuzz/fuzz.h"

using namespace knit;

namespace {

constexpr std::uint64_t seed = 0x0123456789abcdef;

std::string sealed(const JournalRecord& record) {
  std::string frame;
  append_frame(frame, record);
  check(frame_bytes(frame) == frame.size() && frame_position(frame) == record.position,
        "a frame tells what it is");
  seal_frame(frame.data(), frame.size(), seed);
  return frame;
}

std::string end_frame() {
  std::string frame;
  append_end_frame(frame);
  seal_frame(frame.data(), frame.size(), seed);
  return frame;
}

std::string payload_of(const std::string& frames) {
  JournalFrames reader(frames, seed);
  const auto payload = reader.next();
  check(payload.has_value(), "a sealed frame is read");
  std::string copy(*payload);
  check(!reader.next() && !reader.damaged(), "there is no other one, and no damage");
  return copy;
}

void check_damage_shows(std::string frames, std::size_t at) {
  frames[at] = static_cast<char>(frames[at] ^ 1);
  JournalFrames reader(frames, seed);
  while (reader.next()) {
  }
  check(reader.damaged(), "damage shows");
}

}  // namespace

// Two bytes that say what is to be damaged | payload
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ByteReader in(fuzz::text_of(data, size));
  const std::size_t at = in.u16();
  DecodedRecord decoded;
  if (!decode_payload(fuzz::rest_of(in), decoded)) return 0;
  const std::string frame = sealed(decoded.record);
  const std::string payload = payload_of(frame + end_frame());
  DecodedRecord again;
  check(decode_payload(payload, again).has_value(), "what we wrote can be decoded");
  check(sealed(again.record) == frame, "it says the same");
  check_damage_shows(frame + end_frame(), at % (journal_frame_header_bytes + payload.size()));
  return 0;
}
