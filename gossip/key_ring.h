// The secret keys of a cluster's gossip. One, the primary, seals; all of them open. So that keys can be
// changed without a stop, the ring is a mergeable state: whatever order nodes hear of each other's
// changes in, and however long one was down, they end with the same ring.
//
// It is two things, each merged by taking the greater:
//  * the primary: a version and the key. The newest use() wins.
//  * for each fingerprint a record: a version, and either the key or "removed". A removal is a change
//    like any other, so a key does not come back from a node that had not heard of it.
// A version is one more than any version in the ring at the time of the change. Of equal versions the
// higher fingerprint wins, and a removal against a key.
//
// Invariants:
//  1. There is always a primary, and it opens too, whatever its record says: a key that one side began to
//     use while the other removed it is in use until the next use().
//  2. At most records_max records, those of the highest (version, fingerprint). What is dropped lies
//     below all that are kept, on every node alike, so that a forgotten removal does not revive its key.
//  3. At most keys_max keys are in use: the primary and the newest others. More can only come of
//     additions on two sides; the rest wait until there is room.
//
// A pure value.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gossip/secret_key.h"

namespace knit {

class KeyRing {
 public:
  static constexpr std::size_t keys_max = 8;
  static constexpr std::size_t records_max = 64;
  static constexpr std::size_t encoded_bytes_max = 4096;

  // The ring as a key file has it, the primary first; each change made later is newer than this.
  // bad_input: none, more than keys_max, or two with one fingerprint.
  static Result<KeyRing> make(const std::vector<SecretKey>& keys);

  // Changes by the operator. refused or not_found: nothing was changed; the message says why.
  Result<void> add(const SecretKey& key);           // Opens from now on.
  Result<void> use(KeyFingerprint fingerprint);     // Becomes the primary.
  Result<void> remove(KeyFingerprint fingerprint);  // For ever. The primary cannot be removed.

  // Whether it changed anything.
  bool merge(const KeyRing& other);

  const SecretKey& primary() const { return primary_.key; }
  std::vector<SecretKey> keys() const;               // In use: the primary, then the newest first.
  std::vector<KeyFingerprint> fingerprints() const;  // Of these, in that order.

  // Holds the secrets: only for an authenticated peer or a file of our own, and to be wiped.
  std::string encode() const;
  static Result<KeyRing> decode(std::string_view bytes);  // bad_input: anything not canonical.

  bool operator==(const KeyRing&) const = default;

 private:
  struct Primary {
    std::uint64_t version{};
    SecretKey key;
    bool operator==(const Primary&) const = default;
    std::strong_ordering operator<=>(const Primary& other) const;
  };
  struct Record {
    std::uint64_t version{};
    std::optional<SecretKey> key;  // Empty: removed.
    bool operator==(const Record&) const = default;
    std::strong_ordering operator<=>(const Record& other) const;
  };

  explicit KeyRing(Primary primary) : primary_(std::move(primary)) {}
  Result<std::uint64_t> next_version() const;
  const SecretKey* find(KeyFingerprint fingerprint) const;
  void raise(KeyFingerprint fingerprint, const Record& record);

  Primary primary_;
  std::map<KeyFingerprint, Record> records_;
};

}  // namespace knit
