// A terminal that is watched: interrupts as a flag, pictures that replace each other, bars.
#pragma once

#include <string>
#include <string_view>

#include "base/types.h"

namespace knit {

// From now on SIGINT and SIGTERM do not end the process: interrupted() tells of them.
void catch_interrupts();
bool interrupted();

// Waits. An interrupt ends it within a tenth of a second.
void pause_for(Millis time);

// To standard output, at once. False if nobody reads it any more.
bool write_out(std::string_view text);

std::string bar(double fraction);  // [#####.....], of one width whatever the fraction is.

// Standard output, if it is a terminal, as a page that is drawn again and again. The page is given back when
// this goes away, and the last picture stays below what was there before.
class Screen {
 public:
  explicit Screen(bool wanted);  // Not wanted, or no terminal: redraws() is false, and nothing is touched.
  ~Screen();
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  bool redraws() const { return redraws_; }
  // Cut to what the terminal holds. Requires: redraws(); printable ASCII and line ends only.
  bool show(std::string picture);  // False as write_out().

 private:
  bool redraws_;
  std::string last_;
};

}  // namespace knit
