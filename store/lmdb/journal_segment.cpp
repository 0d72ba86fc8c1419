#include "store/lmdb/journal_segment.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "base/bytes.h"
#include "base/hash.h"
#include "store/journal_frame.h"

namespace knit {

namespace {

constexpr std::string_view magic = "knitjrnl";
constexpr std::size_t header_bytes = 48;
constexpr std::size_t name_digits = 16;

bool is_full(int code) { return code == ENOSPC || code == EDQUOT; }

void seal_all(std::string& frames, std::uint64_t seed) {
  for (std::size_t at = 0; at < frames.size();) {
    const std::size_t size = frame_bytes(std::string_view(frames).substr(at));
    seal_frame(frames.data() + at, size, seed);
    at += size;
  }
}

std::string end_frame(std::uint64_t seed) {
  std::string frame;
  append_end_frame(frame);
  seal_frame(frame.data(), frame.size(), seed);
  return frame;
}

}  // namespace

Error system_error(const char* call, const std::string& path) {
  const int code = errno;
  return {is_full(code) ? ErrorCode::disk_full : ErrorCode::io,
          std::string(call) + " " + path + ": " + std::strerror(code)};
}

Result<void> sync_directory(const std::string& directory) {
  const FileDescriptor file(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!file.valid() || ::fsync(file.number()) != 0) return tl::unexpected(system_error("fsync", directory));
  return {};
}

std::string SegmentHeader::encode() const {
  std::string bytes;
  ByteWriter out(bytes);
  out.raw(magic);
  out.u32(version);
  out.u32(flags);
  out.u64(generation);
  out.u64(owner.value);
  out.u64(seed);
  out.u64(checksum(bytes));
  return bytes;
}

Result<SegmentHeader> SegmentHeader::decode(std::string_view bytes) {
  ByteReader in(bytes);
  const bool ours = in.raw(magic.size()) == magic;
  const std::uint32_t found_version = in.u32();
  SegmentHeader header;
  header.flags = in.u32();
  header.generation = in.u64();
  header.owner = {in.u64()};
  header.seed = in.u64();
  const std::uint64_t sum = in.u64();
  if (!ours || !in.ok() || sum != checksum(bytes.substr(0, header_bytes - sizeof sum))) {
    return fail(ErrorCode::corrupt, "the header of a journal segment is damaged");
  }
  if (found_version > version) {
    return fail(ErrorCode::wrong_format,
                "the journal was written by a newer knit; install that version or a later one");
  }
  return header;
}

std::string segment_name(std::uint64_t generation) {
  std::array<char, name_digits> digits{};
  const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), generation, 16);
  const std::string number(digits.data(), end);
  return std::string(name_digits - number.size(), '0') + number;
}

std::optional<std::uint64_t> segment_generation(std::string_view name) {
  std::uint64_t generation = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), generation, 16);
  if (name.size() != name_digits || error != std::errc{} || end != name.data() + name.size())
    return std::nullopt;
  return generation;
}

Result<JournalSegment> JournalSegment::create(const std::string& path, std::size_t bytes, bool fill) {
  JournalSegment segment(FileDescriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600)),
                         bytes);
  if (!segment.file_.valid()) return tl::unexpected(system_error("open", path));
  const auto give_up = [&](Error error) {
    ::unlink(path.c_str());
    return tl::unexpected(std::move(error));
  };
  if (const int code = ::posix_fallocate(segment.file_.number(), 0, static_cast<off_t>(bytes)); code != 0) {
    errno = code;
    return give_up(system_error("posix_fallocate", path));
  }
  const std::string zeros(fill ? std::size_t{1} << 20 : 0, '\0');
  for (std::size_t at = 0; fill && at < bytes; at += zeros.size()) {
    const std::string_view part = std::string_view(zeros).substr(0, bytes - at);
    if (auto written = segment.write(part, static_cast<off_t>(at)); !written) return give_up(written.error());
  }
  if (::fsync(segment.file_.number()) != 0) return give_up(system_error("fsync", path));
  return segment;
}

Result<JournalSegment> JournalSegment::open(const std::string& path) {
  FileDescriptor file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  struct stat status{};
  if (!file.valid() || ::fstat(file.number(), &status) != 0)
    return tl::unexpected(system_error("open", path));
  return JournalSegment(std::move(file), static_cast<std::size_t>(status.st_size));
}

Result<void> JournalSegment::begin(const SegmentHeader& header) {
  header_ = header;
  offset_ = header_block_bytes;
  if (auto written = write(end_frame(header.seed), header_block_bytes); !written) return written;
  return write_header(header);
}

Result<void> JournalSegment::write_header(const SegmentHeader& header) {
  header_ = header;
  if (auto written = write(header.encode(), 0); !written) return written;
  return sync();
}

std::size_t JournalSegment::room() const {
  const std::size_t used = offset_ + journal_frame_header_bytes;
  return bytes_ - std::min(bytes_, used);
}

Result<void> JournalSegment::append(std::string& frames) {
  const std::size_t size = frames.size();
  append_end_frame(frames);
  seal_all(frames, header_.seed);
  const auto at = static_cast<off_t>(offset_);
  auto written = write(frames, at);
  if (!written && written.error().code == ErrorCode::disk_full) {
    // Some of it may be there. Whoever reads must not take that for a torn record.
    if (auto undone = write(end_frame(header_.seed), at); !undone)
      return fail(ErrorCode::io, undone.error().message);
    if (auto synced = sync(); !synced) return synced;
  }
  if (!written) return written;
  if (auto synced = sync(); !synced) return synced;
  offset_ += size;
  return {};
}

Result<MappedSegment> MappedSegment::open(const std::string& path) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status{};
  if (!file.valid() || ::fstat(file.number(), &status) != 0)
    return tl::unexpected(system_error("open", path));
  MappedSegment segment;
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size == 0) return segment;
  void* memory = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.number(), 0);
  if (memory == MAP_FAILED) return tl::unexpected(system_error("mmap", path));
  segment.memory_ = {memory, UnmapMemory{size}};
  return segment;
}

Result<void> JournalSegment::write(std::string_view bytes, off_t at) {
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(file_.number(), bytes.data(), bytes.size(), at);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return tl::unexpected(system_error("write", "a journal segment"));
    bytes.remove_prefix(static_cast<std::size_t>(count));
    at += count;
  }
  return {};
}

Result<void> JournalSegment::sync() {
  if (::fdatasync(file_.number()) == 0) return {};
  Error error = system_error("fdatasync", "a journal segment");
  error.code = ErrorCode::io;  // Nobody knows what is there now: not even a full disk is the same afterwards.
  return tl::unexpected(std::move(error));
}

}  // namespace knit
