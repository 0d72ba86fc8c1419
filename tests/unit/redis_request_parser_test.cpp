#include <array>
#include <catch2/catch.hpp>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "daemon/redis/inline_words.h"
#include "daemon/redis/request_parser.h"

using namespace knit;

namespace {

using Words = std::vector<std::string>;
using Step = RequestParser::Step;

std::string bulk(std::string_view bytes) {
  return "$" + std::to_string(bytes.size()) + "\r\n" + std::string(bytes) + "\r\n";
}

std::string multibulk(const Words& words) {
  std::string out = "*" + std::to_string(words.size()) + "\r\n";
  for (const std::string& word : words) out += bulk(word);
  return out;
}

// What came out: requests as their words, refusals and breaks as one word that begins with '!'.
void drain(RequestParser& parser, std::vector<Words>& out) {
  for (;;) {
    switch (parser.next()) {
      case Step::incomplete: return;
      case Step::broken: out.push_back({"!broken " + parser.error()}); return;
      case Step::refused: out.push_back({"!refused"}); break;
      case Step::request: {
        Words words;
        for (std::size_t at = 0; at < parser.size(); at++) words.emplace_back(parser[at]);
        out.push_back(words);
        break;
      }
    }
  }
}

std::vector<Words> parse(std::string_view bytes, RequestLimits limits = RequestLimits::authenticated()) {
  RequestParser parser(limits);
  std::vector<Words> out;
  parser.feed(bytes);
  drain(parser, out);
  return out;
}

std::vector<Words> parse_in_pieces(std::string_view bytes, std::size_t piece) {
  RequestParser parser(RequestLimits::authenticated());
  std::vector<Words> out;
  for (; !bytes.empty(); bytes.remove_prefix(std::min(piece, bytes.size()))) {
    parser.feed(bytes.substr(0, piece));
    drain(parser, out);
  }
  return out;
}

// One that takes little, and skips what is more.
RequestLimits small_limits() {
  return {
      .arguments_max = 100, .bulk_bytes_max = 50'000, .request_bytes_max = 120'000, .skip_oversized = true};
}

}  // namespace

