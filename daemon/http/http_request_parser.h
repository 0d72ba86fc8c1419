// Takes HTTP/1.x requests out of bytes, one at a time. No I/O. Bodies are not read: nothing here needs one.
//
// Invariant: what is kept of a request is at most target_bytes_max and a few flags, whatever it declares.
#pragma once

#include <http_parser.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace knit {

enum class HttpStatus : std::uint16_t {
  ok = 200,
  bad_request = 400,
  not_found = 404,
  method_not_allowed = 405,
  content_too_large = 413,
  target_too_long = 414,
  head_too_large = 431,
  unavailable = 503,
  version_not_supported = 505,
};

struct HttpRequest {
  std::string target;  // As it was sent: path and query.
  bool head = false;   // HEAD: the answer has no body.
  bool keep_alive = false;

  std::string_view path() const { return std::string_view(target).substr(0, target.find('?')); }
};

class HttpRequestParser {
 public:
  static constexpr std::size_t head_bytes_max = 8 << 10;    // Of request line and headers; beyond: 431.
  static constexpr std::size_t target_bytes_max = 1 << 10;  // Beyond: 414.

  HttpRequestParser() { reset(); }
  HttpRequestParser(const HttpRequestParser&) = delete;  // The parser inside knows where this is.
  HttpRequestParser& operator=(const HttpRequestParser&) = delete;

  // Takes bytes until a request is complete or is an error; answers how many of them.
  // Requires: neither is the case yet, since the last reset().
  std::size_t feed(std::string_view bytes);

  bool begun() const { return head_bytes_ > 0; }
  bool complete() const { return complete_; }
  // What is wrong with the request: where the next one begins is then not known.
  std::optional<HttpStatus> error() const { return error_; }
  const HttpRequest& request() const { return request_; }
  void reset();  // For the next request.

 private:
  static const http_parser_settings& settings();
  int on_target(std::string_view piece);
  int on_header_name(std::string_view piece);
  int on_header_value();
  int on_head();
  int refuse(HttpStatus status);

  http_parser parser_{};
  HttpRequest request_;
  std::size_t head_bytes_ = 0;
  std::string header_name_;  // Its first bytes, in lower case.
  bool header_name_ended_ = false;
  unsigned hosts_ = 0;  // Headers of that name.
  bool complete_ = false;
  std::optional<HttpStatus> error_;
};

}  // namespace knit
