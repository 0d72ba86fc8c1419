// How numbers, times, bytes and tables look to a person.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace knit {

// Printable ASCII as it is, everything else as \n, \t, \\ or \xNN: a key cannot command the terminal.
// What is longer than `most` bytes is cut, and says how long it is.
std::string escaped(std::string_view bytes, std::size_t most = 48);

std::string count_text(std::int64_t count);                      // 1,234,567
std::string counted(std::int64_t count, std::string_view noun);  // 1 row, 1,234 rows
std::string bytes_text(std::int64_t bytes);                      // 999 B, 12.3 kB, 4.5 MB
std::string duration_text(std::int64_t milliseconds);            // 12 ms, 3.4 s, 5 min, 6 h, 7 d
std::string round_trip_text(std::int64_t microseconds);          // 0.2 ms, < 0.1 ms; "-" if negative
std::string utc_text(std::int64_t unix_milliseconds);            // 2025-01-31 23:59:59.123
std::int64_t now_milliseconds();                                 // Since 1970.
std::string now_text();                                          // As utc_text().
std::string since_text(std::int64_t unix_milliseconds);          // How long ago; "never" for zero.

class Table {
 public:
  explicit Table(std::vector<std::string> headings) : rows_{std::move(headings)} {}
  void add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  bool empty() const { return rows_.size() < 2; }
  std::string text() const;  // With a newline after each row.

 private:
  std::vector<std::size_t> widths() const;

  std::vector<std::vector<std::string>> rows_;  // The headings first.
};

}  // namespace knit
