// Concurrent writes of one key that met on this node: how many, and the last of them with what was written.
// Nothing here decides anything; see crdt/register_row.h for that. A pure value.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "base/types.h"
#include "crdt/register_row.h"

namespace knit {

struct Conflict {
  WallTime found;   // When they met here.
  std::string key;  // Empty if its name is not known here.
  Sibling winner;   // Values are cut to Conflicts::value_bytes_max.
  Sibling loser;
  std::size_t winner_bytes{};  // Of the whole values.
  std::size_t loser_bytes{};
  bool with_delete() const {
    return winner.content == Content::tombstone || loser.content == Content::tombstone;
  }
};

class Conflicts {
 public:
  static constexpr std::size_t recent_max = 128;  // Of more, the oldest is forgotten.
  static constexpr std::size_t value_bytes_max = 256;
  static constexpr std::size_t key_bytes_max = 1024;

  // To be called before `theirs` is merged into `mine`: counts each of their siblings that is news here,
  // where neither side had seen the other's write. Two deletes are no conflict.
  void note(std::string_view key, const RegisterRow& mine, const RegisterRow& theirs, WallTime now);

  std::uint64_t of_writes() const { return of_writes_; }
  std::uint64_t of_deletes() const { return of_deletes_; }        // A delete against a write.
  const std::deque<Conflict>& recent() const { return recent_; }  // The newest last.

 private:
  std::uint64_t of_writes_ = 0;
  std::uint64_t of_deletes_ = 0;
  std::deque<Conflict> recent_;
};

}  // namespace knit
