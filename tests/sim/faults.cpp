// Plants faults in the code, one at a time, and runs histories until one shows it.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <new>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "history.h"
#include "planted_faults.h"
#include "trace.h"

namespace {

using knit::sim::PlantedFault;
using knit::sim::tracing;

constexpr const char* usage =
    "usage: sim_faults [--fault NAME] [--seeds N] [--seed S] [--unplanted] | --list-faults\n"
    "Plants each fault, or one of them, and runs histories from seed S (default 1) until one shows it.\n"
    "Fails if N (default: the fault's own limit) do not.\n"
    "--unplanted: runs the same histories without the fault, and fails if one shows anything.\n";

constexpr unsigned seconds_max = 30;  // For one history: one that does not end shows a fault too.

struct Arguments {
  std::string_view fault;
  unsigned seeds = 0;
  std::uint64_t first = 1;
  bool list = false;
  bool unplanted = false;
  bool good = true;
};

Arguments parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc && arguments.good; ++i) {
    const std::string_view name = argv[i];
    if (name == "--list-faults") {
      arguments.list = true;
      continue;
    }
    if (name == "--unplanted") {
      arguments.unplanted = true;
      continue;
    }
    arguments.good = ++i < argc;
    if (!arguments.good) break;
    if (name == "--fault") {
      arguments.fault = argv[i];
    } else if (name == "--seeds") {
      arguments.seeds = static_cast<unsigned>(std::strtoul(argv[i], nullptr, 10));
    } else if (name == "--seed") {
      arguments.first = std::strtoull(argv[i], nullptr, 10);
    } else {
      arguments.good = false;
    }
  }
  return arguments;
}

// What a search has come to, in memory that outlives the process that searches: a fault may end that.
struct Search {
  unsigned histories{};
  std::uint64_t seed{};  // Of the history that runs.
  bool found{};
  std::array<char, 128> how{};
};

void search(const PlantedFault& planted, std::uint64_t first, Search& result) {
  knit::planted_fault = planted.fault;
  for (std::uint64_t seed = first; !result.found && result.histories < planted.histories_max; ++seed) {
    knit::sim::WorldOptions options = knit::sim::options_of(seed);
    if (planted.suits != nullptr && !planted.suits(options)) continue;
    ++result.histories;
    result.seed = seed;
    alarm(seconds_max);
    knit::sim::World world(options);
    if (const auto wrong = world.run()) {
      wrong->copy(result.how.data(), result.how.size() - 1);
      result.found = true;
    }
  }
}

pid_t start_search(const PlantedFault& planted, std::uint64_t first, Search& result) {
  const pid_t child = fork();
  if (child != 0) return child;
  // What a failed check says.
  if (const int nowhere = tracing() ? -1 : open("/dev/null", O_WRONLY); nowhere >= 0)
    dup2(nowhere, STDERR_FILENO);
  search(planted, first, result);
  _exit(0);
}

void take_end(int status, Search& result) {
  if (!WIFSIGNALED(status)) return;
  const int signal = WTERMSIG(status);
  const char* how = signal == SIGABRT   ? "a check failed"
                    : signal == SIGALRM ? "a history does not end"
                                        : "the process crashed";
  result.found = true;
  std::strncpy(result.how.data(), how, result.how.size() - 1);
}

void print(const PlantedFault& planted, const Search& result) {
  const std::string how = result.found ? "seed " + std::to_string(result.seed) + ": " + result.how.data()
                          : planted.fault == knit::Fault::none ? std::string("nothing, as it must be")
                                                               : std::string("NOT FOUND");
  std::printf("%-26s %-12s %5u %5u  %s\n", std::string(planted.name).c_str(),
              std::string(planted.breaks).c_str(), result.histories, planted.histories_max, how.c_str());
}

// As many at once as there are processors.
void search_all(const std::vector<PlantedFault>& faults, std::uint64_t first, Search* results) {
  const std::size_t jobs = std::max(1u, std::thread::hardware_concurrency());
  std::map<pid_t, std::size_t> running;
  for (std::size_t next = 0; next < faults.size() || !running.empty();) {
    if (next < faults.size() && running.size() < jobs) {
      running[start_search(faults[next], first, results[next])] = next;
      ++next;
      continue;
    }
    int status = 0;
    const auto ended = running.find(wait(&status));
    if (ended == running.end()) continue;
    take_end(status, results[ended->second]);
    running.erase(ended);
  }
}

std::vector<PlantedFault> chosen(const Arguments& arguments) {
  const bool long_run = std::getenv("KNIT_LONG") != nullptr;
  std::vector<PlantedFault> faults;
  for (PlantedFault fault : knit::sim::planted_faults()) {
    const bool wanted = arguments.fault.empty() ? !fault.rare || long_run : fault.name == arguments.fault;
    if (!wanted && !arguments.list) continue;
    if (arguments.seeds != 0) fault.histories_max = arguments.seeds;
    if (arguments.unplanted) fault.fault = knit::Fault::none;
    faults.push_back(fault);
  }
  return faults;
}

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments = parse(argc, argv);
  const std::vector<PlantedFault> faults = chosen(arguments);
  if (!arguments.good || faults.empty()) {
    std::fputs(usage, stderr);
    return 2;
  }
  if (arguments.list) {
    for (const PlantedFault& fault : faults) std::printf("%s\n", std::string(fault.name).c_str());
    return 0;
  }
  void* memory = mmap(nullptr, faults.size() * sizeof(Search), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 2;
  Search* results = new (memory) Search[faults.size()];
  search_all(faults, arguments.first, results);
  std::printf("%-26s %-12s %5s %5s  %s\n", "fault", "breaks", "ran", "limit", "found");
  std::size_t found = 0;
  for (std::size_t i = 0; i < faults.size(); ++i) {
    print(faults[i], results[i]);
    found += results[i].found ? 1 : 0;
  }
  std::printf("%zu faults %splanted, %zu found\n", faults.size(), arguments.unplanted ? "not " : "", found);
  return found == (arguments.unplanted ? 0 : faults.size()) ? 0 : 1;
}
