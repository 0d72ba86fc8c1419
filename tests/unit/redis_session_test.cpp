// Commands through a session: requests in, replies out, no socket.
#include <catch2/catch.hpp>
#include <string>

#include "unit/redis_talk.h"

using namespace knit;
using test::Door;
using test::Talk;

TEST_CASE("keys are set, read, counted and deleted") {
  Door door;
  Talk talk(door);
  CHECK(talk("SET k v") == "+OK\r\n");
  CHECK(talk("GET k") == "$1\r\nv\r\n");
  CHECK(talk("GET nothing") == "$-1\r\n");
  CHECK(talk("MSET a 1 b 2") == "+OK\r\n");
  CHECK(talk("MGET a x b") == "*3\r\n$1\r\n1\r\n$-1\r\n$1\r\n2\r\n");
  CHECK(talk("EXISTS a a x") == ":2\r\n");
  CHECK(talk("DBSIZE") == ":3\r\n");
  CHECK(talk("TYPE a") == "+string\r\n");
  CHECK(talk("TYPE x") == "+none\r\n");
  CHECK(talk("DEL a x b") == ":2\r\n");
  CHECK(talk("GET a") == "$-1\r\n");
  CHECK(talk("FLUSHALL ASYNC") == "+OK\r\n");
  CHECK(talk("GET k") == "$-1\r\n");
  CHECK(talk("FLUSHALL NEVER") == "-ERR syntax error\r\n");
}

TEST_CASE("SET knows the options of Redis") {
  Door door;
  Talk talk(door);
  CHECK(talk("SET k 1 XX") == "$-1\r\n");
  CHECK(talk("SET k 1 NX") == "+OK\r\n");
  CHECK(talk("SET k 2 NX") == "$-1\r\n");
  CHECK(talk("SET k 2 GET") == "$1\r\n1\r\n");
  CHECK(talk("SET new 2 GET") == "$-1\r\n");
  CHECK(talk("SET k 3 NX GET") == "$1\r\n2\r\n");
  CHECK(talk("GET k") == "$1\r\n2\r\n");
  CHECK(talk("SET k 3 EX 100") == "+OK\r\n");
  CHECK(talk("TTL k") == ":100\r\n");
  CHECK(talk("SET k 4 KEEPTTL") == "+OK\r\n");
  CHECK(talk("TTL k") == ":100\r\n");
  CHECK(talk("SET k 4 px 1500") == "+OK\r\n");
  CHECK(talk("PTTL k") == ":1500\r\n");
  CHECK(talk("SET k 5") == "+OK\r\n");
  CHECK(talk("TTL k") == ":-1\r\n");
  CHECK(talk("SET k 5 PXAT " + std::to_string(test::now.millis + 7000)) == "+OK\r\n");
  CHECK(talk("TTL k") == ":7\r\n");
  CHECK(talk("SET k 5 EXAT 1") == "+OK\r\n");
  CHECK(talk("EXISTS k") == ":0\r\n");
}

TEST_CASE("SET refuses with the words of Redis") {
  Door door;
  Talk talk(door);
  for (const char* bad : {"NX XX", "EX", "EX 1 PX 1", "EX 1 KEEPTTL", "KEEPTTL PX 1", "FOO", "EX 1 EX 1"}) {
    INFO(bad);
    CHECK(talk("SET k v " + std::string(bad)) == "-ERR syntax error\r\n");
  }
  for (const char* bad :
       {"EX 0", "EX -1", "PX 0", "EX 9223372036854775807", "PX 9223372036854775807", "EXAT 0"}) {
    INFO(bad);
    CHECK(talk("SET k v " + std::string(bad)) == "-ERR invalid expire time in 'set' command\r\n");
  }
  CHECK(talk("SET k v EX x") == "-ERR value is not an integer or out of range\r\n");
  CHECK(talk("SET k") == "-ERR wrong number of arguments for 'set' command\r\n");
  CHECK(talk("MSET a 1 b") == "-ERR wrong number of arguments for 'mset' command\r\n");
  CHECK(talk("EXISTS k a b") == ":0\r\n");
}

