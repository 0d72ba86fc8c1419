#include "cli/text.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <iterator>

namespace knit {
namespace {

std::string escaped_byte(char byte) {
  switch (byte) {
    case '\\': return "\\\\";
    case '\n': return "\\n";
    case '\r': return "\\r";
    case '\t': return "\\t";
    default: break;
  }
  const bool printable = byte >= 0x20 && byte < 0x7f;
  return printable ? std::string(1, byte) : fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
}

}  // namespace

std::string escaped(std::string_view bytes, std::size_t most) {
  std::string out;
  for (const char byte : bytes.substr(0, most)) {
    out += escaped_byte(byte);
  }
  if (bytes.size() > most) {
    out += fmt::format("... ({})", bytes_text(static_cast<std::int64_t>(bytes.size())));
  }
  return out;
}

std::string count_text(std::int64_t count) {
  const std::string digits = std::to_string(count);
  const std::size_t sign = count < 0 ? 1 : 0;
  std::string out;
  for (std::size_t at = 0; at < digits.size(); ++at) {
    if (at > sign && (digits.size() - at) % 3 == 0) {
      out.push_back(',');
    }
    out.push_back(digits[at]);
  }
  return out;
}

std::string counted(std::int64_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count_text(count), noun, count == 1 ? "" : "s");
}

std::string bytes_text(std::int64_t bytes) {
  constexpr std::array units = {"kB", "MB", "GB", "TB"};
  if (bytes < 1000) {
    return fmt::format("{} B", bytes);
  }
  double amount = static_cast<double>(bytes) / 1000;
  std::size_t unit = 0;
  while (amount >= 999.95 && unit + 1 < units.size()) {
    amount /= 1000;
    ++unit;
  }
  return fmt::format("{:.1f} {}", amount, units[unit]);
}

std::string duration_text(std::int64_t milliseconds) {
  constexpr std::int64_t second = 1000, minute = 60 * second, hour = 60 * minute, day = 24 * hour;
  if (milliseconds < second) {
    return fmt::format("{} ms", milliseconds);
  }
  if (milliseconds < 2 * minute) {
    return fmt::format("{:.1f} s", static_cast<double>(milliseconds) / second);
  }
  if (milliseconds < 2 * hour) {
    return fmt::format("{} min", milliseconds / minute);
  }
  return milliseconds < 2 * day ? fmt::format("{} h", milliseconds / hour)
                                : fmt::format("{} d", milliseconds / day);
}

std::string round_trip_text(std::int64_t microseconds) {
  constexpr std::int64_t shown_least = 100;
  if (microseconds < 0) {
    return "-";
  }
  return microseconds < shown_least ? "< 0.1 ms"
                                    : fmt::format("{:.1f} ms", static_cast<double>(microseconds) / 1000);
}

std::string utc_text(std::int64_t unix_milliseconds) {
  // The daemon names the moment; one that no calendar holds is shown as its number.
  constexpr std::int64_t end_of_year_9999 = 253'402'300'799'999;
  if (unix_milliseconds < 0 || unix_milliseconds > end_of_year_9999) {
    return fmt::format("{} ms", unix_milliseconds);
  }
  const std::time_t seconds = unix_milliseconds / 1000;
  return fmt::format("{:%Y-%m-%d %H:%M:%S}.{:03}", fmt::gmtime(seconds), unix_milliseconds % 1000);
}

std::int64_t now_milliseconds() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

std::string now_text() { return utc_text(now_milliseconds()); }

std::string since_text(std::int64_t unix_milliseconds) {
  if (unix_milliseconds <= 0) {
    return "never";
  }
  return duration_text(std::max<std::int64_t>(now_milliseconds() - unix_milliseconds, 0));
}

std::vector<std::size_t> Table::widths() const {
  std::vector<std::size_t> out(rows_.front().size());
  for (const auto& row : rows_) {
    for (std::size_t column = 0; column < out.size(); ++column) {
      out[column] = std::max(out[column], row[column].size());
    }
  }
  return out;
}

std::string Table::text() const {
  const std::vector<std::size_t> width = widths();
  std::string out;
  for (const auto& row : rows_) {
    std::string line;
    for (std::size_t column = 0; column < row.size(); ++column) {
      fmt::format_to(std::back_inserter(line), "{:<{}}  ", row[column], width[column]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out.append(line).push_back('\n');
  }
  return out;
}

}  // namespace knit
