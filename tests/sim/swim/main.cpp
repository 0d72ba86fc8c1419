// Runs scenario files, random histories, and a proof that a seed says all.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "describe.h"
#include "history.h"
#include "play.h"

namespace {

using namespace knit::swim_sim;

constexpr const char* usage =
    "usage: swim_sim [--seeds N] [--seed S] [FILE.scenario ...]\n"
    "       swim_sim --describe FILE.scenario ...\n"
    "Plays each file, under N seeds from S on; without files runs N random histories. The default is 1 seed "
    "from 1. --describe prints each file as JSON, for whoever plays it on real daemons.\n";

struct Arguments {
  std::uint64_t seeds = 1;
  std::uint64_t first = 1;
  std::vector<std::string> files;
  bool describe = false;
  bool good = true;
};

Arguments parse(int argc, char** argv) {
  Arguments out;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--seeds" || word == "--seed") {
      out.good = out.good && ++i < argc;
      if (!out.good) break;
      (word == "--seeds" ? out.seeds : out.first) = std::strtoull(argv[i], nullptr, 10);
    } else if (word == "--describe") {
      out.describe = true;
    } else {
      out.good = out.good && !word.starts_with("-");
      out.files.emplace_back(word);
    }
  }
  return out;
}

class Report {
 public:
  void add(const std::string& name, std::uint64_t seed, const Played& played) {
    ++runs_;
    events_ += played.events;
    failures_ += played.failures.size();
    for (const std::string& failure : played.failures) {
      std::printf("%s (%s, seed %llu)\n", failure.c_str(), name.c_str(),
                  static_cast<unsigned long long>(seed));
    }
  }
  // The same once more must be the same, event by event.
  void compare(std::uint64_t seed, const Played& first, const Played& second) {
    if (first.trace_hash == second.trace_hash && first.events == second.events) return;
    ++failures_;
    std::printf("seed %llu: two runs differ\n", static_cast<unsigned long long>(seed));
  }
  int end() const {
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start_;
    std::printf("%llu runs, %llu events in %.1f s, %llu failures\n", static_cast<unsigned long long>(runs_),
                static_cast<unsigned long long>(events_), took.count(),
                static_cast<unsigned long long>(failures_));
    return failures_ == 0 ? 0 : 1;
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::uint64_t runs_ = 0, events_ = 0, failures_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments = parse(argc, argv);
  if (!arguments.good) {
    std::fputs(usage, stderr);
    return 2;
  }
  Report report;
  for (const std::string& file : arguments.files) {
    const auto scenario = load_scenario(file);
    if (!scenario) {
      std::fprintf(stderr, "%s\n", scenario.error().message.c_str());
      return 2;
    }
    if (arguments.describe) {
      std::printf("%s\n", describe(*scenario).c_str());
      continue;
    }
    for (std::uint64_t i = 0; i < arguments.seeds; ++i) {
      report.add("scenario", arguments.first + i, play(*scenario, arguments.first + i));
    }
  }
  if (arguments.describe) return 0;
  if (!arguments.files.empty()) return report.end();
  for (std::uint64_t seed = arguments.first; seed < arguments.first + arguments.seeds; ++seed) {
    const Played played = run_history(seed);
    report.add("history", seed, played);
    if (seed % 16 == 0) report.compare(seed, played, run_history(seed));
  }
  return report.end();
}
