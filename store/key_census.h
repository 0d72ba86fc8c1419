// How many keys exist: those that show a value, less those whose expiry has passed. Expiries are
// counted by the second, so memory depends on how many different seconds rows expire in, not on keys.
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
  std::uint64_t existing(WallTime now);  // Late by a second at most.
  std::uint64_t expired(WallTime then);  // Of those that are stored.
  bool any_expired(WallTime then) const;

 private:
  // How many of them expire before a second. It moves in both directions: a step costs the seconds it passes.
  struct Before {
    std::uint64_t second = 0;
    std::int64_t keys = 0;
  };
  void change(std::uint64_t shown_until, std::int64_t by);
  std::int64_t move(Before& before, WallTime to) const;

  std::int64_t keys_ = 0;
  std::map<std::uint64_t, std::int64_t> seconds_;  // Of those that will expire, or have: how many in each.
  Before existing_;
  Before expired_;
  bool knows_expiries_ = true;
};

}  // namespace knit
