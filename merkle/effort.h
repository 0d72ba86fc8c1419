// How much a step of work may still do. One unit is about what it takes to read one row, some tenths of a
// microsecond: a count and no time, so that the same input makes the same steps on every machine.
#pragma once

#include <algorithm>
#include <cstddef>

namespace knit {

class Effort {
 public:
  explicit Effort(std::size_t units) : left_(units) {}

  // What is more than is left is forgiven: one item is never cut.
  void spend(std::size_t units) { left_ -= std::min(left_, units); }
  bool spent() const { return left_ == 0; }

 private:
  std::size_t left_;
};

namespace effort {

constexpr std::size_t item = 1;       // To decode, encode or forget one range or row of a message.
constexpr std::size_t row = 1;        // To pass one row in a scan.
constexpr std::size_t seek = 4;       // To begin a scan.
constexpr std::size_t children = 32;  // To sum a range's sixteen children.
constexpr std::size_t merge = 16;     // To merge one small row.
constexpr std::size_t bytes = 512;    // Of a row, that cost a unit more to merge or copy.

}  // namespace effort

}  // namespace knit
