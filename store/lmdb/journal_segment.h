// One file of the journal, preallocated and used again and again.
//
//   header (in a block of 4096 bytes of its own) | frames (store/journal_frame.h) | what earlier uses left
//
//   header: "knitjrnl" 8 | version 4 | flags 4 | generation 8 | owner 8 | seed 8 | checksum 8
//
// The file's name is its generation, which rises by one from use to use. A file whose header names another
// generation than its name was about to be used, and holds nothing.
#pragma once

#include <sys/types.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/types.h"
#include "store/lmdb/file_descriptor.h"
#include "store/lmdb/mapped_memory.h"

namespace knit {

struct SegmentHeader {
  static constexpr std::uint32_t version = 1;
  static constexpr std::uint32_t async = 1;  // Clients were answered before the sync.
  static constexpr std::uint32_t clean = 2;  // All of it lies in the ordered store; the daemon ended well.

  std::uint32_t flags{};
  std::uint64_t generation{};
  NodeId owner;
  std::uint64_t seed{};

  std::string encode() const;
  // corrupt if the checksum does not hold, wrong_format if a newer knit wrote it.
  static Result<SegmentHeader> decode(std::string_view bytes);
};

std::string segment_name(std::uint64_t generation);
std::optional<std::uint64_t> segment_generation(std::string_view name);

// One thread. Errors: disk_full, io.
class JournalSegment {
 public:
  static constexpr std::size_t header_block_bytes = 4096;

  // Makes a file of `bytes` bytes. `fill` writes zeros, which takes a while, and makes each later sync
  // quicker than space that is only reserved.
  static Result<JournalSegment> create(const std::string& path, std::size_t bytes, bool fill);
  static Result<JournalSegment> open(const std::string& path);

  // Begins a use: nothing that was there before is valid from now on. Synced.
  Result<void> begin(const SegmentHeader& header);
  Result<void> write_header(const SegmentHeader& header);  // Synced.
  // How many bytes of frames fit in still.
  std::size_t room() const;
  // Seals the frames, writes them and an end behind them, and syncs. After disk_full the file says what it
  // said before. Requires: frames.size() <= room(). `frames` is used up.
  Result<void> append(std::string& frames);

  std::size_t bytes() const { return bytes_; }
  const SegmentHeader& header() const { return header_; }

 private:
  JournalSegment(FileDescriptor file, std::size_t bytes) : file_(std::move(file)), bytes_(bytes) {}
  Result<std::size_t> read(char* to, std::size_t count, std::size_t at) const;  // Less only at the end.
  Result<void> write(std::string_view bytes, off_t at);
  Result<void> sync();

  FileDescriptor file_;
  std::size_t bytes_;
  std::size_t offset_ = header_block_bytes;  // Where the end frame stands.
  SegmentHeader header_;
};

// A segment as it lies on the disk, to be read.
class MappedSegment {
 public:
  static Result<MappedSegment> open(const std::string& path);

  std::string_view bytes() const {
    return {static_cast<const char*>(memory_.get()), memory_.get_deleter().bytes};
  }
  std::string_view frames() const {
    return bytes().substr(std::min(bytes().size(), JournalSegment::header_block_bytes));
  }

 private:
  std::unique_ptr<void, UnmapMemory> memory_;
};

// Makes what happened to names in `directory` durable.
Result<void> sync_directory(const std::string& directory);
// The error of a system call that has set errno.
Error system_error(const char* call, const std::string& path);

}  // namespace knit
