#include "store/cluster_key.h"

#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <optional>
#include <vector>

#include "base/check.h"

namespace knit {

namespace {

constexpr std::size_t file_bytes_max = 4096;
constexpr std::string_view format = "1";
constexpr std::array<std::string_view, 5> fields{"format", "name", "id", "position_key", "digest_key"};

struct Field {
  std::string value;
  std::size_t line{};
};
using Fields = std::map<std::string, Field, std::less<>>;

// A file descriptor that is closed on the way out.
class File {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}
  ~File() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int get() const { return descriptor_; }

 private:
  int descriptor_;
};

tl::unexpected<Error> system_error(const std::string& path, const char* call) {
  const int number = errno;
  return fail(number == ENOENT ? ErrorCode::not_found : ErrorCode::io,
              path + ": " + call + ": " + std::strerror(number));
}

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

Result<void> write_all(int descriptor, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return system_error(path, "write");
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  if (::fsync(descriptor) != 0) return system_error(path, "fsync");
  return {};
}

// The new name survives a power cut only when its directory is synced too.
Result<void> sync_directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string directory =
      slash == std::string::npos ? "." : path.substr(0, std::max<std::size_t>(slash, 1));
  const File opened(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (opened.get() < 0) return system_error(directory, "open");
  if (::fsync(opened.get()) != 0) return system_error(directory, "fsync");
  return {};
}

Result<void> check_mode(int descriptor, const std::string& path) {
  struct stat status{};
  if (::fstat(descriptor, &status) != 0) return system_error(path, "stat");
  if (!S_ISREG(status.st_mode)) return fail(ErrorCode::bad_input, path + ": is not a file");
  const bool credential = status.st_uid == 0 && ::geteuid() != 0;
  const mode_t forbidden = credential ? 0037 : 0077;
  if ((status.st_mode & forbidden) != 0) {
    return fail(ErrorCode::refused, path + ": others may read this secret; run: chmod 600 " + path);
  }
  return {};
}

Result<std::string> read_all(const std::string& path) {
  const File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return system_error(path, "open");
  if (auto mode = check_mode(file.get(), path); !mode) return tl::unexpected(mode.error());
  std::string bytes(file_bytes_max + 1, '\0');
  std::size_t size = 0;
  while (size < bytes.size()) {
    const ssize_t got = ::read(file.get(), bytes.data() + size, bytes.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error(path, "read");
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  if (size > file_bytes_max) return fail(ErrorCode::bad_input, path + ": is too long for a cluster key");
  bytes.resize(size);
  return bytes;
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view blanks = " \t\r";
  const std::size_t first = text.find_first_not_of(blanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

tl::unexpected<Error> bad_line(const std::string& path, std::size_t line, const std::string& text) {
  return fail(ErrorCode::bad_input, path + ":" + std::to_string(line) + ": " + text);
}

Result<void> check_format(std::string_view value, const std::string& path, std::size_t line) {
  if (value == format) return {};
  const bool number = !value.empty() && value.find_first_not_of("0123456789") == std::string_view::npos;
  if (!number) return bad_line(path, line, "format: expected 1");
  return fail(ErrorCode::wrong_format, path + ": has format " + std::string(value) +
                                           ", this knit reads format 1; install a newer knit");
}

Result<void> parse_line(std::string_view text, std::size_t line, const std::string& path, Fields& out) {
  text = trim(text);
  if (text.empty() || text.front() == '#') return {};
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos) return bad_line(path, line, "expected: name = value");
  const std::string field(trim(text.substr(0, equals)));
  const std::string value(trim(text.substr(equals + 1)));
  // It comes first, because a newer format may have other fields.
  if (out.empty() != (field == "format"))
    return bad_line(path, line, "expected format once, as the first field");
  if (field == "format") {
    if (auto known = check_format(value, path, line); !known) return known;
  }
  if (std::find(fields.begin(), fields.end(), field) == fields.end()) {
    return bad_line(path, line, "unknown field; expected format, name, id, position_key or digest_key");
  }
  if (!out.try_emplace(field, Field{value, line}).second) {
    return bad_line(path, line, field + ": is here twice");
  }
  return {};
}

Result<Fields> parse_fields(std::string_view bytes, const std::string& path) {
  Fields out;
  for (std::size_t line = 1; !bytes.empty(); ++line) {
    const std::size_t end = std::min(bytes.find('\n'), bytes.size());
    if (auto parsed = parse_line(bytes.substr(0, end), line, path, out); !parsed) {
      return tl::unexpected(parsed.error());
    }
    bytes.remove_prefix(std::min(end + 1, bytes.size()));
  }
  for (const std::string_view field : fields) {
    if (!out.contains(field))
      return fail(ErrorCode::bad_input, path + ": " + std::string(field) + " is missing");
  }
  return out;
}

// 16 bytes of hex; empty if they are not.
std::optional<std::string> sixteen_bytes(const Field& field) {
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
  std::string out =
      "# The key of a knit cluster. Whoever has it can join: copy it to each host over a safe way.\n";
  const auto put = [&](std::string_view field, const std::string& value) {
    out.append(field).append(" = ").append(value).append("\n");
  };
  put("format", std::string(format));
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
  const File file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (file.get() < 0 && errno == EEXIST) {
    return fail(ErrorCode::refused, path + ": exists already; a cluster key is never overwritten");
  }
  if (file.get() < 0) return system_error(path, "open");
  Result<void> written = write_all(file.get(), cluster_key_text(cluster), path);
  if (written) written = sync_directory_of(path);
  if (!written) ::unlink(path.c_str());
  return written;
}

Result<ClusterIdentity> parse_cluster_key(std::string_view text, const std::string& path) {
  auto parsed = parse_fields(text, path);
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
      values["name"].value,
      *sixteen_bytes(values["id"]),
      {to_key(*sixteen_bytes(values["position_key"])), to_key(*sixteen_bytes(values["digest_key"]))}};
}

Result<ClusterIdentity> read_cluster_key(const std::string& path) {
  const auto text = read_all(path);
  if (!text) return tl::unexpected(text.error());
  return parse_cluster_key(*text, path);
}

}  // namespace knit
