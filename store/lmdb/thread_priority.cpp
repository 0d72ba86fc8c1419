#include "store/lmdb/thread_priority.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace knit {

void stand_back() {
  constexpr int nice_value = 10;
  constexpr int io_of_thread = 1;
  constexpr int io_idle = 3 << 13;
  const auto thread = static_cast<id_t>(::syscall(SYS_gettid));
  static_cast<void>(::setpriority(PRIO_PROCESS, thread, nice_value));
  static_cast<void>(::syscall(SYS_ioprio_set, io_of_thread, thread, io_idle));
}

}  // namespace knit
