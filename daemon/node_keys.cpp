#include "daemon/node_keys.h"

#include <filesystem>

#include "daemon/key_file.h"
#include "daemon/log.h"

namespace knit {

namespace {

Result<KeyFingerprint> named(std::string_view text) {
  const auto fingerprint = parse_fingerprint(text);
  if (!fingerprint) return fail(ErrorCode::bad_input, "a key is named by its fingerprint, 8 hex digits");
  return *fingerprint;
}

std::string joined(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

}  // namespace

Result<std::unique_ptr<NodeKeys>> NodeKeys::open(const Config& config) {
  const std::string file = keyring_path(config);
  if (file.empty()) return nullptr;
  auto ring = read_key_file(file);
  if (!ring) return tl::unexpected(ring.error());
  const std::string path = config.node.data_directory + "/keyring";
  const auto kept = read_key_ring(path);
  if (kept) {
    ring->merge(*kept);
  } else if (kept.error().code != ErrorCode::not_found) {
    return tl::unexpected(kept.error());
  }
  return std::unique_ptr<NodeKeys>(new NodeKeys(path, std::move(*ring)));
}

Result<void> NodeKeys::keep(KeyRing changed) {
  if (changed == ring_) return {};
  if (auto written = write_key_ring(path_, changed); !written) return written;
  ring_ = std::move(changed);
  log_info("the key ring has changed: " + std::to_string(ring_.keys().size()) + " keys, sealing with " +
           to_string(ring_.primary().fingerprint()));
  if (on_change) on_change();
  return {};
}

Result<void> NodeKeys::merge(std::string_view encoded) {
  const auto other = KeyRing::decode(encoded);
  if (!other) return tl::unexpected(other.error());
  KeyRing changed = ring_;
  changed.merge(*other);
  return keep(std::move(changed));
}

std::vector<KeyAdmin::Key> NodeKeys::list() const {
  std::vector<Key> out;
  for (const KeyFingerprint fingerprint : ring_.fingerprints()) {
    out.push_back({to_string(fingerprint), fingerprint == ring_.primary().fingerprint()});
  }
  return out;
}

Result<void> NodeKeys::add(const std::string& path) {
  const auto file = read_key_file(path);
  if (!file) return tl::unexpected(file.error());
  KeyRing changed = ring_;
  for (const SecretKey& key : file->keys()) {
    if (auto added = changed.add(key); !added) return added;
  }
  return keep(std::move(changed));
}

Result<void> NodeKeys::use(std::string_view fingerprint) {
  const auto key = named(fingerprint);
  if (!key) return tl::unexpected(key.error());
  KeyRing changed = ring_;
  if (auto used = changed.use(*key); !used) return used;
  return keep(std::move(changed));
}

Result<void> NodeKeys::remove(std::string_view fingerprint, bool force) {
  const auto key = named(fingerprint);
  if (!key) return tl::unexpected(key.error());
  KeyRing changed = ring_;
  if (auto removed = changed.remove(*key); !removed) return removed;
  const auto absent = absent_members ? absent_members() : std::vector<std::string>{};
  if (!absent.empty() && !force) {
    return fail(ErrorCode::refused,
                joined(absent) +
                    " cannot be reached and may have no other key: wait, or forget who is gone for "
                    "good, or say FORCE");
  }
  return keep(std::move(changed));
}

}  // namespace knit
