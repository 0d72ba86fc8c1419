#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "daemon/http/http_session.h"

using namespace knit;

namespace {

HttpAnswer echo(std::string_view path) {
  if (path == "/missing") return error_answer(HttpStatus::not_found);
  return {.body = "at " + std::string(path)};
}

const HttpHandler handler = echo;

struct Conversation {
  HttpSession session{handler};

  // All answers to these bytes.
  std::vector<std::string> operator()(std::string_view bytes) {
    session.feed(bytes);
    std::vector<std::string> out;
    while (auto text = session.next()) out.push_back(std::move(*text));
    return out;
  }
};

std::string only_answer(std::string_view bytes) {
  Conversation talk;
  const auto answers = talk(bytes);
  REQUIRE(answers.size() == 1);
  return answers.front();
}

std::string status_of(std::string_view answer) {
  REQUIRE(answer.substr(0, 9) == "HTTP/1.1 ");
  return std::string(answer.substr(9, 3));
}

std::string body_of(const std::string& answer) { return answer.substr(answer.find("\r\n\r\n") + 4); }

bool has(const std::string& answer, std::string_view line) {
  return answer.find("\r\n" + std::string(line) + "\r\n") != std::string::npos;
}

// A request that ends its connection, and its answer's status.
std::string refusal(std::string_view bytes) {
  Conversation talk;
  const auto answers = talk(bytes);
  REQUIRE(answers.size() == 1);
  CHECK(talk.session.over());
  CHECK(has(answers.front(), "Connection: close"));
  CHECK(talk("GET / HTTP/1.1\r\nHost: a\r\n\r\n").empty());
  return status_of(answers.front());
}

// A request whose head, with its empty line, has so many bytes.
std::string request_of(std::size_t bytes) {
  const std::string begin = "GET / HTTP/1.1\r\nHost: a\r\nX-Long: ";
  const std::string end = "\r\n\r\n";
  return begin + std::string(bytes - begin.size() - end.size(), 'x') + end;
}

}  // namespace

TEST_CASE("a GET is answered with the body, its length and its type") {
  const std::string answer = only_answer("GET /page?a=b HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK(status_of(answer) == "200");
  CHECK(has(answer, "Content-Length: 8"));
  CHECK(has(answer, "Content-Type: text/plain; charset=utf-8"));
  CHECK(has(answer, "Connection: keep-alive"));
  CHECK(body_of(answer) == "at /page");
}

TEST_CASE("a HEAD is answered as a GET, without the body") {
  const std::string answer = only_answer("HEAD /page HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK(status_of(answer) == "200");
  CHECK(has(answer, "Content-Length: 8"));
  CHECK(body_of(answer).empty());
}

TEST_CASE("an HTTP request may come byte by byte, and several at once") {
  const std::string request = "GET /1 HTTP/1.1\r\nHOST: a\r\nEmpty:\r\n\r\n";
  Conversation talk;
  for (const char c : request.substr(0, request.size() - 1)) REQUIRE(talk({&c, 1}).empty());
  CHECK(talk.session.in_request());
  CHECK(talk("\n").size() == 1);
  CHECK_FALSE(talk.session.in_request());

  const auto answers = talk(request + "GET /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /3 HT");
  REQUIRE(answers.size() == 2);
  CHECK(body_of(answers[1]) == "at /2");
  CHECK(talk.session.in_request());
}

TEST_CASE("the connection ends after the answer when HTTP says so") {
  for (const char* request :
       {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "GET / HTTP/1.0\r\n\r\n"}) {
    CHECK(refusal(request) == "200");
  }
  Conversation talk;
  CHECK(talk("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").size() == 1);
  CHECK_FALSE(talk.session.over());
}

TEST_CASE("a page that is not there leaves the connection open") {
  Conversation talk;
  const auto answers = talk("GET /missing HTTP/1.1\r\nHost: a\r\n\r\n");
  REQUIRE(answers.size() == 1);
  CHECK(status_of(answers.front()) == "404");
  CHECK_FALSE(talk.session.over());
}

TEST_CASE("other methods are refused, and those that are allowed named") {
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "TRACE"}) {
    const std::string request = std::string(method) + " / HTTP/1.1\r\nHost: a\r\n\r\n";
    CHECK(refusal(request) == "405");
    CHECK(has(only_answer(request), "Allow: GET, HEAD"));
  }
  CHECK(refusal("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n") == "405");
}

TEST_CASE("a request with a body is refused, so that no byte of it is taken for a request") {
  const std::string smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
  CHECK(refusal("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 38\r\n\r\n" + smuggled) == "413");
  CHECK(refusal("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551000\r\n\r\n" + smuggled) ==
        "413");
  CHECK(refusal("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n" + smuggled) == "413");
  CHECK(refusal("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 38\r\n\r\n" + smuggled) == "405");
}

TEST_CASE("what is no HTTP is a bad request") {
  CHECK(refusal("*1\r\n$4\r\nPING\r\n") == "400");
  CHECK(refusal(std::string(64, '\0')) == "400");
  CHECK(refusal("GET / HTTP/1.1\r\nHost: a\r\nBad Name: b\r\n\r\n") == "400");
  CHECK(refusal("GET / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\n") == "400");
  CHECK(refusal("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n") == "400");
  CHECK(refusal("GET / HTTP/1.1\r\n\r\n") == "400");  // No host.
  CHECK(refusal("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n") == "400");
}

TEST_CASE("other versions of HTTP are refused") {
  CHECK(refusal("GET / HTTP/2.0\r\nHost: a\r\n\r\n") == "505");
  CHECK(refusal("GET / HTTP/0.9\r\nHost: a\r\n\r\n") == "505");
}

TEST_CASE("a wish for another protocol is passed over") {
  Conversation talk;
  const auto answers = talk(
      "GET /1 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n"
      "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
  REQUIRE(answers.size() == 2);
  CHECK(body_of(answers[1]) == "at /2");
}

TEST_CASE("a request's head has a limit in bytes") {
  Conversation talk;
  const auto at_the_limit = talk(request_of(HttpRequestParser::head_bytes_max));
  REQUIRE(at_the_limit.size() == 1);
  CHECK(status_of(at_the_limit.front()) == "200");
  CHECK(refusal(request_of(HttpRequestParser::head_bytes_max + 1)) == "431");

  // The limit is that of each request, not of the connection.
  for (int i = 0; i < 3; i++) {
    CHECK(status_of(talk(request_of(HttpRequestParser::head_bytes_max)).front()) == "200");
  }
}

TEST_CASE("a head that never ends is refused at the limit, however it comes") {
  Conversation talk;
  REQUIRE(talk("GET / HTTP/1.1\r\n").empty());
  std::vector<std::string> answers;
  std::size_t sent = 16;
  for (; answers.empty() && sent < 100'000; sent += 5) answers = talk("a: b\n");
  REQUIRE(answers.size() == 1);
  CHECK(status_of(answers.front()) == "431");
  CHECK(sent <= HttpRequestParser::head_bytes_max + 5);
}

TEST_CASE("a request's target has a limit in bytes") {
  const auto request = [](std::size_t bytes) {
    return "GET /" + std::string(bytes - 1, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n";
  };
  CHECK(status_of(only_answer(request(HttpRequestParser::target_bytes_max))) == "200");
  CHECK(refusal(request(HttpRequestParser::target_bytes_max + 1)) == "414");
}
