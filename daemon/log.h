// What an operator reads: one line a message, to stderr or to the journal of systemd. Before open_log()
// lines go to stderr. Any thread, but for open_log(): the first one, while there is no other.
#pragma once

#include <cstdint>
#include <string_view>

namespace knit {

enum class LogLevel : std::uint8_t { debug, info, warning, error };
enum class LogTarget : std::uint8_t { standard_error, journal };

// Takes the place of what was there. Lines below `least` are dropped.
void open_log(LogTarget target, LogLevel least);

void set_log_level(LogLevel least);

// Control characters in `text`, which may quote a peer or a client, are shown as '?'.
void log(LogLevel level, std::string_view text);
inline void log_debug(std::string_view text) { log(LogLevel::debug, text); }
inline void log_info(std::string_view text) { log(LogLevel::info, text); }
inline void log_warning(std::string_view text) { log(LogLevel::warning, text); }
inline void log_error(std::string_view text) { log(LogLevel::error, text); }

}  // namespace knit
