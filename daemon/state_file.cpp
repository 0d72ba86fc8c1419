#include "daemon/state_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "base/bytes.h"
#include "base/hash.h"

namespace knit {

namespace {

tl::unexpected<Error> failed(const std::string& path, const char* call) {
  return fail(ErrorCode::io, path + ": " + call + ": " + std::strerror(errno));
}

}  // namespace

// checksum 8 | contents. Not synced, since the loop waits for it: after a power cut the old one, the new one
// or a broken one may be there.
Result<void> replace_state_file(const std::string& path, std::string_view contents) {
  std::string bytes;
  ByteWriter out(bytes);
  out.u64(checksum(contents));
  out.raw(contents);
  const std::string temporary = path + ".new";
  const int file = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) return failed(temporary, "open");
  const ssize_t written = ::write(file, bytes.data(), bytes.size());
  const bool whole = written == static_cast<ssize_t>(bytes.size());
  if (::close(file) != 0 || !whole) return failed(temporary, "write");
  if (::rename(temporary.c_str(), path.c_str()) != 0) return failed(path, "rename");
  return {};
}

std::optional<std::string> read_state_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string bytes(std::istreambuf_iterator<char>(file), {});
  if (bytes.size() > state_file_bytes_max) return std::nullopt;
  ByteReader in(bytes);
  const std::uint64_t sum = in.u64();
  std::string contents(in.raw(in.left()));
  if (!in.done() || checksum(contents) != sum) return std::nullopt;
  return contents;
}

}  // namespace knit
