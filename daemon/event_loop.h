// A libuv loop and the handles of it that are one callback each. Loop thread only.
#pragma once

#include <uv.h>

#include <functional>

#include "base/types.h"
#include "daemon/handle.h"

namespace knit {

// Must outlive every handle on it: its end waits until all of them are closed.
class EventLoop {
 public:
  EventLoop();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  uv_loop_t* get() { return &loop_; }
  void run() { uv_run(&loop_, UV_RUN_DEFAULT); }
  void stop() { uv_stop(&loop_); }

 private:
  uv_loop_t loop_{};
};

// A handle that calls back. It cannot be moved, because libuv knows where it is.
template <class H>
class Callback {
 public:
  using Function = std::function<void()>;

  Callback(int (*init)(uv_loop_t*, H*), EventLoop& loop, Function function)
      : function_(std::move(function)), handle_(new H) {
    init(loop.get(), handle_.get());
    handle_->data = this;
  }
  Callback(const Callback&) = delete;
  Callback& operator=(const Callback&) = delete;

  H* get() { return handle_.get(); }

  static void call(H* handle) {
    if (auto* self = static_cast<Callback*>(handle->data)) self->function_();
  }

 private:
  Function function_;
  Handle<H> handle_;
};

class Timer : public Callback<uv_timer_t> {
 public:
  Timer(EventLoop& loop, Function function) : Callback(uv_timer_init, loop, std::move(function)) {}
  void repeat(Millis every) { start(every, every); }
  void once(Millis after) { start(after, Millis{0}); }
  void stop() { uv_timer_stop(get()); }

 private:
  void start(Millis first, Millis again) {
    uv_timer_start(get(), call, static_cast<std::uint64_t>(first.count()),
                   static_cast<std::uint64_t>(again.count()));
  }
};

// Called once a turn, right before the loop waits for events.
class BeforeWait : public Callback<uv_prepare_t> {
 public:
  BeforeWait(EventLoop& loop, Function function) : Callback(uv_prepare_init, loop, std::move(function)) {
    uv_prepare_start(get(), call);
  }
};

// Called once a turn while it is on; the loop then never waits.
class WhenIdle : public Callback<uv_idle_t> {
 public:
  WhenIdle(EventLoop& loop, Function function) : Callback(uv_idle_init, loop, std::move(function)) {}
  void turn(bool on) { on ? uv_idle_start(get(), call) : uv_idle_stop(get()); }
};

class OnSignal : public Callback<uv_signal_t> {
 public:
  OnSignal(EventLoop& loop, int number, Function function)
      : Callback(uv_signal_init, loop, std::move(function)) {
    uv_signal_start(get(), [](uv_signal_t* handle, int) { call(handle); }, number);
  }
};

// Wakes the loop from any thread, for as long as this lives; several calls may become one.
class Waker : public Callback<uv_async_t> {
 public:
  Waker(EventLoop& loop, Function function) : Callback(init, loop, std::move(function)) {}
  void wake() { uv_async_send(get()); }

 private:
  static int init(uv_loop_t* loop, uv_async_t* handle) { return uv_async_init(loop, handle, call); }
};

}  // namespace knit
