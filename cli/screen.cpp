#include "cli/screen.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <string_view>
#include <thread>
#include <utility>

namespace knit {
namespace {

constexpr int bar_width = 30;
constexpr Millis nap{100};

// The alternate screen without a cursor, and back.
constexpr std::string_view take_screen = "\033[?1049h\033[?25l";
constexpr std::string_view give_screen_back = "\033[?25h\033[?1049l";

volatile std::sig_atomic_t was_interrupted = 0;

void on_interrupt(int) { was_interrupted = 1; }

struct Size {
  std::size_t lines = 24;
  std::size_t columns = 80;
};

Size terminal_size() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0) {
    return {};
  }
  return {size.ws_row, size.ws_col};
}

// The picture from the corner on, each line cut and the rest of it erased. The last line of the terminal
// stays empty: a line end there would scroll.
std::string drawn(std::string_view picture, Size size) {
  std::string out = "\033[H";
  for (std::size_t line = 1; line < size.lines && !picture.empty(); ++line) {
    const std::size_t end = std::min(picture.find('\n'), picture.size());
    out.append(picture.substr(0, std::min(end, size.columns))).append("\033[K\r\n");
    picture.remove_prefix(std::min(end + 1, picture.size()));
  }
  return out + "\033[J";
}

}  // namespace

void catch_interrupts() {
  static_cast<void>(std::signal(SIGINT, on_interrupt));
  static_cast<void>(std::signal(SIGTERM, on_interrupt));
}

bool interrupted() { return was_interrupted != 0; }

void pause_for(Millis time) {
  for (; time > Millis{} && !interrupted(); time -= nap) {
    std::this_thread::sleep_for(std::min(time, nap));
  }
}

bool write_out(std::string_view text) {
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
}

std::string bar(double fraction) {
  const int filled = static_cast<int>(std::clamp(fraction, 0.0, 1.0) * bar_width);
  return fmt::format("[{:#<{}}{:.<{}}]", "", filled, "", bar_width - filled);
}

Screen::Screen(bool wanted) : redraws_(wanted && isatty(STDOUT_FILENO) != 0) {
  if (redraws_) {
    write_out(take_screen);
  }
}

Screen::~Screen() {
  if (redraws_) {
    write_out(give_screen_back);
    write_out(last_);
  }
}

bool Screen::show(std::string picture) {
  last_ = std::move(picture);
  return write_out(drawn(last_, terminal_size()));
}

}  // namespace knit
