// HTTP requests: the same come out however the bytes come in, and no more of them is held than the limits
// allow.
#include <vector>

#include "daemon/http/http_request_parser.h"
#include "tests/fuzz/fuzz.h"

using namespace knit;

namespace {

struct Taken {
  std::string target;
  bool head{};
  bool keep_alive{};
  bool refused{};  // Which of two errors is told depends on the pieces.
  bool operator==(const Taken&) const = default;
};

Taken taken(const HttpRequestParser& parser) {
  if (parser.error()) return {{}, false, false, true};
  const HttpRequest& request = parser.request();
  check(request.target.size() <= HttpRequestParser::target_bytes_max, "a target is within its limit");
  check(request.path().size() <= request.target.size(), "a path is a part of the target");
  return {request.target, request.head, request.keep_alive, false};
}

std::vector<Taken> read(std::string_view stream, std::size_t piece_bytes) {
  std::vector<Taken> requests;
  HttpRequestParser parser;
  std::size_t head_bytes = 0;
  while (!stream.empty()) {
    const std::size_t used = parser.feed(stream.substr(0, piece_bytes));
    stream.remove_prefix(used);
    head_bytes += used;
    check(head_bytes <= HttpRequestParser::head_bytes_max, "a head is within its limit");
    if (!parser.complete() && !parser.error()) {
      check(used > 0, "bytes are taken until there is a request");
      continue;
    }
    requests.push_back(taken(parser));
    if (parser.error()) break;
    parser.reset();
    head_bytes = 0;
  }
  return requests;
}

}  // namespace

// Bytes of a piece at least, less one | the stream, inflated
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ByteReader in(fuzz::text_of(data, size));
  const std::uint8_t least = in.u8();
  const std::string stream = fuzz::inflate(fuzz::rest_of(in));
  check(read(stream, fuzz::piece_bytes(stream, least)) == read(stream, stream.size()),
        "pieces make no difference");
  return 0;
}
