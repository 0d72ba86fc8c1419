// Talks to the daemon: RESP2, over a UNIX socket or TCP. One thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/types.h"

struct redisContext;  // NOLINT(readability-identifier-naming): hiredis's own name.

namespace knit {

// What the daemon answered. Errors are not replies: they come as an Error.
struct Reply {
  std::variant<std::monostate, std::int64_t, std::string, std::vector<Reply>> value;
};

struct ConnectOptions {
  std::string socket;    // A path, or HOST:PORT. Empty: the default places, one after the other.
  std::string password;  // Empty: none is sent.
};

class Connection {
 public:
  using Arguments = std::vector<std::string>;
  static constexpr Millis usual_patience{10'000};
  static constexpr Millis endless_patience{-1};

  // io if nobody answers there, refused if the password is not taken.
  static Result<Connection> open(const ConnectOptions& options);

  // Sends a command and awaits its reply. Errors as send() and receive(); io when patience has run out.
  Result<Reply> ask(const Arguments& arguments, Millis patience = usual_patience);

  Result<void> send(const Arguments& arguments);
  // The next reply, or empty if it has not come within `patience` or a signal came first.
  // refused if the daemon answered with an error, io if the connection is lost.
  Result<std::optional<Reply>> receive(Millis patience);

  const std::string& place() const { return place_; }  // Where it is connected to, for people.

 private:
  struct Free {
    void operator()(redisContext* context) const;
  };
  using Context = std::unique_ptr<redisContext, Free>;

  Connection(Context context, std::string place) : context_(std::move(context)), place_(std::move(place)) {}

  static Result<Connection> open_one(const std::string& place);
  static Result<Connection> open_any(const std::string& place);
  Error lost() const;

  Context context_;
  std::string place_;
};

}  // namespace knit
