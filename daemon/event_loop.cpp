#include "daemon/event_loop.h"

#include "base/check.h"

namespace knit {

EventLoop::EventLoop() { check(uv_loop_init(&loop_) == 0, "a loop can be made"); }

EventLoop::~EventLoop() {
  uv_run(&loop_, UV_RUN_DEFAULT);  // Close callbacks free the handles.
  check(uv_loop_close(&loop_) == 0, "all handles were closed before their loop");
}

}  // namespace knit
