// Runs histories from seeds; prints what was violated, and how many ran.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "history.h"

namespace {

constexpr const char* usage =
    "usage: sim [--seeds N] [--seed S]\nRuns N histories from seed S on (default 100 from 1).\n";

struct Arguments {
  std::uint64_t seeds = 100;
  std::uint64_t first = 1;
  bool good = true;
};

Arguments parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; i += 2) {
    const std::string_view name = argv[i];
    arguments.good = arguments.good && i + 1 < argc && (name == "--seeds" || name == "--seed");
    if (!arguments.good) break;
    (name == "--seeds" ? arguments.seeds : arguments.first) = std::strtoull(argv[i + 1], nullptr, 10);
  }
  return arguments;
}

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments = parse(argc, argv);
  if (!arguments.good) {
    std::fputs(usage, stderr);
    return 2;
  }
  std::uint64_t violations = 0, writes = 0, exchanges = 0;
  double hours = 0;
  const auto start = std::chrono::steady_clock::now();
  for (std::uint64_t seed = arguments.first; seed < arguments.first + arguments.seeds; ++seed) {
    knit::sim::World world(knit::sim::options_of(seed));
    if (const auto wrong = world.run()) {
      ++violations;
      std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed), wrong->c_str());
    }
    writes += world.writes();
    exchanges += world.exchanges();
    hours += world.hours();
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  std::printf("%.1f histories a second, %.1f virtual hours, %llu writes that lasted, %llu exchanges\n",
              static_cast<double>(arguments.seeds) / took.count(), hours,
              static_cast<unsigned long long>(writes), static_cast<unsigned long long>(exchanges));
  std::printf("%llu histories, %llu violations\n", static_cast<unsigned long long>(arguments.seeds),
              static_cast<unsigned long long>(violations));
  return violations == 0 ? 0 : 1;
}
