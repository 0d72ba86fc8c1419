#include "node/token.h"

#include <sodium.h>

#include <cstdint>

#include "base/bytes.h"

namespace knit {

namespace {

constexpr std::uint8_t format = 2;
constexpr std::size_t tag_bytes = 8;
constexpr int variant = sodium_base64_VARIANT_URLSAFE_NO_PADDING;

std::uint64_t tag_of(std::string_view entries, const HashKeys& keys) {
  return siphash64("knit token" + std::string(entries), keys.digest);
}

}  // namespace

std::string token_text(const Token& token, const HashKeys& keys) {
  std::string bytes;
  ByteWriter out(bytes);
  out.u8(format);
  out.u32(token.members);
  for (const auto& [actor, entry] : token.needed.entries()) {
    out.u64(actor.value);
    out.varint(entry.base);
  }
  out.u64(tag_of(bytes, keys));
  std::string text(sodium_base64_ENCODED_LEN(bytes.size(), variant), '\0');
  sodium_bin2base64(text.data(), text.size(), reinterpret_cast<const unsigned char*>(bytes.data()),
                    bytes.size(), variant);
  text.pop_back();  // The zero that ends it.
  return text;
}

Result<Token> parse_token(std::string_view text, const HashKeys& keys) {
  const auto bad = [] { return fail(ErrorCode::bad_input, "this is no token of this cluster"); };
  if (text.size() > token_text_bytes_max) return bad();
  std::string bytes(text.size(), '\0');
  std::size_t size = 0;
  const char* end = nullptr;
  const int decoded = sodium_base642bin(reinterpret_cast<unsigned char*>(bytes.data()), bytes.size(),
                                        text.data(), text.size(), nullptr, &size, &end, variant);
  if (decoded != 0 || end != text.data() + text.size() || size <= tag_bytes) return bad();
  const std::string_view entries(bytes.data(), size - tag_bytes);
  ByteReader tag({bytes.data() + entries.size(), tag_bytes});
  if (tag.u64() != tag_of(entries, keys)) return bad();
  ByteReader in(entries);
  if (in.u8() != format) return bad();
  Token token;
  token.members = in.u32();
  while (in.ok() && in.left() > 0) {
    const ActorId actor{in.u64()};
    const std::uint64_t sequence = in.varint();
    if (sequence == 0) return bad();
    token.needed.add(actor, {1, sequence});
  }
  if (!in.done() || !token.needed.within_limits()) return bad();
  return token;
}

}  // namespace knit
