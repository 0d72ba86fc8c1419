#include "gossip/stream_prelude.h"

#include <algorithm>

#include "base/bytes.h"

namespace knit {

namespace {

constexpr std::string_view magic = "\xc8knt";  // Nothing that a client of another protocol begins with.
constexpr std::size_t keys_at = 7;

std::string text(ProtocolRange range) {
  return std::to_string(range.lowest) + " to " + std::to_string(range.highest);
}

}  // namespace

std::string encode(const Prelude& prelude) {
  std::string out;
  ByteWriter writer(out);
  writer.raw(magic);
  writer.u8(prelude.versions.lowest);
  writer.u8(prelude.versions.highest);
  writer.u8(prelude.encrypted ? 1 : 0);
  writer.u8(static_cast<std::uint8_t>(prelude.keys.size()));
  for (const KeyFingerprint key : prelude.keys) writer.u32(key.value);
  writer.raw(prelude.random);
  return out;
}

Result<std::optional<Prelude>> decode_prelude(std::string_view bytes) {
  const auto bad = [] { return fail(ErrorCode::bad_input, "this is not a knit peer"); };
  const std::size_t seen = std::min(bytes.size(), magic.size());
  if (bytes.substr(0, seen) != magic.substr(0, seen)) return bad();
  if (bytes.size() <= keys_at) return std::nullopt;
  ByteReader in(bytes.substr(magic.size()));
  Prelude prelude;
  prelude.versions = {in.u8(), in.u8()};
  const std::uint8_t mode = in.u8();
  const std::size_t keys = in.u8();
  prelude.encrypted = mode == 1;
  if (mode > 1 || keys > Prelude::keys_max) return bad();
  if (prelude.encrypted != (keys > 0)) return bad();
  if (prelude.versions.lowest > prelude.versions.highest) return bad();
  for (std::size_t i = 0; i < keys; ++i) prelude.keys.push_back({in.u32()});
  prelude.random = in.raw(Prelude::random_bytes);
  return in.ok() ? std::optional(std::move(prelude)) : std::nullopt;
}

Result<Agreement> agree(const Prelude& own, const Prelude& other, bool dialed) {
  const auto refused = [](std::string why) { return fail(ErrorCode::refused, std::move(why)); };
  const std::uint8_t version = std::min(own.versions.highest, other.versions.highest);
  if (version < own.versions.lowest || version < other.versions.lowest) {
    return refused("it speaks protocol versions " + text(other.versions) + ", this node " +
                   text(own.versions));
  }
  if (own.encrypted && !other.encrypted) {
    return refused("it is not encrypted, this node is: see gossip.keyring_file");
  }
  if (other.encrypted && !own.encrypted) return refused("it is encrypted and this node is not");
  if (!own.encrypted) return Agreement{version, std::nullopt};
  const auto& wishes = dialed ? own.keys : other.keys;
  const auto& held = dialed ? other.keys : own.keys;
  const auto common = std::find_first_of(wishes.begin(), wishes.end(), held.begin(), held.end());
  if (common == wishes.end()) return refused("it has none of our keys");
  return Agreement{version, *common};
}

}  // namespace knit
