// What waits to be written to one client: replies in order, each with the journal position that it
// saw. A reply leaves when that position is synced and all replies before it have left.
//
// Sans-IO: the owner appends to tail(), ends each reply, and writes what is released.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"

namespace knit {

class ReplyQueue {
 public:
  static constexpr std::size_t chunk_bytes = 16 << 10;  // From here a chunk is not appended to.

  // Where the reply being made is appended. Valid until any other call.
  std::string& tail();
  // Appends without copying, if it is worth it.
  void append(std::string bytes);
  void end_reply(JournalPosition position);

  // Lets go of the replies whose position is synced.
  void release(JournalPosition synced);
  // Each ended reply that saw more than `synced` becomes the error `line` ("-...\r\n").
  void replace_unsynced(JournalPosition synced, std::string_view line);

  // Released and not written yet: views of at most `chunks_max` chunks.
  std::vector<std::string_view> released(std::size_t chunks_max) const;
  void on_written(std::size_t bytes);  // Requires: they were released.

  // The released chunks themselves, for a write that goes on for a while.
  struct Detached {
    std::vector<std::string> chunks;
    std::size_t bytes = 0;
  };
  Detached detach_released();

  bool has_released() const { return released_end_ > front_; }
  bool empty() const { return front_ == end(); }
  std::size_t bytes() const { return end() - front_; }  // Ended or not, written or not: not yet written.

 private:
  struct Mark {
    JournalPosition position;
    std::uint64_t end{};  // Offset in the stream of all that was ever appended.
    std::uint64_t replies = 1;
  };

  std::uint64_t end() const { return tail_base_ + (chunks_.empty() ? 0 : chunks_.back().size()); }
  void add_chunk(std::string bytes);
  void drop_front();
  std::string copy(std::uint64_t from, std::uint64_t to) const;

  std::deque<std::string> chunks_;
  std::deque<Mark> marks_;        // Of what is not released, ascending by end.
  std::uint64_t front_ = 0;       // What was written.
  std::uint64_t front_base_ = 0;  // Where the first chunk starts.
  std::uint64_t tail_base_ = 0;   // Where the last chunk starts.
  std::uint64_t released_end_ = 0;
};

}  // namespace knit