TEST_CASE("expiries are set under conditions and taken away") {
  Door door;
  Talk talk(door);
  CHECK(talk("TTL k") == ":-2\r\n");
  CHECK(talk("EXPIRE k 10") == ":0\r\n");
  talk("SET k v");
  CHECK(talk("EXPIRE k 10 XX") == ":0\r\n");
  CHECK(talk("EXPIRE k 10 GT") == ":0\r\n");
  CHECK(talk("EXPIRE k 10 LT") == ":1\r\n");
  CHECK(talk("EXPIRE k 20 NX") == ":0\r\n");
  CHECK(talk("EXPIRE k 5 GT") == ":0\r\n");
  CHECK(talk("PEXPIRE k 20000 GT") == ":1\r\n");
  CHECK(talk("PTTL k") == ":20000\r\n");
  CHECK(talk("PERSIST k") == ":1\r\n");
  CHECK(talk("PERSIST k") == ":0\r\n");
  CHECK(talk("EXPIRE k -1") == ":1\r\n");
  CHECK(talk("GET k") == "$-1\r\n");
  CHECK(talk("EXPIRE k 9223372036854775807") == "-ERR invalid expire time in 'expire' command\r\n");
  CHECK(talk("EXPIRE k 1 NX GT") ==
        "-ERR NX and XX, GT or LT options at the same time are not compatible\r\n");
  CHECK(talk("EXPIRE k 1 GT LT") == "-ERR GT and LT options at the same time are not compatible\r\n");
  CHECK(talk("EXPIRE k 1 zz") == "-ERR Unsupported option zz\r\n");
}

TEST_CASE("SCAN walks over the keys that match") {
  Door door;
  Talk talk(door);
  talk("MSET key:1 a key:2 b other c");
  CHECK(talk("SCAN 0 MATCH oth* COUNT 100") == "*2\r\n$1\r\n0\r\n*1\r\n$5\r\nother\r\n");
  CHECK(talk("SCAN 0 TYPE list COUNT 100") == "*2\r\n$1\r\n0\r\n*0\r\n");
  CHECK(talk("SCAN x") == "-ERR invalid cursor\r\n");
  CHECK(talk("SCAN 0 COUNT 0") == "-ERR syntax error\r\n");
  CHECK(talk("SCAN 0 COUNT x") == "-ERR value is not an integer or out of range\r\n");
  CHECK(talk("SCAN 0 MATCH") == "-ERR syntax error\r\n");
}

TEST_CASE("what is no command is said so as Redis says it") {
  Door door;
  Talk talk(door);
  CHECK(talk("foo a b") == "-ERR unknown command 'foo', with args beginning with: 'a' 'b' \r\n");
  CHECK(talk("get") == "-ERR wrong number of arguments for 'get' command\r\n");
  CHECK(talk("client nosuch") == "-ERR unknown subcommand 'nosuch'. Try CLIENT HELP.\r\n");
  CHECK(talk("client") == "-ERR wrong number of arguments for 'client' command\r\n");
  CHECK(talk("client setname") == "-ERR wrong number of arguments for 'client|setname' command\r\n");
  CHECK(talk("ping a b") == "-ERR wrong number of arguments for 'ping' command\r\n");
}

TEST_CASE("a connection says who it is and how it talks") {
  Door door;
  Talk talk(door);
  CHECK(talk("PING") == "+PONG\r\n");
  CHECK(talk("PING hi") == "$2\r\nhi\r\n");
  CHECK(talk("ECHO 'a b'") == "$3\r\na b\r\n");
  CHECK(talk("SELECT 0") == "+OK\r\n");
  CHECK(talk("SELECT 1") == "-ERR DB index is out of range\r\n");
  CHECK(talk("CLIENT GETNAME") == "$-1\r\n");
  CHECK(talk("CLIENT SETNAME worker") == "+OK\r\n");
  CHECK(talk("CLIENT GETNAME") == "$6\r\nworker\r\n");
  CHECK(talk("CLIENT SETNAME 'a b'").starts_with("-ERR Client names cannot contain spaces"));
  CHECK(talk("CLIENT SETINFO LIB-NAME py") == "+OK\r\n");
  CHECK(talk("CLIENT LIST").find("name=worker") != std::string::npos);
  CHECK(talk("HELLO 4") == "-NOPROTO unsupported protocol version\r\n");
  CHECK(talk("HELLO 3 FOO") == "-ERR Syntax error in HELLO option 'FOO'\r\n");
  CHECK(talk("HELLO 3 SETNAME w").starts_with("%7\r\n$6\r\nserver\r\n"));
  CHECK(talk("GET nothing") == "_\r\n");
  CHECK(talk("RESET") == "+RESET\r\n");
  CHECK(talk("CLIENT GETNAME") == "$-1\r\n");
}

TEST_CASE("a stranger is asked for the password") {
  RedisOptions options;
  options.password = "secret";
  Door door(options);
  Talk talk(door);
  CHECK(talk("GET k") == "-NOAUTH Authentication required.\r\n");
  CHECK(talk("nosuch") == "-NOAUTH Authentication required.\r\n");
  CHECK(talk("HELLO 3").starts_with("-NOAUTH HELLO must be called"));
  CHECK(talk("AUTH wrong").starts_with("-WRONGPASS "));
  CHECK(talk("AUTH somebody secret").starts_with("-WRONGPASS "));
  CHECK(talk("HELLO 2 AUTH default wrong").starts_with("-WRONGPASS "));
  CHECK(talk("PING") == "-NOAUTH Authentication required.\r\n");
  CHECK(talk("AUTH default secret") == "+OK\r\n");
  CHECK(talk("PING") == "+PONG\r\n");
  CHECK(talk("RESET") == "+RESET\r\n");
  CHECK(talk("PING") == "-NOAUTH Authentication required.\r\n");
  CHECK(talk("HELLO 2 AUTH default secret").starts_with("*14\r\n"));
  CHECK(talk("CONFIG GET *").find("secret") == std::string::npos);
}

