// Writes RESP2 or RESP3, as the client chose with HELLO. What RESP2 has no type for becomes what
// Redis makes of it: a map is a flat array, a double a bulk string, a boolean an integer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace knit {

// Appends to a string that the caller owns. Of array, map and set the elements follow.
class Reply {
 public:
  Reply(std::string& out, int protocol) : out_(&out), protocol_(protocol) {}

  int protocol() const { return protocol_; }

  void ok() { simple("OK"); }
  void simple(std::string_view text);  // Line ends in it become spaces.
  void error(std::string_view text);   // Begins with its code: "ERR no such key". Line ends become spaces.
  void error(const Error& error);      // As error_line() words it.
  void integer(std::int64_t value);
  void bulk(std::string_view bytes);
  void null();
  void boolean(bool value);
  void real(double value);
  void verbatim(std::string_view text);  // For people.
  void array(std::size_t elements);
  void map(std::size_t pairs);
  void set(std::size_t elements);

  // The parts of a bulk whose bytes are appended by other means.
  void bulk_header(std::size_t size) { header('$', size); }
  void line_end() { out_->append("\r\n"); }
  void raw(std::string_view resp) { out_->append(resp); }

 private:
  void header(char type, std::size_t count);
  void line(char type, std::string_view text);

  std::string* out_;
  int protocol_;
};

// A map whose size is known only at its end. Values go to the Reply that field() answers.
class MapReply {
 public:
  explicit MapReply(int protocol) : protocol_(protocol) {}

  Reply field(std::string_view name);
  void text(std::string_view name, std::string_view value) { field(name).bulk(value); }
  void integer(std::string_view name, std::int64_t value) { field(name).integer(value); }
  void count(std::string_view name, std::uint64_t value);  // Those beyond an int64 become its greatest.
  void flag(std::string_view name, bool value) { integer(name, value ? 1 : 0); }
  void digest(std::string_view name, Uint128 value);  // 32 hex digits.

  void write_to(Reply reply) const;

 private:
  int protocol_;
  std::string body_;
  std::size_t fields_ = 0;
};

// How a client is told of an error: with the codes that Redis uses, where it has one.
std::string error_line(const Error& error);

}  // namespace knit
