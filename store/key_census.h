// How many keys exist: those that show a value, less those whose expiry has passed. Expiries are
// counted by the second, so memory depends on how many different seconds lie ahead, not on keys.
#pragma once

#include <cstdint>
#include <map>

#include "base/types.h"

namespace knit {

// One thread. A value; times are "shown until" times as row_record.h has them.
class KeyCensus {
 public:
  KeyCensus() = default;
  // A total taken over from an earlier run, whose expiries are not known: none is counted then.
  explicit KeyCensus(std::uint64_t keys) : keys_(static_cast<std::int64_t>(keys)), knows_expiries_(false) {}

  void add(std::uint64_t shown_until) { change(shown_until, +1); }
  void remove(std::uint64_t shown_until) { change(shown_until, -1); }

  std::uint64_t stored() const;          // With those that have expired.
  std::uint64_t existing(WallTime now);  // Late by a second at most. `now` should not go back.
  // Of those that are stored. Asked of an earlier time than existing(); that should not go back either.
  std::uint64_t expired(WallTime then);

 private:
  using Seconds = std::map<std::uint64_t, std::int64_t>;  // Second -> keys.
  void change(std::uint64_t shown_until, std::int64_t by);
  static void add_to(Seconds& seconds, std::uint64_t second, std::int64_t by);

  std::int64_t keys_ = 0;
  std::int64_t expired_ = 0;
  std::uint64_t expired_to_ = 0;  // Seconds below this are in expired_.
  Seconds expiring_;
  std::int64_t long_expired_ = 0;
  std::uint64_t long_expired_to_ = 0;  // Seconds below this are in long_expired_, too;
  Seconds lately_;                     // those from there to expired_to_.
  bool knows_expiries_ = true;
};

}  // namespace knit
