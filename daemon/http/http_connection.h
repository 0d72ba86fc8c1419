// One connection of the HTTP server: a session and its socket. Loop thread only.
//
// One answer is on its way at a time, and what comes meanwhile is not read: a client that does not read holds
// one answer and what one read brings. The next request is answered in a later turn of the loop.
#pragma once

#include <uv.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/types.h"
#include "daemon/handle.h"
#include "daemon/http/http_session.h"

namespace knit {

// How long each may take; then the connection is closed.
constexpr Millis http_idle_max{120'000};  // From one request to the next.
constexpr Millis http_head_max{5'000};    // From a request's first byte to its last.
constexpr Millis http_write_max{10'000};  // Until an answer is taken.
constexpr Millis http_linger_max{1'000};  // For the client to close, once it has its last answer.

class HttpConnection;

class HttpConnectionOwner {
 public:
  virtual std::span<char> read_buffer() = 0;               // Used by one read at a time.
  virtual void on_closed(HttpConnection& connection) = 0;  // Deletes it. Nothing of it runs.

 protected:
  ~HttpConnectionOwner() = default;
};

class HttpConnection {
 public:
  HttpConnection(HttpConnectionOwner& owner, std::uint64_t id, const HttpHandler& handler,
                 Handle<uv_tcp_t> tcp);

  void start();
  void close();  // At once. on_closed() is the caller's to call.

  std::uint64_t id() const { return id_; }
  bool closed() const { return tcp_ == nullptr; }
  bool overdue(Millis now) const { return now >= deadline_; }
  // Waits for a request that has not begun, and since when.
  bool idle() const { return state_ == State::reading && !session_.in_request(); }
  Millis since() const { return since_; }

 private:
  struct Write;
  enum class State : std::uint8_t { reading, writing, lingering };

  template <class Event>
  static void dispatch(void* data, Event event);
  Millis now() const;
  uv_stream_t* stream() { return reinterpret_cast<uv_stream_t*>(tcp_.get()); }
  void enter(State state, Millis time_max);
  void read();
  void on_read(std::ptrdiff_t size, std::string_view bytes);
  void answer();
  void write(std::string text);
  void on_written(int status);
  void linger();

  HttpConnectionOwner& owner_;
  std::uint64_t id_;
  HttpSession session_;
  Handle<uv_tcp_t> tcp_;  // Null: closed.
  State state_ = State::reading;
  Millis since_{};  // In this state, or in this request.
  Millis deadline_{};
};

}  // namespace knit
