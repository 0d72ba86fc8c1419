// The key of a dot's entry in the log: actor 8 | sequence 8, big endian.
#pragma once

#include <array>
#include <string_view>

#include "crdt/dot.h"

namespace knit {

class LogKey {
 public:
  explicit LogKey(Dot dot) {
    for (unsigned i = 0; i < 8; ++i) {
      bytes_[i] = static_cast<char>(dot.actor.value >> (56 - 8 * i));
      bytes_[8 + i] = static_cast<char>(dot.sequence >> (56 - 8 * i));
    }
  }
  operator std::string_view() const { return {bytes_.data(), bytes_.size()}; }  // NOLINT: a key is its bytes.

 private:
  std::array<char, 16> bytes_{};
};

}  // namespace knit
