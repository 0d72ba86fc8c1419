// The requests of one connection and their answers, without its socket. Loop thread only.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/http/http_request_parser.h"

namespace knit {

struct HttpAnswer {
  HttpStatus status = HttpStatus::ok;
  std::string type = "text/plain; charset=utf-8";
  std::string body;
};
// Answers GET and HEAD of a path.
using HttpHandler = std::function<HttpAnswer(std::string_view path)>;

// Head and body, as they go over the wire.
std::string to_text(const HttpAnswer& answer, bool with_body, bool keep_alive);
HttpAnswer error_answer(HttpStatus status);  // Its body names it.

class HttpSession {
 public:
  explicit HttpSession(const HttpHandler& handler) : handler_(handler) {}  // It outlives this.

  // Keeps what it is given until next() has taken it: nothing limits that but the caller.
  void feed(std::string_view bytes);
  // The answer to the next request, if all of that has come. To be called until it is empty before more is
  // fed.
  std::optional<std::string> next();

  bool over() const { return over_; }  // What next() answered last was the last: nothing is read any more.
  bool in_request() const { return parser_.begun(); }  // A part of one has come.

 private:
  const HttpHandler& handler_;
  HttpRequestParser parser_;
  std::string unread_;
  bool over_ = false;
};

}  // namespace knit
