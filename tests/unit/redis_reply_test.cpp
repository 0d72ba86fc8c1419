#include <catch2/catch.hpp>
#include <limits>
#include <random>
#include <string>

#include "daemon/redis/reply.h"
#include "daemon/redis/reply_queue.h"

using namespace knit;

namespace {

template <class F>
std::string written(int protocol, F&& write) {
  std::string out;
  Reply reply(out, protocol);
  write(reply);
  return out;
}

void add(ReplyQueue& queue, std::string text, std::uint64_t position) {
  queue.append(std::move(text));
  queue.end_reply({position});
}

// Writes what is released, at most so many bytes at a time.
std::string drain(ReplyQueue& queue, std::size_t at_most = 1 << 30) {
  std::string out;
  while (queue.has_released()) {
    const std::string_view view = queue.released(8).front();
    const std::string_view part = view.substr(0, at_most);
    out += part;
    queue.on_written(part.size());
  }
  return out;
}

}  // namespace

TEST_CASE("both protocols write what both have") {
  for (const int protocol : {2, 3}) {
    CHECK(written(protocol, [](Reply& r) { r.ok(); }) == "+OK\r\n");
    CHECK(written(protocol, [](Reply& r) { r.error("ERR no"); }) == "-ERR no\r\n");
    CHECK(written(protocol, [](Reply& r) { r.integer(-42); }) == ":-42\r\n");
    CHECK(written(protocol, [](Reply& r) { r.integer(std::numeric_limits<std::int64_t>::min()); }) ==
          ":-9223372036854775808\r\n");
    CHECK(written(protocol, [](Reply& r) { r.bulk(std::string_view("a\r\n\0", 4)); }) ==
          std::string("$4\r\na\r\n\0\r\n", 10));
    CHECK(written(protocol, [](Reply& r) { r.array(2); }) == "*2\r\n");
  }
}

TEST_CASE("RESP2 gets what it has for the types of RESP3") {
  const auto both = [](auto write) { return written(2, write) + "|" + written(3, write); };
  CHECK(both([](Reply& r) { r.null(); }) == "$-1\r\n|_\r\n");
  CHECK(both([](Reply& r) { r.map(3); }) == "*6\r\n|%3\r\n");
  CHECK(both([](Reply& r) { r.set(3); }) == "*3\r\n|~3\r\n");
  CHECK(both([](Reply& r) { r.boolean(true); }) == ":1\r\n|#t\r\n");
  CHECK(both([](Reply& r) { r.boolean(false); }) == ":0\r\n|#f\r\n");
  CHECK(both([](Reply& r) { r.real(1.5); }) == "$3\r\n1.5\r\n|,1.5\r\n");
  CHECK(both([](Reply& r) { r.real(-std::numeric_limits<double>::infinity()); }) ==
        "$4\r\n-inf\r\n|,-inf\r\n");
  CHECK(both([](Reply& r) { r.verbatim("hi"); }) == "$2\r\nhi\r\n|=6\r\ntxt:hi\r\n");
}

TEST_CASE("a line end in an error does not end the reply") {
  CHECK(written(2, [](Reply& r) { r.error("ERR unknown 'a\r\n+OK\r\n'"); }) == "-ERR unknown 'a  +OK  '\r\n");
  CHECK(written(2, [](Reply& r) { r.simple("a\nb"); }) == "+a b\r\n");
}

TEST_CASE("a map counts its own fields") {
  const auto write = [](Reply& reply) {
    MapReply map(reply.protocol());
    map.text("name", "n");
    map.flag("ok", true);
    map.count("rows", ~std::uint64_t{0});
    map.digest("root", Uint128{0xab});
    map.field("none").null();
    map.write_to(reply);
  };
  const std::string fields =
      "$4\r\nname\r\n$1\r\nn\r\n$2\r\nok\r\n:1\r\n$4\r\nrows\r\n:9223372036854775807\r\n"
      "$4\r\nroot\r\n$32\r\n000000000000000000000000000000ab\r\n$4\r\nnone\r\n";
  CHECK(written(2, write) == "*10\r\n" + fields + "$-1\r\n");
  CHECK(written(3, write) == "%5\r\n" + fields + "_\r\n");
}

