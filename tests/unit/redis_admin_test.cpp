// What operators and tools ask of a server: clients, parameters, statistics, slow commands.
#include <catch2/catch.hpp>
#include <string>

#include "daemon/redis/parameter_table.h"
#include "unit/redis_talk.h"

using namespace knit;
using namespace std::chrono_literals;
using test::Door;
using test::Talk;

namespace {

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("a killed client executes nothing more, and is closed at the end of the turn") {
  Door door;
  Talk killer(door);
  Talk victim(door);
  CHECK(killer("CLIENT KILL ID " + std::to_string(victim.session.id())) == ":1\r\n");
  CHECK(door.server.to_close == std::vector{victim.session.id()});
  CHECK(victim("SET k v").empty());
  CHECK(killer("EXISTS k") == ":0\r\n");
}

TEST_CASE("a client that kills itself gets its answer") {
  Door door;
  Talk talk(door);
  CHECK(talk("CLIENT KILL SKIPME no\r\nPING") == ":1\r\n");
  CHECK(talk.session.run() == Session::Pause::closing);
  CHECK(door.server.to_close.empty());
}

TEST_CASE("paused writes wait and reads do not") {
  Door door;
  Talk talk(door);
  Talk other(door);
  talk("SET k 1");
  CHECK(talk("CLIENT PAUSE 500 WRITE") == "+OK\r\n");
  CHECK(talk("GET k\r\nSET k 2\r\nGET k") == "$1\r\n1\r\n");
  CHECK_FALSE(talk.session.may_run());
  CHECK(other("GET k") == "$1\r\n1\r\n");
  door.now.steady += 499ms;
  CHECK(talk.go_on().empty());
  door.now.steady += 1ms;
  CHECK(talk.go_on() == "+OK\r\n$1\r\n2\r\n");
}

TEST_CASE("a pause of all is ended by its time, one of writes also by CLIENT UNPAUSE") {
  Door door;
  Talk talk(door);
  Talk other(door);
  talk("CLIENT PAUSE 500 WRITE");
  CHECK(other("SET k v").empty());
  CHECK(talk("CLIENT UNPAUSE") == "+OK\r\n");
  CHECK(other.go_on() == "+OK\r\n");
  talk("CLIENT PAUSE 500 WRITE");
  talk("CLIENT PAUSE 1");
  CHECK(talk("PING").empty());
  door.now.steady += 499ms;
  CHECK(talk.go_on().empty());
  door.now.steady += 1ms;
  CHECK(talk.go_on() == "+PONG\r\n");
}

TEST_CASE("a client that wants no replies gets none, and its commands run") {
  Door door;
  Talk talk(door);
  CHECK(talk("CLIENT REPLY SKIP\r\nSET k 1\r\nGET k") == "$1\r\n1\r\n");
  CHECK(talk("CLIENT REPLY OFF").empty());
  CHECK(talk("SET k 2\r\nnosuch\r\nGET k\r\nKEYS *").empty());
  CHECK(talk("KNIT VERIFY").empty());
  door.work();
  CHECK(talk("CLIENT REPLY SKIP").empty());
  CHECK(talk("CLIENT REPLY ON\r\nGET k") == "+OK\r\n$1\r\n2\r\n");
  talk("SET large " + std::string(50'000, 'x'));
  CHECK(talk("CLIENT REPLY SKIP\r\nGET large\r\nPING") == "+PONG\r\n");
}

TEST_CASE("a wait for a job is ended by CLIENT UNBLOCK") {
  Door door;
  Talk waiter(door);
  Talk talk(door);
  const std::string id = std::to_string(waiter.session.id());
  CHECK(talk("CLIENT UNBLOCK " + id) == ":0\r\n");
  waiter("SET k v");
  CHECK(waiter("KNIT VERIFY").empty());
  CHECK(contains(talk("INFO clients"), "blocked_clients:1"));
  CHECK(talk("CLIENT UNBLOCK " + id + " ERROR") == ":1\r\n");
  CHECK(waiter("PING") == "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n+PONG\r\n");
  CHECK(door.server.jobs.empty());
  door.work();
  CHECK(waiter("PING") == "+PONG\r\n");
}

TEST_CASE("clients are listed by id and type") {
  Door door;
  Talk talk(door);
  Talk other(door);
  const std::string own = "id=" + std::to_string(talk.session.id()) + " ";
  const std::string others = "id=" + std::to_string(other.session.id()) + " ";
  CHECK(contains(talk("CLIENT LIST TYPE normal"), others));
  const std::string one = talk("CLIENT LIST ID " + std::to_string(talk.session.id()) + " 999");
  CHECK(contains(one, own));
  CHECK_FALSE(contains(one, others));
  CHECK(talk("CLIENT LIST TYPE replica") == "$0\r\n\r\n");
}

TEST_CASE("parameters that rule something do so at once") {
  RedisOptions options;
  options.output_bytes_max = 1 << 20;
  Door door(options);
  Talk talk(door);
  CHECK(talk("CONFIG SET maxclients 77 loglevel verbose") == "+OK\r\n");
  CHECK(door.server.options.clients_max == 77);
  CHECK(door.log_level == "verbose");
  CHECK(talk("CONFIG SET client-output-buffer-limit 'slave 1 1 1 normal 2mb 0 0'") == "+OK\r\n");
  CHECK(door.server.options.output_bytes_max == 2 << 20);
  CHECK(contains(talk("CONFIG GET client-output-buffer-limit"), "normal 2097152 0 0 "));
  CHECK(contains(talk("CONFIG SET client-output-buffer-limit 'normal 0 0 0'"), "0 is none"));
  CHECK(talk("CONFIG SET protected-mode no") == "+OK\r\n");
  CHECK_FALSE(door.server.options.protected_mode);
}

TEST_CASE("a password that is set is asked for, and not told") {
  Door door;
  Talk talk(door);
  CHECK(talk("CONFIG SET requirepass hush") == "+OK\r\n");
  CHECK(talk("PING") == "+PONG\r\n");
  Talk stranger(door);
  CHECK(stranger("PING") == "-NOAUTH Authentication required.\r\n");
  CHECK(stranger("AUTH hush") == "+OK\r\n");
  CHECK_FALSE(contains(talk("CONFIG GET *"), "hush"));
  CHECK_FALSE(contains(talk("ACL LIST"), "hush"));
}

TEST_CASE("parameters are set all or none, and none can be too long") {
  Door door;
  Talk talk(door);
  CHECK(talk("CONFIG SET hz 20 nosuch 1").starts_with("-ERR Unknown option"));
  CHECK(talk("CONFIG SET hz 20 save " + std::string(2000, '1')).starts_with("-ERR CONFIG SET failed"));
  CHECK(talk("CONFIG GET hz") == "*2\r\n$2\r\nhz\r\n$2\r\n10\r\n");
  CHECK(talk("CONFIG SET HZ 20") == "+OK\r\n");
  CHECK(talk("CONFIG GET hz") == "*2\r\n$2\r\nhz\r\n$2\r\n20\r\n");
  CHECK(talk("CONFIG REWRITE").starts_with("-ERR "));
}

TEST_CASE("every plain parameter has a default that fits it, and stands at its place") {
  std::string_view last;
  for (const PlainParameter& parameter : plain_parameters()) {
    INFO(parameter.name);
    CHECK(last < parameter.name);
    last = parameter.name;
    if (parameter.kind != parameter_kind::fixed) CHECK_FALSE(misfit_of(parameter.kind, parameter.value));
  }
}

TEST_CASE("sizes are read as Redis reads them") {
  CHECK(parse_memory("1024") == 1024);
  CHECK(parse_memory("1k") == 1000);
  CHECK(parse_memory("1KB") == 1024);
  CHECK(parse_memory("2gb") == std::uint64_t{2} << 30);
  for (const char* bad : {"", "b", "-1", "1x", "1 kb", "18446744073709551615kb"}) {
    INFO(bad);
    CHECK_FALSE(parse_memory(bad));
  }
}

TEST_CASE("commands that take too long are in the slow log, newest first") {
  Door door;
  Talk talk(door);
  talk("CONFIG SET slowlog-log-slower-than 100");
  talk("SET fast 1");
  CHECK(talk("SLOWLOG LEN") == ":0\r\n");
  door.command_time = 100us;
  talk("SET slow 'a b'");
  door.command_time = 1us;
  CHECK(talk("SLOWLOG LEN") == ":1\r\n");
  CHECK(talk("SLOWLOG GET") ==
        "*1\r\n*6\r\n:0\r\n:1700000000\r\n:100\r\n*3\r\n$3\r\nSET\r\n$4\r\nslow\r\n$3\r\na "
        "b\r\n$1\r\na\r\n$0\r\n\r\n");
  CHECK(talk("SLOWLOG GET 0") == "*0\r\n");
  CHECK(talk("SLOWLOG RESET") == "+OK\r\n");
  CHECK(talk("SLOWLOG GET -1") == "*0\r\n");
}

TEST_CASE("the slow log is short, and so is what it keeps of a command") {
  Door door;
  Talk talk(door);
  talk("CONFIG SET slowlog-log-slower-than 0 slowlog-max-len 2");
  talk("SET k " + std::string(40'000, 'x'));
  CHECK(contains(talk("SLOWLOG GET"), std::string(128, 'x') + "... (39872 more bytes)\r\n"));
  std::string many = "DEL";
  for (int at = 0; at < 40; at++) many += " k" + std::to_string(at);
  talk(many);
  const std::string log = talk("SLOWLOG GET 1");
  CHECK(contains(log, "*32\r\n$3\r\nDEL\r\n"));
  CHECK(contains(log, "$3\r\nk29\r\n$23\r\n... (10 more arguments)\r\n"));
  CHECK(talk("SLOWLOG LEN") == ":2\r\n");
  CHECK(talk("CONFIG SET slowlog-max-len 1000000000").starts_with("-ERR CONFIG SET failed"));
  talk("CONFIG SET slowlog-max-len 0");
  CHECK(talk("SLOWLOG LEN") == ":0\r\n");
}

TEST_CASE("no secret is in the slow log") {
  Door door;
  Talk talk(door);
  talk("CONFIG SET slowlog-log-slower-than 0");
  talk("CONFIG SET requirepass hush");
  talk("AUTH hush");
  talk("HELLO 2 AUTH default hush");
  const std::string log = talk("SLOWLOG GET");
  CHECK_FALSE(contains(log, "hush"));
  CHECK(contains(log, "HELLO"));
  CHECK_FALSE(contains(log, "AUTH"));
}

TEST_CASE("latency is noted from its threshold on, the worst of a second") {
  Door door;
  Talk talk(door);
  door.command_time = 5ms;
  talk("GET k");
  CHECK(talk("LATENCY LATEST") == "*0\r\n");
  talk("CONFIG SET latency-monitor-threshold 10");
  CHECK(talk("LATENCY LATEST") == "*0\r\n");
  door.command_time = 30ms;
  talk("GET k");
  door.command_time = 20ms;
  talk("GET k");
  talk("KEYS nothing");
  door.command_time = 1us;
  CHECK(talk("LATENCY HISTORY fast-command") == "*1\r\n*2\r\n:1700000000\r\n:30\r\n");
  CHECK(contains(talk("LATENCY LATEST"), "*4\r\n$12\r\nfast-command\r\n:1700000000\r\n:30\r\n:30\r\n"));
  CHECK(contains(talk("LATENCY DOCTOR"), "fast-command: "));
  CHECK(talk("LATENCY RESET fast-command nosuch") == ":1\r\n");
  CHECK(talk("LATENCY RESET") == ":1\r\n");
}

TEST_CASE("of each event the last 160 seconds are known") {
  LatencyMonitor monitor;
  for (std::uint64_t second = 0; second < 1000; second++) monitor.add("command", {second, 1000 - second});
  CHECK(monitor.find("command")->samples.size() == LatencyMonitor::samples_max);
  CHECK(monitor.find("command")->samples.front().second == 1000 - LatencyMonitor::samples_max);
  CHECK(monitor.find("command")->worst_millis == 1000);
  CHECK(monitor.find("other") == nullptr);
}

TEST_CASE("INFO counts calls, errors and refusals a command") {
  Door door;
  Talk talk(door);
  talk("SET k v\r\nSET k v\r\nSET k v EX x\r\nSET k\r\nSELECT 9");
  const std::string info = talk("INFO commandstats errorstats latencystats");
  CHECK(contains(info, "cmdstat_set:calls=3,usec=3,usec_per_call=1.00,rejected_calls=1,failed_calls=1\r\n"));
  CHECK(contains(info, "errorstat_ERR:count=3\r\n"));
  CHECK(contains(info, "latency_percentiles_usec_set:p50=1."));
  talk("CONFIG RESETSTAT");
  CHECK(talk("INFO errorstats") == "$14\r\n# Errorstats\r\n\r\n");
  CHECK_FALSE(contains(talk("INFO commandstats"), "cmdstat_set"));
  talk("SET k v");
  CHECK(contains(talk("INFO commandstats"), "cmdstat_set:calls=1,"));
}

TEST_CASE("a command that goes on in steps counts once") {
  Door door;
  Talk talk(door);
  talk("CONFIG SET slowlog-log-slower-than 2");
  talk("KEYS *");
  CHECK(contains(talk("INFO commandstats"), "cmdstat_keys:calls=1,"));
  CHECK(contains(talk("SLOWLOG GET"), "$4\r\nKEYS\r\n"));
}

TEST_CASE("INFO shows the sections that were asked for") {
  Door door;
  Talk talk(door);
  talk("SET k v");
  CHECK(contains(talk("INFO"), "# Server"));
  CHECK_FALSE(contains(talk("INFO"), "# Commandstats"));
  CHECK(contains(talk("INFO everything"), "# Commandstats"));
  CHECK(contains(talk("INFO cluster"), "cluster_enabled:0"));
  CHECK_FALSE(contains(talk("INFO cluster"), "# Server"));
  CHECK(talk("INFO nosuch") == "$0\r\n\r\n");
}

TEST_CASE("a histogram tells percentiles within a fifth") {
  DurationHistogram histogram;
  CHECK(histogram.percentile(50) == 0ns);
  for (int micros = 1; micros <= 1000; micros++) histogram.add(std::chrono::microseconds(micros));
  CHECK(histogram.total() == 1000);
  CHECK(histogram.percentile(50) >= 500us);
  CHECK(histogram.percentile(50) <= 600us);
  CHECK(histogram.percentile(99.9) >= 999us);
  CHECK(histogram.percentile(100) <= 1200us);
  histogram.add(std::chrono::hours(24 * 365));
  histogram.add(-5ns);
  CHECK(histogram.total() == 1002);
  const auto steps = histogram.steps();
  for (std::size_t at = 1; at < steps.size(); at++) {
    CHECK(steps[at - 1].micros < steps[at].micros);
    CHECK(steps[at - 1].count < steps[at].count);
  }
  CHECK(steps.back().count == 1002);
}

TEST_CASE("a rate is that of the last seconds") {
  RateMeter meter;
  CHECK(meter.per_second(100, 1s) == 0);
  std::uint64_t count = 0;
  for (Millis now{}; now < 10s; now += 10ms) meter.sample(count += 10, now);
  CHECK(meter.per_second(count, 10s) == Approx(1000).epsilon(0.02));
  for (Millis now = 10s; now < 13s; now += 10ms) meter.sample(count, now);
  CHECK(meter.per_second(count, 13s) == 0);
}

TEST_CASE("SHUTDOWN stops the daemon at the end of the turn, and is not answered") {
  Door door;
  Talk talk(door);
  CHECK(talk("SHUTDOWN NOSAVE\r\nPING").empty());
  CHECK(door.server.stop_wanted);
  CHECK(talk.session.run() == Session::Pause::closing);
}

TEST_CASE("LASTSAVE is when something was last made durable") {
  Door door;
  Talk talk(door);
  CHECK(talk("LASTSAVE") == ":1700000000\r\n");
  door.now.wall.millis += 5000;
  CHECK(talk("LASTSAVE") == ":1700000000\r\n");
  talk("SET k v");
  CHECK(talk("LASTSAVE") == ":1700000005\r\n");
}

TEST_CASE("SAVE and WAIT are answered when what was written before is durable") {
  Door door;
  Talk writer(door);
  Talk other(door);
  writer.session.feed("SET k v\r\n");
  writer.session.run();
  other.session.feed("PING\r\nSAVE\r\nWAIT 0 0\r\n");
  other.session.run();
  CHECK(other.released() == "+PONG\r\n");
  door.host.commit();
  CHECK(other.released() == "+OK\r\n:0\r\n");
}

TEST_CASE("DEBUG exists when it is switched on") {
  Door closed;
  Talk stranger(closed);
  CHECK(stranger("DEBUG SLEEP 0").starts_with("-ERR unknown command 'DEBUG'"));
  CHECK(stranger("COMMAND INFO debug") == "*1\r\n$-1\r\n");
  RedisOptions options;
  options.debug_commands = true;
  Door open(options);
  Talk talk(open);
  CHECK(talk("DEBUG SLEEP 0") == "+OK\r\n");
  CHECK(talk("DEBUG SLEEP nan") == "-ERR syntax error\r\n");
  CHECK(talk("DEBUG SLEEP 1e9") == "-ERR syntax error\r\n");
}
