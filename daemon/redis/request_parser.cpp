#include "daemon/redis/request_parser.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/check.h"
#include "crdt/register_row.h"
#include "daemon/redis/inline_words.h"

namespace knit {

namespace {

constexpr std::size_t digits_max = 10;  // Of a number that is worth a quick look.
constexpr std::size_t glimpse_arguments_max = 16;
constexpr std::size_t buffer_kept_bytes = 4096;  // An idle client keeps no more than that.

std::optional<std::int64_t> number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Steps over "<type><digits>\r\n", if that is what begins at `at` and has come whole.
bool scan_number(std::string_view bytes, std::size_t& at, char type, std::size_t& value) {
  if (at >= bytes.size() || bytes[at] != type) return false;
  std::size_t end = at + 1;
  value = 0;
  while (end < bytes.size() && end - at <= digits_max && bytes[end] >= '0' && bytes[end] <= '9') {
    value = 10 * value + static_cast<std::size_t>(bytes[end++] - '0');
  }
  if (end == at + 1 || bytes.size() - end < 2 || bytes[end] != '\r' || bytes[end + 1] != '\n') return false;
  at = end + 2;
  return true;
}

// Steps over a request of a few small arguments, if it has come whole.
bool scan_request(std::string_view bytes, std::size_t& at, std::string_view& second) {
  std::size_t end = at;
  std::size_t bulks = 0;
  if (!scan_number(bytes, end, '*', bulks) || bulks < 2 || bulks > glimpse_arguments_max) return false;
  for (std::size_t bulk = 0; bulk < bulks; bulk++) {
    std::size_t size = 0;
    if (!scan_number(bytes, end, '$', size) || bytes.size() - end < size + 2) return false;
    if (bulk == 1) second = bytes.substr(end, size);
    end += size + 2;
  }
  at = end;
  return true;
}

}  // namespace

RequestLimits RequestLimits::before_authentication() {
  return {.arguments_max = 10, .bulk_bytes_max = 16 << 10, .request_bytes_max = 64 << 10};
}

RequestLimits RequestLimits::authenticated() {
  return {.arguments_max = 1 << 20,
          .bulk_bytes_max = value_bytes_max,
          .request_bytes_max = 2 * value_bytes_max,
          .skip_oversized = true};
}

void RequestParser::feed(std::string_view bytes) {
  if (state_ == State::broken) return;
  if (whole_) forget_request();
  compact();
  if (cursor_ == buffer_.size()) consume_wanted(bytes);
  buffer_.append(bytes);
}

RequestParser::Step RequestParser::next() {
  if (state_ == State::broken) return Step::broken;
  if (whole_) forget_request();
  return parse();
}

std::size_t RequestParser::glimpse(std::span<std::string_view> keys) {
  if (state_ != State::begin || glimpsed_ > cursor_) return 0;
  glimpsed_ = cursor_;
  std::size_t count = 0;
  while (count < keys.size() && scan_request(buffer_, glimpsed_, keys[count])) count++;
  return count;
}

// Runs the states until one of them wants more bytes or has something to tell.
RequestParser::Step RequestParser::parse() {
  for (bool going_on = true; going_on;) {
    switch (state_) {
      case State::begin: going_on = begin_request(); break;
      case State::header: going_on = parse_header(); break;
      case State::bulk:
      case State::large:
      case State::skip: going_on = finish_bulk(); break;
      case State::bulk_end: going_on = finish_bulk_end(); break;
      case State::broken: return Step::broken;
    }
    if (whole_) return refused_ ? Step::refused : Step::request;
  }
  return Step::incomplete;
}

bool RequestParser::begin_request() {
  if (cursor_ == buffer_.size()) return false;
  start_ = cursor_;
  const bool multibulk = buffer_[cursor_] == '*';
  std::string_view line;
  if (!take_line(line, multibulk ? "Protocol error: too big mbulk count string"
                                 : "Protocol error: too big inline request")) {
    return state_ == State::broken;
  }
  return multibulk ? begin_multibulk(line) : parse_inline(line);
}

bool RequestParser::begin_multibulk(std::string_view line) {
  const auto count = number(line.substr(1));
  const auto most = static_cast<std::int64_t>(RequestLimits::authenticated().arguments_max);
  if (!count || *count > most) return fail("Protocol error: invalid multibulk length");
  if (*count > static_cast<std::int64_t>(limits_.arguments_max)) {
    return fail("Protocol error: unauthenticated multibulk length");
  }
  start_ = cursor_;
  if (*count <= 0) return true;  // Says nothing and gets no answer.
  expected_ = static_cast<std::size_t>(*count);
  state_ = State::header;
  return true;
}

bool RequestParser::parse_inline(std::string_view line) {
  auto words = split_inline(line);
  if (!words) return fail("Protocol error: unbalanced quotes in request");
  if (words->size() > limits_.arguments_max) return fail("Protocol error: unauthenticated multibulk length");
  for (std::string& word : *words) {
    parts_.push_back({0, word.size(), larges_.size()});
    larges_.push_back(std::move(word));
  }
  if (parts_.empty()) {
    start_ = cursor_;
    return true;
  }
  whole_ = true;
  return true;
}

bool RequestParser::parse_header() {
  std::string_view line;
  if (!take_line(line, "Protocol error: too big bulk count string")) return state_ == State::broken;
  if (line.empty() || line[0] != '$') {
    const char got = line.empty() ? '\r' : line[0];
    return fail(std::string("Protocol error: expected '$', got '") + got + "'");
  }
  const auto size = number(line.substr(1));
  if (!size || *size < 0 || static_cast<std::uint64_t>(*size) > bulk_declared_max) {
    return fail("Protocol error: invalid bulk length");
  }
  return begin_bulk(static_cast<std::size_t>(*size));
}

bool RequestParser::begin_bulk(std::size_t size) {
  const bool too_long = size > limits_.bulk_bytes_max;
  const bool too_much =
      size > limits_.request_bytes_max - std::min(request_bytes_, limits_.request_bytes_max);
  if ((too_long || too_much) && !limits_.skip_oversized) {
    return fail("Protocol error: unauthenticated bulk length");
  }
  if (too_long) {
    refuse("ERR an argument of " + std::to_string(size) + " bytes is too long, at most " +
           std::to_string(limits_.bulk_bytes_max) + " bytes are taken");
  } else if (too_much) {
    refuse("ERR the command is too long, its arguments may have " +
           std::to_string(limits_.request_bytes_max) + " bytes together");
  }
  request_bytes_ += size;
  wanted_ = size;
  if (refused_) {
    state_ = State::skip;
    start_ = cursor_;
  } else if (size >= large_bulk_bytes) {
    state_ = State::large;
    parts_.push_back({0, size, larges_.size()});
    larges_.emplace_back();
  } else {
    state_ = State::bulk;
    parts_.push_back({cursor_ - start_, size});
  }
  return true;
}

bool RequestParser::finish_bulk() {
  if (state_ == State::bulk) {
    if (buffer_.size() - cursor_ < wanted_) return false;
    cursor_ += wanted_;
    wanted_ = 0;
  } else {
    std::string_view rest = std::string_view(buffer_).substr(cursor_);
    consume_wanted(rest);
    cursor_ = buffer_.size() - rest.size();
    if (refused_) start_ = cursor_;
    if (wanted_ != 0) return false;
  }
  state_ = State::bulk_end;
  return true;
}

// Takes from the front of `bytes` what a large or a skipped bulk still wants.
void RequestParser::consume_wanted(std::string_view& bytes) {
  if (state_ != State::large && state_ != State::skip) return;
  const std::size_t taken = std::min(wanted_, bytes.size());
  if (state_ == State::large) larges_.back().append(bytes.substr(0, taken));
  bytes.remove_prefix(taken);
  wanted_ -= taken;
}

bool RequestParser::finish_bulk_end() {
  if (buffer_.size() - cursor_ < 2) return false;
  if (buffer_[cursor_] != '\r' || buffer_[cursor_ + 1] != '\n') {
    return fail("Protocol error: expected CRLF after a bulk");
  }
  cursor_ += 2;
  if (refused_) start_ = cursor_;
  expected_--;
  state_ = expected_ == 0 ? State::begin : State::header;
  whole_ = expected_ == 0;
  return true;
}

bool RequestParser::take_line(std::string_view& line, const char* too_long) {
  const std::size_t end = buffer_.find('\n', cursor_);
  const std::size_t size = (end == std::string::npos ? buffer_.size() : end) - cursor_;
  if (size > line_bytes_max) {
    fail(too_long);
    return false;
  }
  if (end == std::string::npos) return false;
  line = std::string_view(buffer_).substr(cursor_, size);
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  cursor_ = end + 1;
  return true;
}

// The rest of the request is read and thrown away. What was kept of it is let go at once.
void RequestParser::refuse(std::string error) {
  if (refused_) return;
  refused_ = true;
  error_ = std::move(error);
  parts_.clear();
  larges_.clear();
}

bool RequestParser::fail(std::string error) {
  state_ = State::broken;
  error_ = "ERR " + std::move(error);
  parts_.clear();
  larges_.clear();
  buffer_.clear();
  buffer_.shrink_to_fit();
  start_ = cursor_ = glimpsed_ = 0;
  return true;
}

void RequestParser::forget_request() {
  start_ = cursor_;
  parts_.clear();
  larges_.clear();
  if (parts_.capacity() > 1024) parts_.shrink_to_fit();
  request_bytes_ = 0;
  refused_ = false;
  whole_ = false;
  error_.clear();
}

void RequestParser::compact() {
  if (start_ == 0) return;
  buffer_.erase(0, start_);
  cursor_ -= start_;
  glimpsed_ -= std::min(glimpsed_, start_);
  start_ = 0;
  if (buffer_.capacity() > buffer_kept_bytes && buffer_.size() < buffer_kept_bytes) buffer_.shrink_to_fit();
}

std::string_view RequestParser::operator[](std::size_t index) const {
  check(index < parts_.size(), "an argument that was sent");
  const Part& part = parts_[index];
  if (part.large != inline_part) return larges_[part.large];
  return std::string_view(buffer_).substr(start_ + part.offset, part.size);
}

std::string RequestParser::take(std::size_t index) {
  check(index < parts_.size(), "an argument that was sent");
  const Part& part = parts_[index];
  if (part.large != inline_part) return std::move(larges_[part.large]);
  return std::string((*this)[index]);
}

std::size_t RequestParser::memory_bytes() const {
  std::size_t bytes = buffer_.capacity() + parts_.capacity() * sizeof(Part);
  for (const std::string& large : larges_) bytes += large.capacity();
  return bytes;
}

}  // namespace knit
