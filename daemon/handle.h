// libuv handles with an owner. libuv owns a handle's memory until its close callback has run; this
// deleter says so, and nobody else needs to think about it.
//
// Callbacks are captureless lambdas that fetch the owner from `handle->data`, return if it is null,
// and call one member.
#pragma once

#include <uv.h>

#include <memory>

namespace knit {

struct CloseHandle {
  template <class H>
  void operator()(H* handle) const {
    handle->data = nullptr;  // A callback that is queued already must not see a dead owner.
    uv_close(reinterpret_cast<uv_handle_t*>(handle),
             [](uv_handle_t* closed) { delete reinterpret_cast<H*>(closed); });
  }
};

template <class H>
using Handle = std::unique_ptr<H, CloseHandle>;

}  // namespace knit
