// Requests of Redis clients: the same come out however the bytes come in, and nothing is held but what was
// sent.
#include <array>
#include <deque>

#include "daemon/redis/request_parser.h"
#include "tests/fuzz/fuzz.h"

using namespace knit;

namespace {

using Step = RequestParser::Step;

struct Request {
  Step step{};
  std::string error;
  std::vector<std::string> arguments;
  bool operator==(const Request&) const = default;
};

RequestLimits limits_of(std::uint8_t head) {
  switch (head % 4) {
    case 0: return RequestLimits::before_authentication();
    case 1: return RequestLimits::authenticated();
    case 2:
      return {.arguments_max = 8, .bulk_bytes_max = 20, .request_bytes_max = 50, .skip_oversized = true};
    default:
      return {.arguments_max = 8,
              .bulk_bytes_max = 40 << 10,
              .request_bytes_max = 70 << 10,
              .skip_oversized = true};
  }
}

// What glimpse() tells ahead is held against what comes.
class Foretold {
 public:
  void look(RequestParser& parser) {
    if (!keys_.empty()) return;
    std::array<std::string_view, 4> keys;
    const std::size_t count = parser.glimpse(keys);
    keys_.assign(keys.begin(), keys.begin() + static_cast<std::ptrdiff_t>(count));
  }
  void compare(const Request& request) {
    if (keys_.empty()) return;
    if (request.step == Step::request)
      check(request.arguments.size() > 1 && request.arguments[1] == keys_.front(),
            "a key comes as it was told");
    keys_.pop_front();
  }

 private:
  std::deque<std::string> keys_;
};

Request taken(RequestParser& parser, Step step) {
  Request request{step, parser.error(), {}};
  if (step != Step::request) return request;
  check(parser.size() > 0, "a request has an argument");
  for (std::size_t i = 0; i < parser.size(); ++i) {
    request.arguments.emplace_back(parser[i]);
    check(parser.take(i) == request.arguments.back(), "an argument is taken as it is seen");
  }
  return request;
}

std::vector<Request> read(RequestParser parser, std::string_view stream, std::size_t piece_bytes,
                          bool foretell) {
  std::vector<Request> requests;
  Foretold foretold;
  std::size_t fed = 0;
  while (fed < stream.size()) {
    const std::string_view piece = stream.substr(fed, piece_bytes);
    parser.feed(piece);
    fed += piece.size();
    if (foretell) foretold.look(parser);
    for (Step step = parser.next(); step != Step::incomplete; step = parser.next()) {
      requests.push_back(taken(parser, step));
      foretold.compare(requests.back());
      if (step == Step::broken) return requests;
    }
    // A word of an inline command needs two bytes, and memory for a part and a string.
    check(parser.memory_bytes() <= 8192 + 64 * fed, "no more is held than what was sent is worth");
  }
  return requests;
}

void check_within(const std::vector<Request>& requests, const RequestLimits& limits) {
  for (const Request& request : requests) {
    check(request.arguments.size() <= limits.arguments_max, "a request has no more arguments than the limit");
    check((request.step == Step::request) == request.error.empty(), "an error is told, or a request");
  }
}

}  // namespace

// Limits | bytes of a piece at least, less one | the stream, inflated
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ByteReader in(fuzz::text_of(data, size));
  const RequestLimits limits = limits_of(in.u8());
  const std::uint8_t least = in.u8();
  const std::string stream = fuzz::inflate(fuzz::rest_of(in));
  const auto requests = read(RequestParser(limits), stream, stream.size(), false);
  check(read(RequestParser(limits), stream, fuzz::piece_bytes(stream, least), false) == requests,
        "pieces make no difference");
  check(read(RequestParser(limits), stream, stream.size(), true) == requests,
        "a glimpse makes no difference");
  check_within(requests, limits);
  return 0;
}
