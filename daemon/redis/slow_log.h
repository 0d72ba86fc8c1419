// The commands that took longest, newest first, as SLOWLOG shows them. Loop thread only.
//
// Bounded: at most length() entries, at most 32 arguments of an entry, at most 128 bytes of an argument
// (and a word on what is left out).
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"

namespace knit {

class SlowLog {
 public:
  static constexpr std::size_t arguments_max = 32;
  static constexpr std::size_t argument_bytes_max = 128;
  static constexpr std::size_t length_max = 10'000;  // Of the whole log: about 40 MB at worst.

  struct Entry {
    std::uint64_t id{};
    WallTime ended;
    std::uint64_t micros{};
    std::vector<std::string> arguments;
    std::string client_address;
    std::string client_name;
  };

  void add(Entry entry);  // Gives it its id.
  void set_length(std::size_t length);
  void clear() { entries_.clear(); }

  std::size_t size() const { return entries_.size(); }
  const std::deque<Entry>& entries() const { return entries_; }

 private:
  std::deque<Entry> entries_;  // Newest first.
  std::size_t length_ = 128;
  std::uint64_t next_id_ = 0;
};

// An argument of `size` bytes that begins with `front`, as the log keeps it.
std::string shortened_argument(std::string_view front, std::size_t size);

}  // namespace knit
