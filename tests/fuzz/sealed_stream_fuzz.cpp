// The encrypted stream between peers. The first byte chooses: whether there are keys, and whether all comes
// from a stranger or only what follows a good handshake. The second says in what pieces it arrives.
#include <optional>
#include <vector>

#include "gossip/sealed_stream.h"
#include "tests/fuzz/fuzz.h"

using namespace knit;

namespace {

const KeyRing& ring() {
  static const KeyRing one = *KeyRing::make({SecretKey(std::string(SecretKey::size_bytes, 'k'))});
  return one;
}

struct Heard {
  std::string bytes;
  bool failed = false;
};

Heard drain(SealedStream& at) {
  Heard heard;
  for (;;) {
    const auto next = at.next();
    heard.failed = !next;
    if (!next || !*next) return heard;
    check(at.established() && (*next)->size() <= record_plaintext_bytes_max,
          "no byte before the key is shown");
    heard.bytes += **next;
  }
}

Heard hear(SealedStream& at, std::string_view stream, std::size_t piece_bytes) {
  Heard all;
  while (!stream.empty() && !all.failed) {
    const std::string_view piece = stream.substr(0, piece_bytes);
    stream.remove_prefix(piece.size());
    at.feed(piece);
    const Heard heard = drain(at);
    all.bytes += heard.bytes;
    all.failed = heard.failed;
  }
  return all;
}

void shake_hands(SealedStream& dialed, SealedStream& accepted) {
  for (int round = 0; round < 3; ++round) {
    accepted.feed(dialed.take_output());
    drain(accepted);
    dialed.feed(accepted.take_output());
    drain(dialed);
  }
  check(dialed.established() && accepted.established(), "two who have the key agree");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ByteReader in(fuzz::text_of(data, size));
  const std::uint8_t choice = in.u8();
  const std::uint8_t least = in.u8();
  const std::string stream = fuzz::inflate(fuzz::rest_of(in));
  const bool keyed = (choice & 1) != 0;
  const KeyRing* keys = keyed ? &ring() : nullptr;
  SealedStream accepted({false, {3, 4}}, keys);
  const std::size_t piece_bytes = fuzz::piece_bytes(stream, least);
  if ((choice & 2) == 0) {
    hear(accepted, stream, piece_bytes);
    check(!keyed || !accepted.established(), "a stranger is not let in");
    return 0;
  }
  SealedStream dialed({true, {4, 5}}, keys);
  shake_hands(dialed, accepted);
  check(dialed.version() == 4, "the highest version that both speak");
  std::string sealed;
  dialed.seal("what is said", sealed);
  const Heard good = hear(accepted, sealed, piece_bytes);
  check(!good.failed && good.bytes == "what is said", "what was sealed is opened");
  const Heard heard = hear(accepted, stream, piece_bytes);
  check(!keyed || heard.bytes.empty(), "what nobody sealed is not given out");
  check(keyed || heard.bytes == stream, "unencrypted, bytes pass as they are");
  return 0;
}
