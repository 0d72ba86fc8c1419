#include "store/cluster_key.h"

#include <sodium.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <vector>

#include "base/check.h"
#include "base/field_text.h"
#include "store/secret_file.h"

namespace knit {

namespace {

constexpr std::size_t file_bytes_max = 4096;
constexpr const char* what = "a cluster key";
constexpr std::array<std::string_view, 4> fields{"name", "id", "position_key", "digest_key"};

using Fields = std::map<std::string_view, TextField>;

std::string random_bytes(std::size_t size) {
  std::string out(size, '\0');
  randombytes_buf(out.data(), out.size());
  return out;
}

HashKey to_key(std::string_view bytes) {
  HashKey key{};
  std::copy_n(bytes.begin(), key.size(), key.begin());
  return key;
}

std::string key_hex(const HashKey& key) {
  return to_hex({reinterpret_cast<const char*>(key.data()), key.size()});
}

Result<Fields> parse(std::string_view text, const std::string& path) {
  const auto parsed = parse_fields(text, path);
  if (!parsed) return tl::unexpected(parsed.error());
  Fields out;
  for (const TextField& field : *parsed) {
    if (std::find(fields.begin(), fields.end(), field.name) == fields.end()) {
      return bad_line(path, field.line,
                      "unknown field; expected format, name, id, position_key or digest_key");
    }
    if (!out.try_emplace(field.name, field).second) {
      return bad_line(path, field.line, std::string(field.name) + ": is here twice");
    }
  }
  for (const std::string_view field : fields) {
    if (!out.contains(field))
      return fail(ErrorCode::bad_input, path + ": " + std::string(field) + " is missing");
  }
  return out;
}

// 16 bytes of hex; empty if they are not.
std::optional<std::string> sixteen_bytes(const TextField& field) {
  std::string bytes;
  if (!from_hex(field.value, bytes) || bytes.size() != 16) return std::nullopt;
  return bytes;
}

}  // namespace

bool is_cluster_name(std::string_view name) {
  constexpr std::string_view allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  return !name.empty() && name.size() <= cluster_name_bytes_max &&
         name.find_first_not_of(allowed) == std::string_view::npos;
}

ClusterIdentity new_cluster(std::string name) {
  check(is_cluster_name(name), "a cluster's name was checked");
  check(sodium_init() >= 0, "libsodium has a source of random numbers");
  return {std::move(name), random_bytes(16), {to_key(random_bytes(16)), to_key(random_bytes(16))}};
}

std::string cluster_key_text(const ClusterIdentity& cluster) {
  std::string out = "# The key of a knit cluster. Keep it secret; other hosts are told it when they join.\n";
  const auto put = [&](std::string_view field, const std::string& value) {
    out.append(field).append(" = ").append(value).append("\n");
  };
  put("format", "1");
  put("name", cluster.name);
  put("id", to_hex(cluster.id));
  put("position_key", key_hex(cluster.hash_keys.position));
  put("digest_key", key_hex(cluster.hash_keys.digest));
  return out;
}

Result<void> write_cluster_key(const std::string& path, const ClusterIdentity& cluster) {
  if (!is_cluster_name(cluster.name)) {
    return fail(ErrorCode::refused, "a cluster's name has 1 to 64 letters, digits, '.', '_' or '-'");
  }
  return create_secret_file(path, cluster_key_text(cluster), what);
}

Result<ClusterIdentity> parse_cluster_key(std::string_view text, const std::string& path) {
  auto parsed = parse(text, path);
  if (!parsed) return tl::unexpected(parsed.error());
  Fields& values = *parsed;
  if (!is_cluster_name(values["name"].value)) {
    return bad_line(path, values["name"].line, "name: expected 1 to 64 letters, digits, '.', '_' or '-'");
  }
  for (const char* field : {"id", "position_key", "digest_key"}) {
    if (!sixteen_bytes(values[field])) {
      return bad_line(path, values[field].line, std::string(field) + ": expected 32 hex digits");
    }
  }
  return ClusterIdentity{
      std::string(values["name"].value),
      *sixteen_bytes(values["id"]),
      {to_key(*sixteen_bytes(values["position_key"])), to_key(*sixteen_bytes(values["digest_key"]))}};
}

Result<ClusterIdentity> read_cluster_key(const std::string& path) {
  const auto text = read_secret_file(path, file_bytes_max, what);
  if (!text) return tl::unexpected(text.error());
  return parse_cluster_key(*text, path);
}

}  // namespace knit