TEST_CASE("a request is the same wherever it is cut") {
  const std::string large(RequestParser::large_bulk_bytes + 5, 'v');
  const std::string bytes = multibulk({"SET", "key", std::string("\r\n\0*$", 5)}) +
                            "*0\r\n\r\nget  'a b' \"\\x41\"\r\n" + multibulk({"", large, "after"}) +
                            multibulk({"PING"});
  const std::vector<Words> expected = {
      {"SET", "key", std::string("\r\n\0*$", 5)}, {"get", "a b", "A"}, {"", large, "after"}, {"PING"}};
  CHECK(parse(bytes) == expected);
  for (const std::size_t piece : {1, 2, 3, 7, 64, 1000, 40'000})
    CHECK(parse_in_pieces(bytes, piece) == expected);
  for (std::size_t cut = 0; cut <= 120; cut++) {
    RequestParser parser(RequestLimits::authenticated());
    std::vector<Words> out;
    parser.feed(std::string_view(bytes).substr(0, cut));
    drain(parser, out);
    parser.feed(std::string_view(bytes).substr(cut));
    drain(parser, out);
    REQUIRE(out == expected);
  }
}

TEST_CASE("pipelined requests come out one at a time") {
  std::string bytes;
  for (int at = 0; at < 1000; at++) bytes += multibulk({"SET", "k" + std::to_string(at), "v"});
  const auto requests = parse(bytes);
  REQUIRE(requests.size() == 1000);
  CHECK(requests[999] == Words{"SET", "k999", "v"});
}

TEST_CASE("a request that was not asked for yet stays unread") {
  RequestParser parser(RequestLimits::authenticated());
  parser.feed(multibulk({"A"}) + multibulk({"BC"}));
  REQUIRE(parser.next() == Step::request);
  CHECK(parser.unread() == multibulk({"BC"}).size());
  parser.feed(multibulk({"D"}));
  REQUIRE(parser.next() == Step::request);
  CHECK(parser[0] == "BC");
  REQUIRE(parser.next() == Step::request);
  CHECK(parser[0] == "D");
  CHECK(parser.next() == Step::incomplete);
}

TEST_CASE("a large argument is moved out, a small one copied") {
  const std::string large(100'000, 'x');
  RequestParser parser(RequestLimits::authenticated());
  parser.feed(multibulk({"SET", "small", large}));
  REQUIRE(parser.next() == Step::request);
  CHECK(parser.take(1) == "small");
  CHECK(parser.take(2) == large);
  CHECK(parser[2].empty());
  CHECK(parser[1] == "small");
}

TEST_CASE("malformed requests break the connection with the words of Redis") {
  const auto broken = [](std::string_view bytes) {
    const auto out = parse(bytes);
    return out.size() == 1 && out[0].size() == 1 ? out[0][0] : std::string("not broken");
  };
  CHECK(broken("*x\r\n") == "!broken ERR Protocol error: invalid multibulk length");
  CHECK(broken("*\r\n") == "!broken ERR Protocol error: invalid multibulk length");
  CHECK(broken("*1048577\r\n") == "!broken ERR Protocol error: invalid multibulk length");
  CHECK(broken("*99999999999999999999\r\n") == "!broken ERR Protocol error: invalid multibulk length");
  CHECK(broken("*1\r\nPING\r\n") == "!broken ERR Protocol error: expected '$', got 'P'");
  CHECK(broken("*1\r\n$-1\r\n") == "!broken ERR Protocol error: invalid bulk length");
  CHECK(broken("*1\r\n$\r\n") == "!broken ERR Protocol error: invalid bulk length");
  CHECK(broken("*1\r\n$536870913\r\n") == "!broken ERR Protocol error: invalid bulk length");
  CHECK(broken("*1\r\n$1\r\nabc\r\n") == "!broken ERR Protocol error: expected CRLF after a bulk");
  CHECK(broken("get \"a\r\n") == "!broken ERR Protocol error: unbalanced quotes in request");
  CHECK(broken(std::string(RequestParser::line_bytes_max + 1, 'a')) ==
        "!broken ERR Protocol error: too big inline request");
  CHECK(broken("*" + std::string(RequestParser::line_bytes_max + 1, '1')) ==
        "!broken ERR Protocol error: too big mbulk count string");
  CHECK(broken("*1\r\n$" + std::string(RequestParser::line_bytes_max + 1, '1')) ==
        "!broken ERR Protocol error: too big bulk count string");
}

TEST_CASE("a broken connection stays broken") {
  RequestParser parser(RequestLimits::authenticated());
  parser.feed("*x\r\n");
  REQUIRE(parser.next() == Step::broken);
  parser.feed(multibulk({"PING"}));
  CHECK(parser.next() == Step::broken);
  CHECK(parser.memory_bytes() < 100);
}

TEST_CASE("a count or a length that is only declared costs nothing") {
  for (const char* bytes :
       {"*1048576\r\n", "*1048576\r\n$67108864\r\nabc", "*2\r\n$67108864\r\n", "*1000000000\r\n"}) {
    RequestParser parser(RequestLimits::authenticated());
    parser.feed(bytes);
    parser.next();
    CHECK(parser.memory_bytes() < 10'000);
  }
}

TEST_CASE("a stranger may say little") {
  const auto limits = RequestLimits::before_authentication();
  CHECK(parse(multibulk({"AUTH", "user", "password"}), limits).at(0).size() == 3);
  CHECK(parse("*11\r\n", limits).at(0).at(0) ==
        "!broken ERR Protocol error: unauthenticated multibulk length");
  CHECK(parse("*1\r\n$16385\r\n", limits).at(0).at(0) ==
        "!broken ERR Protocol error: unauthenticated bulk length");
  CHECK(parse("*1\r\n" + bulk(std::string(16384, 'a')), limits).at(0).at(0).size() == 16384);
  const Words much(5, std::string(16000, 'a'));
  CHECK(parse(multibulk(much), limits).back().at(0) ==
        "!broken ERR Protocol error: unauthenticated bulk length");
}

TEST_CASE("limits change between two requests of one read") {
  RequestParser parser(RequestLimits::before_authentication());
  parser.feed(multibulk({"AUTH", "x"}) + multibulk(Words(20, "a")));
  REQUIRE(parser.next() == Step::request);
  parser.set_limits(RequestLimits::authenticated());
  REQUIRE(parser.next() == Step::request);
  CHECK(parser.size() == 20);
}

TEST_CASE("too long a value is skipped, refused, and the connection stays in step") {
  const std::string tricky = multibulk({"FLUSHALL"});
  std::string value;
  while (value.size() <= small_limits().bulk_bytes_max) value += tricky;
  const std::string bytes = multibulk({"SET", "key", value, "more"}) + multibulk({"PING"});
  const std::vector<Words> expected = {{"!refused"}, {"PING"}};
  CHECK(parse(bytes, small_limits()) == expected);
  RequestParser parser(small_limits());
  std::vector<Words> out;
  std::size_t most = 0;
  for (std::size_t at = 0; at < bytes.size(); at += 1000) {
    parser.feed(std::string_view(bytes).substr(at, 1000));
    drain(parser, out);
    most = std::max(most, parser.memory_bytes());
  }
  CHECK(out == expected);
  CHECK(most < 20'000);
}

TEST_CASE("a request that is too long as a whole is refused") {
  const Words words(4, std::string(40'000, 'a'));
  const std::vector<Words> expected = {{"!refused"}, {"PING"}};
  CHECK(parse(multibulk(words) + multibulk({"PING"}), small_limits()) == expected);
  CHECK(parse(multibulk(Words(3, std::string(40'000, 'a'))), small_limits()).at(0).size() == 3);
}

TEST_CASE("a value may have exactly the greatest length") {
  const auto limits = small_limits();
  CHECK(parse(multibulk({std::string(limits.bulk_bytes_max, 'a')}), limits).at(0).at(0).size() ==
        limits.bulk_bytes_max);
  CHECK(parse(multibulk({std::string(limits.bulk_bytes_max + 1, 'a')}), limits).at(0) == Words{"!refused"});
}

TEST_CASE("buffers shrink when they are empty") {
  RequestParser parser(RequestLimits::authenticated());
  std::vector<Words> out;
  parser.feed(multibulk(Words(5000, std::string(100, 'a'))));
  drain(parser, out);
  parser.feed("");
  drain(parser, out);
  CHECK(parser.memory_bytes() < 10'000);
}

TEST_CASE("random bytes neither crash the parser nor make it hold much") {
  std::mt19937_64 random(7);
  constexpr std::string_view alphabet = "*$\r\n0123456789-\"'\\xab \t";
  for (int run = 0; run < 3000; run++) {
    RequestParser parser(run % 2 == 0 ? RequestLimits::authenticated()
                                      : RequestLimits::before_authentication());
    for (int piece = 0; piece < 20; piece++) {
      std::string bytes;
      for (std::size_t left = random() % 40; left > 0; left--) bytes += alphabet[random() % alphabet.size()];
      parser.feed(bytes);
      std::vector<Words> out;
      drain(parser, out);
    }
    REQUIRE(parser.memory_bytes() < 100'000);
  }
}

TEST_CASE("inline words are split and quoted as in redis-cli") {
  const auto words = [](std::string_view line) { return split_inline(line).value_or(Words{"!"}); };
  CHECK(words("") == Words{});
  CHECK(words("  a\tb  c ") == Words{"a", "b", "c"});
  CHECK(words("\"\" ''") == Words{"", ""});
  CHECK(words("\"a b\" 'c d'") == Words{"a b", "c d"});
  CHECK(words(R"("\n\r\t\b\a\x41\\\"\q")") == Words{"\n\r\t\b\aA\\\"q"});
  CHECK(words(R"('a\'b\n')") == Words{"a'b\\n"});
  CHECK(words(R"("\xzz")") == Words{"xzz"});
  CHECK(words(R"(a"b c")") == Words{"ab c"});
  CHECK_FALSE(split_inline("\"a"));
  CHECK_FALSE(split_inline("'a"));
  CHECK_FALSE(split_inline("\"a\"b"));
  CHECK_FALSE(split_inline("\"a\\"));
}

TEST_CASE("the keys of requests to come can be seen, once, before they are parsed") {
  RequestParser parser(RequestLimits::authenticated());
  std::array<std::string_view, 2> keys;
  CHECK(parser.glimpse(keys) == 0);
  parser.feed(multibulk({"GET", "a"}) + multibulk({"SET", "b", "v"}) + multibulk({"GET", "c"}) +
              "*2\r\n$3\r\nGET");
  REQUIRE(parser.glimpse(keys) == 2);
  CHECK((keys[0] == "a"));
  CHECK((keys[1] == "b"));
  CHECK(parser.glimpse(keys) == 0);
  REQUIRE(parser.next() == Step::request);
  CHECK(parser.glimpse(keys) == 0);
  REQUIRE(parser.next() == Step::request);
  CHECK((parser[1] == "b"));
  REQUIRE(parser.glimpse(keys) == 1);
  CHECK((keys[0] == "c"));
  REQUIRE(parser.next() == Step::request);
  CHECK(parser.glimpse(keys) == 0);
  REQUIRE(parser.next() == Step::incomplete);
  parser.feed("\r\n$1\r\nd\r\n" + multibulk({"PING"}) + multibulk({"GET", "e"}));
  CHECK(parser.glimpse(keys) == 0);  // In the middle of a request.
  REQUIRE(parser.next() == Step::request);
  CHECK((parser[1] == "d"));
  CHECK(parser.glimpse(keys) == 0);  // A request without a key.
  REQUIRE(parser.next() == Step::request);
  REQUIRE(parser.glimpse(keys) == 1);
  CHECK((keys[0] == "e"));
}

TEST_CASE("looking ahead changes nothing of what is parsed, whatever the bytes") {
  std::mt19937_64 random(5);
  for (int round = 0; round < 3000; round++) {
    std::string bytes;
    while (random() % 8 != 0) bytes += multibulk({"SET", std::string(random() % 40, 'k'), "v"});
    for (auto damage = random() % 4; damage > 0 && !bytes.empty(); damage--) {
      bytes[random() % bytes.size()] = "*$0123456789\r\nx-"[random() % 17];
    }
    RequestParser plain(RequestLimits::authenticated());
    RequestParser glimpsing(RequestLimits::authenticated());
    std::vector<Words> expected;
    std::vector<Words> got;
    for (std::string_view rest = bytes; !rest.empty();) {
      const std::size_t piece = std::min<std::size_t>(1 + random() % 200, rest.size());
      plain.feed(rest.substr(0, piece));
      glimpsing.feed(rest.substr(0, piece));
      rest.remove_prefix(piece);
      drain(plain, expected);
      std::array<std::string_view, 4> keys;
      while (glimpsing.glimpse(keys) > 0) {
      }
      drain(glimpsing, got);
    }
    REQUIRE(got == expected);
  }
}
