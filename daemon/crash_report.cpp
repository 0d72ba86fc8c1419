#include "daemon/crash_report.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>

namespace knit {

namespace {

// Composed beforehand: in the handler nothing may be allocated.
struct Line {
  std::array<char, 4096> bytes{};
  std::size_t size = 0;
};
Line bus_line;
Line other_line;

void compose(Line& line, std::string_view text) {
  line.size = std::min(text.size(), line.bytes.size());
  std::copy_n(text.begin(), line.size, line.bytes.begin());
}

// The action is the default one again (SA_RESETHAND): the signal ends the process when this returns.
void on_crash(int number) {
  const Line& line = number == SIGBUS ? bus_line : other_line;
  static_cast<void>(!::write(STDERR_FILENO, line.bytes.data(), line.size));
  ::raise(number);
}

void handle(int number) {
  struct sigaction action{};
  if (::sigaction(number, nullptr, &action) != 0 || action.sa_handler != SIG_DFL) return;
  action = {};
  action.sa_handler = on_crash;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  ::sigaction(number, &action, nullptr);
}

}  // namespace

void report_crashes(const std::string& data_directory) {
  const std::string advice =
      "; if it comes again, move " + data_directory + " away and let the peers fill a new one\n";
  compose(bus_line, "knitd: ended by SIGBUS: the database file " + data_directory +
                        "/data.mdb is damaged or cut short, or the disk fails to read it" + advice);
  compose(other_line, "knitd: ended by SIGSEGV or SIGABRT: a defect of knitd, or a damaged database file " +
                          data_directory + "/data.mdb" + advice);
  handle(SIGBUS);
  handle(SIGSEGV);
  handle(SIGABRT);
}

}  // namespace knit
