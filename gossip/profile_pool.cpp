#include "gossip/profile_pool.h"

#include <algorithm>

#include "base/check.h"

namespace knit {

namespace {

constexpr std::size_t version_bytes_max = 32;

bool is_plain(std::string_view text, std::size_t bytes_max) {
  return text.size() <= bytes_max &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

bool is_tag(const std::pair<const std::string, std::string>& tag) {
  return !tag.first.empty() && is_plain(tag.first, tag_bytes_max) && is_plain(tag.second, tag_bytes_max);
}

}  // namespace

Result<void> check_profile(const Profile& profile) {
  if (profile.name.empty() || !is_plain(profile.name, node_name_bytes_max)) {
    return fail(ErrorCode::refused, "a node's name has 1 to 64 printable characters without blanks");
  }
  if (!is_plain(profile.version, version_bytes_max))
    return fail(ErrorCode::refused, "the version cannot be told");
  if (profile.endpoint.port == 0) return fail(ErrorCode::refused, "a node has a port");
  const bool tags_fit =
      profile.tags.size() <= tags_max && std::all_of(profile.tags.begin(), profile.tags.end(), is_tag);
  if (!tags_fit || encode(profile).size() > profile_bytes_max) {
    return fail(ErrorCode::refused,
                "at most 8 tags, whose names and values have up to 64 printable characters without blanks, "
                "and 600 bytes with the node's name and version");
  }
  return {};
}

std::string encode(const Profile& profile) {
  std::string bytes;
  ByteWriter out(bytes);
  out.bytes(profile.name);
  profile.endpoint.encode(out);
  out.u8(profile.protocol_min);
  out.u8(profile.protocol_max);
  out.bytes(profile.version);
  out.varint(profile.tags.size());
  for (const auto& [name, value] : profile.tags) {
    out.bytes(name);
    out.bytes(value);
  }
  return bytes;
}

std::optional<Profile> decode_profile(std::string_view bytes) {
  if (bytes.size() > profile_bytes_max) return std::nullopt;
  ByteReader in(bytes);
  Profile out;
  out.name = in.bytes();
  out.endpoint = Endpoint::decode(in);
  out.protocol_min = in.u8();
  out.protocol_max = in.u8();
  out.version = in.bytes();
  for (std::size_t left = in.count(2, tags_max); left > 0; --left) {
    std::string name(in.bytes());
    out.tags.insert_or_assign(std::move(name), std::string(in.bytes()));
  }
  // One form for one profile: else equal profiles would have unequal digests.
  if (!in.done() || !check_profile(out) || encode(out) != bytes) return std::nullopt;
  return out;
}

PooledProfile::PooledProfile(Entry* entry) : entry_(entry) { ++entry_->shares; }

PooledProfile::PooledProfile(const PooledProfile& other) : entry_(other.entry_) {
  if (entry_ != nullptr) ++entry_->shares;
}

PooledProfile::~PooledProfile() {
  if (entry_ != nullptr && --entry_->shares == 0) entry_->pool->drop(*entry_);
}

std::string_view PooledProfile::encoded() const {
  return entry_ == nullptr ? std::string_view{} : std::string_view(entry_->encoded);
}

PooledProfile ProfilePool::take(const Profile& profile) {
  check(check_profile(profile).has_value(), "a profile was checked");
  return *take(encode(profile));
}

std::optional<PooledProfile> ProfilePool::take(std::string_view encoded) {
  const auto found = entries_.find(encoded);
  if (found != entries_.end()) return PooledProfile(&found->second);
  auto profile = decode_profile(encoded);
  if (!profile) return std::nullopt;
  const auto added = entries_.try_emplace(std::string(encoded)).first;
  added->second = {std::move(*profile), added->first, checksum(encoded), this, 0};
  return PooledProfile(&added->second);
}

void ProfilePool::drop(const PooledProfile::Entry& entry) { entries_.erase(entries_.find(entry.encoded)); }

}  // namespace knit
