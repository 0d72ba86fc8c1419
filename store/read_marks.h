// When keys were read last, as far as it is remembered: a remote write that was made before that and comes
// after it shows that the read was stale.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/types.h"

namespace knit {

// One thread. Remembers for each of 65,536 slots the last key that was read in it: more different keys than
// that, read within the time that a write travels, and some stale reads are not noticed.
class ReadMarks {
 public:
  void note(std::uint64_t key_hash, WallTime now) {
    slots_[key_hash % slots_.size()] = {static_cast<std::uint32_t>(key_hash >> 32),
                                        static_cast<std::uint32_t>(now.millis)};
  }
  // When the key was read; empty if it was not, or long ago.
  std::optional<WallTime> last(std::uint64_t key_hash, WallTime now) const {
    const Slot& slot = slots_[key_hash % slots_.size()];
    const std::uint32_t age = static_cast<std::uint32_t>(now.millis) - slot.millis;
    if (slot.tag != static_cast<std::uint32_t>(key_hash >> 32) || age > age_max || age > now.millis)
      return std::nullopt;
    return WallTime{now.millis - age};
  }

 private:
  static constexpr std::size_t slots = 1 << 16;
  static constexpr std::uint32_t age_max = 3'600'000;

  struct Slot {
    std::uint32_t tag{};
    std::uint32_t millis{};  // The low half: it comes round after 49 days.
  };
  std::vector<Slot> slots_ = std::vector<Slot>(slots);
};

}  // namespace knit