TEST_CASE("AUTH without a password to compare is an error") {
  Door door;
  Talk talk(door);
  CHECK(talk("AUTH x").starts_with("-ERR AUTH <password> called without any password configured"));
}

TEST_CASE("QUIT is answered, and nothing after it") {
  Door door;
  Talk talk(door);
  CHECK(talk("QUIT\r\nPING") == "+OK\r\n");
  CHECK(talk.session.run() == Session::Pause::closing);
}

TEST_CASE("a reply waits for the sync of what its command wrote or saw") {
  Door door;
  Talk writer(door);
  Talk reader(door);
  writer.session.feed("SET k v\r\nPING\r\n");
  writer.session.run();
  CHECK(writer.released().empty());
  reader.session.feed("PING\r\nGET k\r\n");
  reader.session.run();
  CHECK(reader.released() == "+PONG\r\n");
  door.host.commit();
  CHECK(writer.released() == "+OK\r\n+PONG\r\n");
  CHECK(reader.released() == "$1\r\nv\r\n");
}

TEST_CASE("writes that were undone are answered with an error, reads go on") {
  Door door;
  Talk talk(door);
  talk("SET k old");
  door.host.journal.full = true;
  talk.session.feed("SET k new\r\nPING\r\nSET k newer\r\n");
  talk.session.run();
  door.host.commit();
  talk.session.on_undone("-MISCONF full\r\n");
  CHECK(talk.released() == "-MISCONF full\r\n+PONG\r\n-MISCONF full\r\n");
  CHECK(talk("GET k") == "$3\r\nold\r\n");
}

TEST_CASE("a request of the web is refused, and nothing behind it is read") {
  for (const char* first : {"POST / HTTP/1.1", "Host: 127.0.0.1", "post /"}) {
    Door door;
    Talk talk(door);
    CHECK(talk(std::string(first) + "\r\n\r\nSET k v\r\n") == "-ERR this is no web server\r\n");
    CHECK(talk.session.close_after_reply);
    CHECK(door.host.get("k") == "(nil)");
  }
}

TEST_CASE("RESET answers, whatever was said of replies before") {
  Door door;
  Talk talk(door);
  CHECK(talk("CLIENT REPLY OFF").empty());
  CHECK(talk("PING").empty());
  CHECK(talk("RESET") == "+RESET\r\n");
  CHECK(talk("PING") == "+PONG\r\n");
}

