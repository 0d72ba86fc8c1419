#include "gossip/key_text.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/field_text.h"

namespace knit {

namespace {

std::optional<SecretKey> parse_key(std::string_view hex) {
  std::string bytes;
  bytes.reserve(SecretKey::size_bytes);  // It must not move: what it left behind would not be wiped.
  if (hex.size() != 2 * SecretKey::size_bytes || !from_hex(hex, bytes)) return std::nullopt;
  const SecretKey key(bytes);
  wipe(bytes);
  return key;
}

// What the fields have said so far, the primary first.
struct Keys {
  std::vector<SecretKey> all;
  std::optional<TextField> primary;

  Result<void> add(const TextField& field, const std::string& path) {
    const auto key = parse_key(field.value);
    if (!key) return bad_line(path, field.line, "key: expected 64 hex digits");
    if (std::find(all.begin(), all.end(), *key) != all.end()) {
      return bad_line(path, field.line, "key: is here twice");
    }
    if (all.size() >= KeyRing::keys_max) return bad_line(path, field.line, "key: there are more than 8");
    all.push_back(*key);
    return {};
  }

  Result<void> choose_primary(const std::string& path) {
    if (!primary) return {};
    const auto fingerprint = parse_fingerprint(primary->value);
    const auto chosen = std::find_if(all.begin(), all.end(),
                                     [&](const SecretKey& key) { return key.fingerprint() == fingerprint; });
    if (chosen == all.end()) {
      return bad_line(path, primary->line, "primary: expected the fingerprint of one of the keys");
    }
    std::rotate(all.begin(), chosen, chosen + 1);
    return {};
  }
};

}  // namespace

std::string key_text(const SecretKey& key) {
  std::string hex = to_hex(key.bytes());
  std::string out;
  out.reserve(512);
  out += "# A key of a knit cluster, fingerprint " + to_string(key.fingerprint()) +
         ". Whoever has it is a member: copy it over a safe way.\nformat = 1\nkey = ";
  out += hex;
  out += '\n';
  wipe(hex);
  return out;
}

Result<KeyRing> parse_key_text(std::string_view text, const std::string& path) {
  const auto fields = parse_fields(text, path);
  if (!fields) return tl::unexpected(fields.error());
  Keys keys;
  for (const TextField& field : *fields) {
    if (field.name == "key") {
      if (auto added = keys.add(field, path); !added) return tl::unexpected(added.error());
    } else if (field.name != "primary") {
      return bad_line(path, field.line, "unknown field; expected format, key or primary");
    } else if (keys.primary) {
      return bad_line(path, field.line, "primary: is here twice");
    } else {
      keys.primary = field;
    }
  }
  if (keys.all.empty()) return fail(ErrorCode::bad_input, path + ": key is missing");
  if (auto chosen = keys.choose_primary(path); !chosen) return tl::unexpected(chosen.error());
  return KeyRing::make(keys.all);
}

}  // namespace knit
