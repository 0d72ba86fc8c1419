// Requests as clients send them: arrays of bulk strings, and inline commands as people type them
// (quotes as in redis-cli). Sans-IO: bytes go in, one request at a time comes out.
//
// Nothing is allocated by a count or a length that the client declares, only by bytes that came.
// A value that is too long is skipped while it is read: its command is refused, and the connection
// stays in step. Whatever else is malformed breaks the connection, as in Redis.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace knit {

struct RequestLimits {
  std::size_t arguments_max{};
  std::size_t bulk_bytes_max{};     // Of one argument.
  std::size_t request_bytes_max{};  // Of all arguments of a request.
  bool skip_oversized = false;      // False: too long a bulk breaks the connection.

  static RequestLimits before_authentication();  // A stranger gets little.
  static RequestLimits authenticated();
};

class RequestParser {
 public:
  static constexpr std::size_t line_bytes_max = 64 << 10;      // Of an inline command, or of a length.
  static constexpr std::size_t bulk_declared_max = 512 << 20;  // Longer ones are no bulks at all.
  static constexpr std::size_t large_bulk_bytes = 32 << 10;    // From here a bulk gets a string of its own.

  enum class Step : std::uint8_t {
    incomplete,  // More bytes are needed.
    request,     // Its arguments can be had until next() or feed() is called.
    refused,     // A whole request was read, but it broke a limit: error() is its answer.
    broken,      // error() is the last answer, the connection is to be closed. For good.
  };

  explicit RequestParser(RequestLimits limits) : limits_(limits) {}

  void set_limits(RequestLimits limits) { limits_ = limits; }  // Between requests.
  void feed(std::string_view bytes);
  Step next();

  // Of the request. At least one argument.
  std::size_t size() const { return parts_.size(); }
  std::string_view operator[](std::size_t index) const;
  std::string take(std::size_t index);  // Moved out if it is large, else copied. Once.

  // The second arguments of requests that are still to come, most likely their keys: at most so many, and
  // none while those of an earlier call were not all handed out. Views until feed(). Says nothing of
  // requests that are long, or odd in any way.
  std::size_t glimpse(std::span<std::string_view> keys);

  const std::string& error() const { return error_; }  // Without "-" and "\r\n".

  std::size_t unread() const { return buffer_.size() - cursor_; }  // Bytes that no request has used yet.
  std::size_t memory_bytes() const;

 private:
  enum class State : std::uint8_t { begin, header, bulk, large, skip, bulk_end, broken };
  static constexpr std::size_t inline_part = ~std::size_t{0};

  struct Part {
    std::size_t offset{};  // From start_.
    std::size_t size{};
    std::size_t large = inline_part;  // Index in larges_.
  };

  Step parse();
  bool begin_request();
  bool begin_multibulk(std::string_view line);
  bool parse_inline(std::string_view line);
  bool parse_header();
  bool begin_bulk(std::size_t size);
  bool finish_bulk();
  bool finish_bulk_end();
  void consume_wanted(std::string_view& bytes);
  void refuse(std::string error);
  bool fail(std::string error);  // Answers true: there is something to tell.
  bool take_line(std::string_view& line, const char* too_long);
  void forget_request();
  void compact();

  RequestLimits limits_;
  std::string buffer_;
  std::size_t start_ = 0;     // Of the request being read, in buffer_.
  std::size_t cursor_ = 0;    // What has been parsed.
  std::size_t glimpsed_ = 0;  // What glimpse() has looked at, perhaps ahead of the cursor.
  std::vector<Part> parts_;
  std::vector<std::string> larges_;
  State state_ = State::begin;
  bool whole_ = false;        // The request was handed out.
  std::size_t expected_ = 0;  // Arguments that are still to come.
  std::size_t wanted_ = 0;    // Bytes of the current bulk that are still to come.
  std::size_t request_bytes_ = 0;
  bool refused_ = false;
  std::string error_;
};

}  // namespace knit