TEST_CASE("commands wait while too much waits for their client") {
  Door door;
  Talk talk(door);
  talk.session.feed("SET k " + std::string(60'000, 'x') + "\r\n");
  talk.session.run();
  for (int at = 0; at < 50; at++) talk.session.feed("GET k\r\n");
  CHECK(talk.session.run() == Session::Pause::pressure);
  CHECK(talk.session.queued_bytes() < Session::output_soft_bytes + 100'000);
  door.host.commit();
  std::size_t got = talk.released().size();
  CHECK(talk.session.may_run());
  while (talk.session.run() == Session::Pause::pressure) got += talk.released().size();
  got += talk.released().size();
  CHECK(got == 5 + 50 * 60'010);
}

TEST_CASE("one that asks for more than may wait is closed") {
  RedisOptions options;
  options.output_bytes_max = 200'000;
  Door door(options);
  Talk talk(door);
  talk("SET k " + std::string(60'000, 'x'));
  talk.session.feed("MGET k k k k k k k k k k k k k k\r\n");
  CHECK(talk.session.run() == Session::Pause::overflow);
  CHECK(talk.session.queued_bytes() < 400'000);
}

TEST_CASE("a pipeline gets its share of a turn and goes on in the next") {
  Door door;
  Talk talk(door);
  for (std::size_t at = 0; at < Session::commands_per_turn + 10; at++) talk.session.feed("PING\r\n");
  door.server.turn++;
  CHECK(talk.session.run() == Session::Pause::turn);
  CHECK(talk.session.run() == Session::Pause::turn);
  door.server.turn++;
  CHECK(talk.session.run() == Session::Pause::input);
  CHECK(talk.released().size() == 7 * (Session::commands_per_turn + 10));
}

TEST_CASE("commands behind a job wait until it is done") {
  Door door;
  Talk talk(door);
  talk("SET k v");
  talk.session.feed("KNIT VERIFY\r\nPING\r\n");
  CHECK(talk.session.run() == Session::Pause::job);
  CHECK(talk.released().empty());
  door.work();
  CHECK_FALSE(talk.session.waiting());
  CHECK(talk.session.run() == Session::Pause::input);
  const std::string reply = talk.released();
  CHECK(reply.starts_with("*22\r\n$4\r\nrows\r\n:1\r\n$12\r\ndamaged_rows\r\n:0\r\n"));
  CHECK(reply.ends_with("+PONG\r\n"));
}

TEST_CASE("the jobs of a client that went away are forgotten") {
  Door door;
  {
    Talk talk(door);
    talk.session.feed("KNIT VERIFY\r\n");
    REQUIRE(talk.session.run() == Session::Pause::job);
    CHECK(door.server.jobs.size() == 1);
  }
  CHECK(door.server.jobs.empty());
  CHECK(door.server.sessions.empty());
  door.work();
}

TEST_CASE("KNIT shows node and siblings, and refuses peers that are not there") {
  Door door;
  Talk talk(door);
  talk("SET k v PX 1000");
  CHECK(talk("KNIT STATUS").find("$7\r\nin_sync\r\n:") != std::string::npos);
  const std::string siblings = talk("KNIT SIBLINGS k");
  CHECK(siblings.find("$6\r\nwinner\r\n:1\r\n$5\r\nstate\r\n$5\r\nvalue\r\n") != std::string::npos);
  CHECK(siblings.find("$10\r\nexpires_ms\r\n:1700000001000\r\n$5\r\nvalue\r\n$1\r\nv\r\n") !=
        std::string::npos);
  CHECK(talk("KNIT REPAIR") == "*0\r\n");
  CHECK(talk("KNIT REPAIR nobody").starts_with("-ERR "));
  CHECK(talk("KNIT DIFF nobody").starts_with("-ERR "));
  CHECK(talk("KNIT DIFF a LIMIT x") == "-ERR value is not an integer or out of range\r\n");
  CHECK(talk("KNIT ISOLATE ALL ON") == "-ERR unknown subcommand 'ISOLATE'. Try KNIT HELP.\r\n");
  CHECK(talk("KNIT HELP").find("ISOLATE") == std::string::npos);
}

TEST_CASE("debug commands exist when they are switched on") {
  RedisOptions options;
  options.debug_commands = true;
  Door door(options);
  Talk talk(door);
  CHECK(talk("KNIT ISOLATE ALL ON") == "+OK\r\n");
  CHECK(talk("KNIT ISOLATE ALL maybe") == "-ERR syntax error\r\n");
  CHECK(talk("KNIT HELP").find("ISOLATE") != std::string::npos);
}

TEST_CASE("commands and configuration describe themselves") {
  Door door;
  Talk talk(door);
  CHECK(talk("COMMAND INFO get")
            .starts_with("*1\r\n*10\r\n$3\r\nget\r\n:2\r\n*2\r\n+readonly\r\n+fast\r\n:1\r\n:1\r\n:1\r\n"));
  CHECK(talk("COMMAND INFO nosuch") == "*1\r\n$-1\r\n");
  CHECK(talk("COMMAND DOCS nosuch") == "*0\r\n");
  CHECK(talk("COMMAND DOCS get").starts_with("*2\r\n$3\r\nget\r\n*6\r\n$7\r\nsummary\r\n"));
  CHECK(talk("COMMAND GETKEYS mset a 1 b 2") == "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
  CHECK(talk("COMMAND GETKEYS ping x") == "-ERR The command has no key arguments\r\n");
  CHECK(talk("CONFIG GET save appendonl?") ==
        "*4\r\n$10\r\nappendonly\r\n$2\r\nno\r\n$4\r\nsave\r\n$0\r\n\r\n");
  CHECK(talk("INFO keyspace").find("db0") == std::string::npos);
  talk("SET k v");
  CHECK(talk("INFO keyspace") == "$44\r\n# Keyspace\r\ndb0:keys=1,expires=0,avg_ttl=0\r\n\r\n");
  CHECK(talk("INFO").find("redis_version:") != std::string::npos);
  const std::string count = talk("COMMAND COUNT");
  CHECK(talk("COMMAND").starts_with("*" + count.substr(1)));
}

TEST_CASE("a key too long is refused, a longest one kept") {
  Door door;
  Talk talk(door);
  const std::string longest(key_bytes_max, 'k');
  const auto set = [&](const std::string& key) {
    talk.session.feed("*3\r\n$3\r\nSET\r\n$" + std::to_string(key.size()) + "\r\n" + key + "\r\n$1\r\nv\r\n");
    return talk("");
  };
  CHECK(set(longest) == "+OK\r\n");
  CHECK(set(longest + "k").starts_with("-ERR "));
  CHECK(set("") == "+OK\r\n");
  CHECK(talk("GET \"\"") == "$1\r\nv\r\n");
}
