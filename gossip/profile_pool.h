// What a node says of itself, kept once however many hold it: a list of members is then small, and ten
// thousand lists of ten thousand members fit into one process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/result.h"
#include "gossip/endpoint.h"

namespace knit {

constexpr std::size_t node_name_bytes_max = 64;
constexpr std::size_t tags_max = 8;
constexpr std::size_t tag_bytes_max = 64;  // Of a name, and of a value.
constexpr std::size_t profile_bytes_max = 600;

struct Profile {
  std::string name;  // For people; not unique.
  Endpoint endpoint;
  std::uint8_t protocol_min{};
  std::uint8_t protocol_max{};
  std::string version;
  std::map<std::string, std::string> tags;  // zone = "eu1"
  bool operator==(const Profile&) const = default;
};

// refused: a name, tag or version is too long, has characters that cannot be printed, all of it is too long,
// or there is no port.
Result<void> check_profile(const Profile& profile);

// name bytes | endpoint | protocol min 1 | max 1 | version bytes | tags varint | (name bytes | value
// bytes)...
std::string encode(const Profile& profile);
// Empty unless `bytes` are just what encode() makes of a profile that check_profile() accepts.
std::optional<Profile> decode_profile(std::string_view bytes);

class ProfilePool;

// A share in a profile of a pool. Empty when default-made; must not outlive the pool.
class PooledProfile {
 public:
  PooledProfile() = default;
  PooledProfile(const PooledProfile& other);
  PooledProfile(PooledProfile&& other) noexcept : entry_(std::exchange(other.entry_, nullptr)) {}
  PooledProfile& operator=(PooledProfile other) noexcept {
    std::swap(entry_, other.entry_);
    return *this;
  }
  ~PooledProfile();

  const Profile& operator*() const { return entry_->profile; }
  const Profile* operator->() const { return &entry_->profile; }
  std::string_view encoded() const;
  std::uint64_t hash() const { return entry_ == nullptr ? 0 : entry_->hash; }
  bool operator==(const PooledProfile& other) const { return entry_ == other.entry_; }

 private:
  friend class ProfilePool;
  struct Entry {
    Profile profile;
    std::string_view encoded;  // The key of the entry.
    std::uint64_t hash{};
    ProfilePool* pool{};
    std::uint64_t shares{};
  };
  explicit PooledProfile(Entry* entry);

  Entry* entry_ = nullptr;
};

// One thread. Holds what somebody has a share in.
class ProfilePool {
 public:
  PooledProfile take(const Profile& profile);                   // Requires: check_profile() accepts it.
  std::optional<PooledProfile> take(std::string_view encoded);  // Empty if that is no profile.
  std::size_t size() const { return entries_.size(); }

 private:
  friend class PooledProfile;
  void drop(const PooledProfile::Entry& entry);

  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view encoded) const { return checksum(encoded); }
  };
  std::unordered_map<std::string, PooledProfile::Entry, Hash, std::equal_to<>> entries_;
};

}  // namespace knit
