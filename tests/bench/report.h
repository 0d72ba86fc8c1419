// What every bench prints: one JSON object a line.
#pragma once

#include <chrono>
#include <cstdio>
#include <string>

namespace knit::bench {

// `where` is a list of further members, such as "\"rows\":1000".
inline void report(const char* bench, const std::string& where, const char* metric, double value,
                   const char* unit) {
  std::printf("{\"bench\":\"%s\",%s,\"metric\":\"%s\",\"value\":%.10g,\"unit\":\"%s\"}\n", bench,
              where.c_str(), metric, value, unit);
  std::fflush(stdout);
}

class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace knit::bench
