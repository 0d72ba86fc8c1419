#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace knit {

void check_failed(const char* fact, std::source_location where) {
  std::fprintf(stderr, "knit: check failed at %s:%u in %s: %s\n", where.file_name(),
               static_cast<unsigned>(where.line()), where.function_name(), fact);
  std::abort();
}

}  // namespace knit
