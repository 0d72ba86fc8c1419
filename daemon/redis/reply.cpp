#include "daemon/redis/reply.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

namespace knit {

namespace {

std::string real_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return fmt::format("{:.17g}", value);
}

}  // namespace

void Reply::header(char type, std::size_t count) {
  const fmt::format_int digits(count);
  out_->push_back(type);
  out_->append(digits.data(), digits.size());
  line_end();
}

void Reply::line(char type, std::string_view text) {
  out_->push_back(type);
  const std::size_t start = out_->size();
  out_->append(text);
  std::replace_if(
      out_->begin() + static_cast<std::ptrdiff_t>(start), out_->end(),
      [](char c) { return c == '\r' || c == '\n'; }, ' ');
  line_end();
}

void Reply::simple(std::string_view text) { line('+', text); }
void Reply::error(std::string_view text) { line('-', text); }
void Reply::error(const Error& error) { line('-', error_line(error)); }

void Reply::integer(std::int64_t value) {
  const fmt::format_int digits(value);
  out_->push_back(':');
  out_->append(digits.data(), digits.size());
  line_end();
}

void Reply::bulk(std::string_view bytes) {
  bulk_header(bytes.size());
  out_->append(bytes);
  line_end();
}

void Reply::null() { out_->append(protocol_ == 3 ? "_\r\n" : "$-1\r\n"); }

void Reply::boolean(bool value) {
  if (protocol_ == 3) return line('#', value ? "t" : "f");
  integer(value ? 1 : 0);
}

void Reply::real(double value) {
  if (protocol_ == 3) return line(',', real_text(value));
  bulk(real_text(value));
}

void Reply::verbatim(std::string_view text) {
  if (protocol_ != 3) return bulk(text);
  header('=', text.size() + 4);
  out_->append("txt:");
  out_->append(text);
  line_end();
}

void Reply::array(std::size_t elements) { header('*', elements); }

void Reply::map(std::size_t pairs) {
  if (protocol_ == 3) return header('%', pairs);
  header('*', 2 * pairs);
}

void Reply::set(std::size_t elements) { header(protocol_ == 3 ? '~' : '*', elements); }

Reply MapReply::field(std::string_view name) {
  fields_++;
  Reply reply(body_, protocol_);
  reply.bulk(name);
  return reply;
}

void MapReply::count(std::string_view name, std::uint64_t value) {
  constexpr std::uint64_t most = std::numeric_limits<std::int64_t>::max();
  integer(name, static_cast<std::int64_t>(std::min(value, most)));
}

void MapReply::digest(std::string_view name, Uint128 value) {
  std::string bytes;
  ByteWriter(bytes).u128(value);
  text(name, to_hex(bytes));
}

void MapReply::write_to(Reply reply) const {
  reply.map(fields_);
  reply.raw(body_);
}

std::string error_line(const Error& error) {
  switch (error.code) {
    case ErrorCode::disk_full: return "MISCONF knit cannot write: " + error.message;
    case ErrorCode::io: return "IOERR " + error.message;
    case ErrorCode::corrupt: return "CORRUPT " + error.message;
    case ErrorCode::conflict: return "CONFLICT " + error.message;
    case ErrorCode::bad_input:
    case ErrorCode::not_found:
    case ErrorCode::refused:
    case ErrorCode::wrong_format: return "ERR " + error.message;
  }
  return "ERR " + error.message;
}

}  // namespace knit
