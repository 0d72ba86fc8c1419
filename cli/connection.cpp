#include "cli/connection.h"

#include <fmt/format.h>
#include <hiredis/hiredis.h>
#include <poll.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <utility>

namespace knit {
namespace {

constexpr std::array default_places = {"/run/knit/knit.sock", "127.0.0.1:6399"};
constexpr timeval connect_timeout{.tv_sec = 3, .tv_usec = 0};
constexpr std::string_view what_to_do =
    "Is knitd running? systemctl status knitd; or name its socket with --socket";

struct HostPort {
  std::string host;
  std::uint16_t port{};
};

// "host:port" or "[::1]:port".
std::optional<HostPort> parse_host_port(std::string_view place) {
  const std::size_t colon = place.rfind(':');
  if (colon == std::string_view::npos) {
    return std::nullopt;
  }
  HostPort out{.host = std::string(place.substr(0, colon))};
  const std::string_view digits = place.substr(colon + 1);
  const auto [end, error] = std::from_chars(digits.begin(), digits.end(), out.port);
  if (error != std::errc{} || end != digits.end() || out.host.empty()) {
    return std::nullopt;
  }
  if (out.host.front() == '[' && out.host.back() == ']') {
    out.host = out.host.substr(1, out.host.size() - 2);
  }
  return out;
}

redisContext* connect_to(const std::string& place) {
  if (place.find('/') == std::string::npos) {
    if (const auto tcp = parse_host_port(place)) {
      return redisConnectWithTimeout(tcp->host.c_str(), tcp->port, connect_timeout);
    }
  }
  return redisConnectUnixWithTimeout(place.c_str(), connect_timeout);
}

// hiredis's replies are C structures of its own; ours are values.
Reply copy(const redisReply& from) {
  switch (from.type) {
    case REDIS_REPLY_INTEGER: return {from.integer};
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
    case REDIS_REPLY_ERROR: return {std::string(from.str, from.len)};
    case REDIS_REPLY_ARRAY: {
      std::vector<Reply> items;
      items.reserve(from.elements);
      for (std::size_t i = 0; i < from.elements; ++i) {
        items.push_back(copy(*from.element[i]));
      }
      return {std::move(items)};
    }
    default: return {};
  }
}

Error refusal(std::string message) {
  if (message.starts_with("NOAUTH") || message.starts_with("WRONGPASS")) {
    message += " Give it in KNIT_PASSWORD or with --password-file";
  } else if (message.starts_with("ERR unknown command 'KNIT'")) {
    message =
        "what answers there is not knitd: it does not know the command KNIT. Name knitd's socket with "
        "--socket";
  }
  return {ErrorCode::refused, std::move(message)};
}

Result<Reply> checked(const redisReply& reply) {
  if (reply.type == REDIS_REPLY_ERROR) {
    return tl::unexpected(refusal(std::string(reply.str, reply.len)));
  }
  return copy(reply);
}

}  // namespace

void Connection::Free::operator()(redisContext* context) const { redisFree(context); }

Result<Connection> Connection::open_one(const std::string& place) {
  Context context(connect_to(place));
  if (!context) {
    return fail(ErrorCode::io, "out of memory");
  }
  if (context->err != 0) {
    return fail(ErrorCode::io, fmt::format("cannot connect to {}: {}. ", place, context->errstr));
  }
  return Connection(std::move(context), place);
}

Result<Connection> Connection::open_any(const std::string& place) {
  std::string complaints;
  for (const std::string& candidate :
       place.empty() ? Arguments(default_places.begin(), default_places.end()) : Arguments{place}) {
    auto connection = open_one(candidate);
    if (connection) {
      return connection;
    }
    complaints += connection.error().message;
  }
  return fail(ErrorCode::io, complaints.append(what_to_do));
}

Result<Connection> Connection::open(const ConnectOptions& options) {
  auto connection = open_any(options.socket);
  if (connection && !options.password.empty()) {
    if (const auto reply = connection->ask({"AUTH", options.password}); !reply) {
      return tl::unexpected(reply.error());
    }
  }
  return connection;
}

Error Connection::lost() const {
  return {ErrorCode::io,
          fmt::format("the connection to {} broke: {}. {}", place_, context_->errstr, what_to_do)};
}

Result<void> Connection::send(const Arguments& arguments) {
  std::vector<const char*> texts;
  std::vector<std::size_t> sizes;
  for (const std::string& argument : arguments) {
    texts.push_back(argument.data());
    sizes.push_back(argument.size());
  }
  int done = 0;
  bool fine = redisAppendCommandArgv(context_.get(), static_cast<int>(texts.size()), texts.data(),
                                     sizes.data()) == REDIS_OK;
  while (fine && done == 0) {
    fine = redisBufferWrite(context_.get(), &done) == REDIS_OK;
  }
  if (!fine) {
    return tl::unexpected(lost());
  }
  return {};
}

Result<std::optional<Reply>> Connection::receive(Millis patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  for (;;) {
    void* raw = nullptr;
    if (redisGetReplyFromReader(context_.get(), &raw) != REDIS_OK) {
      return tl::unexpected(lost());
    }
    if (raw != nullptr) {
      const std::unique_ptr<void, void (*)(void*)> owner(raw, freeReplyObject);
      return checked(*static_cast<redisReply*>(raw)).map([](Reply reply) {
        return std::optional(std::move(reply));
      });
    }
    const auto left = std::chrono::duration_cast<Millis>(deadline - std::chrono::steady_clock::now());
    const int wait = patience < Millis{0} ? -1 : static_cast<int>(std::max(left, Millis{0}).count());
    pollfd readable{.fd = context_->fd, .events = POLLIN, .revents = 0};
    if (poll(&readable, 1, wait) <= 0) {
      return std::nullopt;
    }
    if (redisBufferRead(context_.get()) != REDIS_OK) {
      return tl::unexpected(lost());
    }
  }
}

Result<Reply> Connection::ask(const Arguments& arguments, Millis patience) {
  if (const auto sent = send(arguments); !sent) {
    return tl::unexpected(sent.error());
  }
  auto reply = receive(patience);
  if (!reply) {
    return tl::unexpected(reply.error());
  }
  if (!*reply) {
    return fail(ErrorCode::io,
                fmt::format("{} took the command but does not answer. {}", place_, what_to_do));
  }
  return std::move(**reply);
}

}  // namespace knit
