#include "daemon/http/http_request_parser.h"

#include <algorithm>
#include <cctype>
#include <limits>
#include <utility>

namespace knit {

namespace {

constexpr std::string_view host = "host";
constexpr std::uint64_t no_length = std::numeric_limits<std::uint64_t>::max();

HttpRequestParser& owner(http_parser* parser) { return *static_cast<HttpRequestParser*>(parser->data); }

bool has_body(const http_parser& parser) {
  const bool sized = parser.content_length > 0 && parser.content_length != no_length;
  return sized || parser.uses_transfer_encoding != 0;
}

bool is_version_1(const http_parser& parser) { return parser.http_major == 1 && parser.http_minor <= 1; }

}  // namespace

const http_parser_settings& HttpRequestParser::settings() {
  static const http_parser_settings all = [] {
    http_parser_settings s{};
    s.on_url = [](http_parser* p, const char* at, std::size_t size) {
      return owner(p).on_target({at, size});
    };
    s.on_header_field = [](http_parser* p, const char* at, std::size_t size) {
      return owner(p).on_header_name({at, size});
    };
    s.on_header_value = [](http_parser* p, const char*, std::size_t) { return owner(p).on_header_value(); };
    s.on_headers_complete = [](http_parser* p) { return owner(p).on_head(); };
    return s;
  }();
  return all;
}

void HttpRequestParser::reset() {
  http_parser_init(&parser_, HTTP_REQUEST);
  parser_.data = this;
  request_ = {};
  head_bytes_ = 0;
  header_name_.clear();
  header_name_ended_ = false;
  hosts_ = 0;
  complete_ = false;
  error_.reset();
}

std::size_t HttpRequestParser::feed(std::string_view bytes) {
  if (bytes.empty()) return 0;  // To the parser inside that would be the end of the connection.
  const std::string_view allowed = bytes.substr(0, head_bytes_max - head_bytes_);
  std::size_t taken = http_parser_execute(&parser_, &settings(), allowed.data(), allowed.size());
  // At the end of a head the parser inside stops before the last byte of it.
  if (complete_) taken++;
  head_bytes_ += taken;
  if (complete_ || error_) return taken;
  if (HTTP_PARSER_ERRNO(&parser_) != HPE_OK) {
    refuse(HttpStatus::bad_request);
  } else if (head_bytes_ >= head_bytes_max) {
    refuse(HttpStatus::head_too_large);
  }
  return taken;
}

int HttpRequestParser::on_target(std::string_view piece) {
  if (request_.target.size() + piece.size() > target_bytes_max) return refuse(HttpStatus::target_too_long);
  request_.target += piece;
  return 0;
}

int HttpRequestParser::on_header_name(std::string_view piece) {
  // The parser inside lets "Content-Length :" pass as another header, whose body would then be a request.
  if (piece.find(' ') != std::string_view::npos) return refuse(HttpStatus::bad_request);
  if (std::exchange(header_name_ended_, false)) header_name_.clear();
  for (const char c : piece.substr(0, host.size() + 1 - std::min(header_name_.size(), host.size() + 1))) {
    header_name_ += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return 0;
}

int HttpRequestParser::on_header_value() {
  if (!std::exchange(header_name_ended_, true) && header_name_ == host) hosts_++;
  return 0;
}

// Not an error of the parser's: it is how it is told to stop here.
int HttpRequestParser::on_head() {
  const auto method = static_cast<http_method>(parser_.method);
  request_.head = method == HTTP_HEAD;
  request_.keep_alive = http_should_keep_alive(&parser_) != 0;
  if (!is_version_1(parser_)) return refuse(HttpStatus::version_not_supported);
  if (method != HTTP_GET && method != HTTP_HEAD) return refuse(HttpStatus::method_not_allowed);
  if (hosts_ > 1 || (hosts_ == 0 && parser_.http_minor == 1)) return refuse(HttpStatus::bad_request);
  if (has_body(parser_)) return refuse(HttpStatus::content_too_large);
  complete_ = true;
  http_parser_pause(&parser_, 1);
  return 0;
}

int HttpRequestParser::refuse(HttpStatus status) {
  error_ = status;
  return -1;
}

}  // namespace knit