TEST_CASE("errors carry the codes of Redis") {
  CHECK(error_line({ErrorCode::disk_full, "no space left in /x"}) ==
        "MISCONF knit cannot write: no space left in /x");
  CHECK(error_line({ErrorCode::bad_input, "the key is too long"}) == "ERR the key is too long");
}

TEST_CASE("a reply leaves when what it saw is synced") {
  ReplyQueue queue;
  add(queue, "a", 0);
  add(queue, "b", 5);
  queue.release({4});
  CHECK(drain(queue) == "a");
  CHECK_FALSE(queue.empty());
  queue.release({5});
  CHECK(drain(queue) == "b");
  CHECK(queue.empty());
}

TEST_CASE("a reply that could leave waits for those before it") {
  ReplyQueue queue;
  add(queue, "write", 7);
  add(queue, "ping", 0);
  add(queue, "old", 3);
  queue.release({6});
  CHECK_FALSE(queue.has_released());
  queue.release({7});
  CHECK(drain(queue) == "writepingold");
}

TEST_CASE("a reply that is not ended stays") {
  ReplyQueue queue;
  add(queue, "a", 0);
  queue.tail().append("half");
  queue.release({100});
  CHECK(drain(queue) == "a");
  queue.end_reply({0});
  queue.release({100});
  CHECK(drain(queue) == "half");
}

TEST_CASE("undone replies become errors, one for each, the others stay") {
  ReplyQueue queue;
  add(queue, "synced;", 5);
  add(queue, "write;", 6);
  add(queue, "write;", 6);
  add(queue, "ping;", 0);
  add(queue, "write;", 7);
  queue.replace_unsynced({5}, "error;");
  queue.release({5});
  CHECK(drain(queue) == "synced;error;error;ping;error;");
  CHECK(queue.empty());
}

TEST_CASE("what is written in part before an undo is not written again") {
  ReplyQueue queue;
  add(queue, "abcdef", 0);
  add(queue, "write", 9);
  queue.release({0});
  queue.on_written(4);
  queue.replace_unsynced({0}, "error");
  queue.release({0});
  CHECK(drain(queue) == "eferror");
}

TEST_CASE("large parts are not copied and keep their place") {
  ReplyQueue queue;
  std::string large(ReplyQueue::chunk_bytes * 3, 'x');
  const char* data = large.data();
  queue.tail().append("head");
  queue.append(std::move(large));
  queue.tail().append("tail");
  queue.end_reply({});
  queue.release({});
  CHECK(queue.released(8).at(1).data() == data);
  auto detached = queue.detach_released();
  CHECK(detached.chunks.at(1).data() == data);
  CHECK(detached.bytes == 8 + ReplyQueue::chunk_bytes * 3);
  CHECK(queue.empty());
}

TEST_CASE("whatever the sizes and the writes, the stream is the same") {
  std::mt19937_64 random(3);
  for (int run = 0; run < 200; run++) {
    ReplyQueue queue;
    std::string expected;
    std::string got;
    std::uint64_t position = 0;
    for (int reply = 0; reply < 60; reply++) {
      std::string text(random() % (random() % 10 == 0 ? 60'000 : 20), static_cast<char>('a' + reply % 26));
      expected += text;
      add(queue, std::move(text), random() % 3 == 0 ? 0 : ++position);
      if (random() % 4 == 0) queue.release({position - random() % (position + 1)});
      if (random() % 5 == 0) got += drain(queue, 1 + random() % 5000);
      if (random() % 7 == 0) {
        for (const std::string& chunk : queue.detach_released().chunks) got += chunk;
      }
      if (random() % 9 == 0 && queue.has_released()) {
        got += queue.released(1).front()[0];
        queue.on_written(1);
      }
      REQUIRE(got.size() + queue.bytes() == expected.size());
    }
    queue.release({position});
    got += drain(queue);
    REQUIRE(got == expected);
    REQUIRE(queue.empty());
  }
}
