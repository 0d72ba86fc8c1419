#include "daemon/http/http_session.h"

#include <fmt/format.h>

#include <array>
#include <ctime>

namespace knit {

namespace {

std::string_view reason(HttpStatus status) {
  switch (status) {
    case HttpStatus::ok: return "OK";
    case HttpStatus::bad_request: return "Bad Request";
    case HttpStatus::not_found: return "Not Found";
    case HttpStatus::method_not_allowed: return "Method Not Allowed";
    case HttpStatus::content_too_large: return "Content Too Large";
    case HttpStatus::target_too_long: return "URI Too Long";
    case HttpStatus::head_too_large: return "Request Header Fields Too Large";
    case HttpStatus::unavailable: return "Service Unavailable";
    case HttpStatus::version_not_supported: return "HTTP Version Not Supported";
  }
  return "";
}

// As HTTP writes it: "Sun, 06 Nov 1994 08:49:37 GMT".
std::string date() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  std::array<char, 64> text{};
  const std::size_t size = std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return {text.data(), size};
}

}  // namespace

std::string to_text(const HttpAnswer& answer, bool with_body, bool keep_alive) {
  std::string text = fmt::format("HTTP/1.1 {} {}\r\nDate: {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n",
                                 static_cast<unsigned>(answer.status), reason(answer.status), date(),
                                 answer.type, answer.body.size());
  if (answer.status == HttpStatus::method_not_allowed) text += "Allow: GET, HEAD\r\n";
  text += keep_alive ? "Connection: keep-alive\r\n" : "Connection: close\r\n";
  text += "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\r\n";
  if (with_body) text += answer.body;
  return text;
}

HttpAnswer error_answer(HttpStatus status) {
  return {.status = status, .body = fmt::format("{} {}\n", static_cast<unsigned>(status), reason(status))};
}

void HttpSession::feed(std::string_view bytes) {
  if (!over_) unread_ += bytes;
}

std::optional<std::string> HttpSession::next() {
  if (over_ || unread_.empty()) return std::nullopt;
  unread_.erase(0, parser_.feed(unread_));
  if (!parser_.complete() && !parser_.error()) return std::nullopt;
  const HttpRequest& request = parser_.request();
  over_ = parser_.error() || !request.keep_alive;
  const HttpAnswer answer = parser_.error() ? error_answer(*parser_.error()) : handler_(request.path());
  std::string text = to_text(answer, !request.head, !over_);
  parser_.reset();
  return text;
}

}  // namespace knit
