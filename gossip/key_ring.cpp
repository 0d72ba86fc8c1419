#include "gossip/key_ring.h"

#include <algorithm>
#include <limits>
#include <tuple>

#include "base/bytes.h"

namespace knit {

namespace {

constexpr std::uint8_t encoding_format = 1;
constexpr std::uint8_t record_removed = 0;
constexpr std::uint8_t record_key = 1;
constexpr std::size_t record_bytes_min = 8 + 1 + 4;

}  // namespace

std::strong_ordering KeyRing::Primary::operator<=>(const Primary& other) const {
  return std::tuple(version, key.fingerprint(), key) <=>
         std::tuple(other.version, other.key.fingerprint(), other.key);
}

std::strong_ordering KeyRing::Record::operator<=>(const Record& other) const {
  return std::tuple(version, !key.has_value(), key) <=>
         std::tuple(other.version, !other.key.has_value(), other.key);
}

Result<KeyRing> KeyRing::make(const std::vector<SecretKey>& keys) {
  if (keys.empty()) return fail(ErrorCode::bad_input, "a key ring has at least one key");
  if (keys.size() > keys_max) return fail(ErrorCode::bad_input, "a key ring has at most 8 keys");
  KeyRing ring(Primary{0, keys.front()});
  for (const SecretKey& key : keys) ring.raise(key.fingerprint(), {0, key});
  if (ring.records_.size() < keys.size()) {
    return fail(ErrorCode::bad_input, "two keys of the ring are the same, or have the same fingerprint");
  }
  return ring;
}

Result<void> KeyRing::add(const SecretKey& key) {
  const KeyFingerprint fingerprint = key.fingerprint();
  const SecretKey* held = find(fingerprint);
  if (held != nullptr && *held == key) {
    return fail(ErrorCode::refused, "key " + to_string(fingerprint) + " is in the ring already");
  }
  if (held != nullptr) {
    return fail(ErrorCode::refused,
                "another key has the fingerprint " + to_string(fingerprint) + "; generate a new one");
  }
  if (records_.contains(fingerprint)) {
    return fail(ErrorCode::refused,
                "key " + to_string(fingerprint) +
                    " was removed from the ring and cannot come back; generate a new one");
  }
  if (keys().size() >= keys_max) {
    return fail(ErrorCode::refused, "the ring is full: it has 8 keys; remove one first");
  }
  return next_version().map([&](std::uint64_t version) { raise(fingerprint, {version, key}); });
}

Result<void> KeyRing::use(KeyFingerprint fingerprint) {
  const SecretKey* key = find(fingerprint);
  if (key == nullptr) {
    return fail(ErrorCode::not_found, "no key of the ring has the fingerprint " + to_string(fingerprint));
  }
  return next_version().map([&](std::uint64_t version) { primary_ = {version, SecretKey(*key)}; });
}

Result<void> KeyRing::remove(KeyFingerprint fingerprint) {
  if (fingerprint == primary().fingerprint()) {
    return fail(ErrorCode::refused,
                "key " + to_string(fingerprint) + " is the primary; use another one before it is removed");
  }
  if (find(fingerprint) == nullptr) {
    return fail(ErrorCode::not_found, "no key of the ring has the fingerprint " + to_string(fingerprint));
  }
  return next_version().map([&](std::uint64_t version) { raise(fingerprint, {version, std::nullopt}); });
}

bool KeyRing::merge(const KeyRing& other) {
  const KeyRing before = *this;
  primary_ = std::max(primary_, other.primary_);
  for (const auto& [fingerprint, record] : other.records_) raise(fingerprint, record);
  return *this != before;
}

std::vector<SecretKey> KeyRing::keys() const {
  std::vector<std::tuple<std::uint64_t, KeyFingerprint, const SecretKey*>> others;
  const KeyFingerprint first = primary().fingerprint();
  for (const auto& [fingerprint, record] : records_) {
    if (record.key && fingerprint != first) others.emplace_back(record.version, fingerprint, &*record.key);
  }
  std::sort(others.rbegin(), others.rend());
  std::vector<SecretKey> out{primary()};
  for (const auto& [version, fingerprint, key] : others) {
    if (out.size() < keys_max) out.push_back(*key);
  }
  return out;
}

std::vector<KeyFingerprint> KeyRing::fingerprints() const {
  std::vector<KeyFingerprint> out;
  for (const SecretKey& key : keys()) out.push_back(key.fingerprint());
  return out;
}

// Empty at the last version: a peer may send any.
Result<std::uint64_t> KeyRing::next_version() const {
  std::uint64_t highest = primary_.version;
  for (const auto& [fingerprint, record] : records_) highest = std::max(highest, record.version);
  if (highest == std::numeric_limits<std::uint64_t>::max()) {
    return fail(ErrorCode::refused, "the ring cannot be changed any more: its versions are at their end");
  }
  return highest + 1;
}

const SecretKey* KeyRing::find(KeyFingerprint fingerprint) const {
  if (fingerprint == primary().fingerprint()) return &primary_.key;
  const auto found = records_.find(fingerprint);
  return found == records_.end() || !found->second.key ? nullptr : &*found->second.key;
}

void KeyRing::raise(KeyFingerprint fingerprint, const Record& record) {
  const auto [place, added] = records_.try_emplace(fingerprint, record);
  if (!added && place->second < record) place->second = record;
  if (records_.size() <= records_max) return;
  const auto lower = [](const auto& a, const auto& b) {
    return std::pair(a.second.version, a.first) < std::pair(b.second.version, b.first);
  };
  records_.erase(std::min_element(records_.begin(), records_.end(), lower));
}

std::string KeyRing::encode() const {
  std::string out;
  out.reserve(encoded_bytes_max);  // It must not move: what it left behind would not be wiped.
  ByteWriter writer(out);
  writer.u8(encoding_format);
  writer.u64(primary_.version);
  writer.raw(primary_.key.bytes());
  writer.varint(records_.size());
  for (const auto& [fingerprint, record] : records_) {
    writer.u64(record.version);
    writer.u8(record.key ? record_key : record_removed);
    if (record.key) {
      writer.raw(record.key->bytes());
    } else {
      writer.u32(fingerprint.value);
    }
  }
  return out;
}

namespace {

std::optional<SecretKey> read_key(ByteReader& in) {
  const std::string_view bytes = in.raw(SecretKey::size_bytes);
  return in.ok() ? std::optional(SecretKey(bytes)) : std::nullopt;
}

}  // namespace

Result<KeyRing> KeyRing::decode(std::string_view bytes) {
  const auto bad = [] { return fail(ErrorCode::bad_input, "a key ring cannot be decoded"); };
  ByteReader in(bytes);
  if (in.u8() != encoding_format) return bad();
  const std::uint64_t version = in.u64();
  const auto primary = read_key(in);
  if (!primary) return bad();
  KeyRing ring(Primary{version, *primary});
  std::optional<KeyFingerprint> last;
  for (std::size_t left = in.count(record_bytes_min, records_max); left > 0; --left) {
    Record record{in.u64(), std::nullopt};
    const std::uint8_t kind = in.u8();
    if (kind > record_key) return bad();
    if (kind == record_key) record.key = read_key(in);
    const KeyFingerprint fingerprint = record.key ? record.key->fingerprint() : KeyFingerprint{in.u32()};
    if (!in.ok() || (last && fingerprint <= *last)) return bad();
    ring.records_.emplace(fingerprint, std::move(record));
    last = fingerprint;
  }
  if (!in.done()) return bad();
  return ring;
}

}  // namespace knit
