// Commands on strings and keys, beyond what a comparison with Redis shows.
#include <algorithm>
#include <catch2/catch.hpp>
#include <string>

#include "unit/redis_talk.h"

using namespace knit;
using test::Door;
using test::Talk;

TEST_CASE("a part that is changed leaves the rest and the expiry") {
  Door door;
  Talk talk(door);
  talk("SET k hello EX 100");
  CHECK(talk("SETRANGE k 1 a") == ":5\r\n");
  CHECK(talk("APPEND k !") == ":6\r\n");
  CHECK(talk("GET k") == "$6\r\nhallo!\r\n");
  CHECK(talk("TTL k") == ":100\r\n");
  CHECK(talk("SETRANGE new 2 x") == ":3\r\n");
  CHECK(talk("GET new") == std::string("$3\r\n\0\0x\r\n", 9));
}

TEST_CASE("no value grows beyond the limit, and none is made only to see that") {
  Door door;
  Talk talk(door);
  const std::string too_long = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n";
  CHECK(talk("SETRANGE k " + std::to_string(value_bytes_max) + " x") == too_long);
  CHECK(talk("SETRANGE k 9223372036854775807 x") == too_long);
  CHECK(talk("SETRANGE k " + std::to_string(value_bytes_max - 1) + " x") ==
        ":" + std::to_string(value_bytes_max) + "\r\n");
  CHECK(talk("APPEND k y") == too_long);
  CHECK(talk("STRLEN k") == ":" + std::to_string(value_bytes_max) + "\r\n");
}

TEST_CASE("a renamed key takes its expiry along") {
  Door door;
  Talk talk(door);
  talk("SET old v EX 100");
  talk("SET new w");
  CHECK(talk("RENAMENX old new") == ":0\r\n");
  CHECK(talk("RENAME old new") == "+OK\r\n");
  CHECK(talk("EXISTS old") == ":0\r\n");
  CHECK(talk("GET new") == "$1\r\nv\r\n");
  CHECK(talk("TTL new") == ":100\r\n");
}

TEST_CASE("KEYS walks over a large store in steps, and other commands of the client wait") {
  Door door;
  Talk talk(door);
  std::string all = "MSET";
  for (int at = 0; at < 12'000; at++) all += " key" + std::to_string(at) + " v";
  talk(all.substr(0, 60'000).substr(0, all.substr(0, 60'000).rfind(" key")));
  std::size_t keys = std::stoul(talk("DBSIZE").substr(1));
  REQUIRE(keys > 3000);
  for (int at = 0; at < 9000; at++) talk.session.feed("SET more" + std::to_string(at) + " v\r\n");
  while (talk.session.run() == Session::Pause::turn) door.server.turn++;
  door.host.commit();
  talk.released();
  keys += 9000;
  talk.session.feed("KEYS *\r\nPING\r\n");
  door.server.turn++;
  CHECK(talk.session.run() == Session::Pause::turn);
  CHECK(talk.released().empty());
  std::size_t turns = 1;
  do {
    door.server.turn++;
    turns++;
  } while (talk.session.run() == Session::Pause::turn);
  door.host.commit();
  const std::string reply = talk.released();
  CHECK(turns >= keys / 5000);
  CHECK(reply.starts_with("*" + std::to_string(keys) + "\r\n$"));
  CHECK(reply.ends_with("+PONG\r\n"));
  CHECK(static_cast<std::size_t>(std::count(reply.begin(), reply.end(), '$')) == keys);
}

TEST_CASE("KEYS gives up a client for which there are too many") {
  RedisOptions options;
  options.output_bytes_max = 1000;
  Door door(options);
  Talk talk(door);
  for (int at = 0; at < 200; at++) talk("SET key" + std::to_string(at) + " v");
  talk.session.feed("KEYS *\r\n");
  CHECK(talk.session.run() == Session::Pause::overflow);
}

TEST_CASE("RANDOMKEY finds any key, and none among deleted ones") {
  Door door;
  Talk talk(door);
  CHECK(talk("RANDOMKEY") == "$-1\r\n");
  talk("MSET a 1 b 1 c 1 d 1");
  std::string seen;
  for (int at = 0; at < 200; at++) seen += talk("RANDOMKEY")[4];
  for (const char key : {'a', 'b', 'c', 'd'}) CHECK(seen.find(key) != std::string::npos);
  talk("DEL a b c d");
  CHECK(talk("RANDOMKEY") == "$-1\r\n");
}

TEST_CASE("MEMORY USAGE grows with the value") {
  Door door;
  Talk talk(door);
  talk("SET small 1");
  talk("SET large " + std::string(10'000, 'x'));
  const auto usage = [&](const std::string& key) {
    return std::stoul(talk("MEMORY USAGE " + key).substr(1));
  };
  CHECK(usage("large") > usage("small") + 9'000);
}
