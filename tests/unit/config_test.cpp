#include "daemon/config.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <sstream>

#include "unit/temporary_directory.h"

using namespace knit;
using namespace std::chrono_literals;

namespace {

ConfigErrors errors_of(const std::string& text) {
  const auto config = parse_config(text, "knit.toml");
  REQUIRE_FALSE(config);
  REQUIRE_FALSE(config.error().empty());
  return config.error();
}

std::string only_error(const std::string& text) {
  const auto errors = errors_of(text);
  REQUIRE(errors.size() == 1);
  return errors.front();
}

Config good(const std::string& text) {
  const auto config = parse_config(text, "knit.toml");
  if (!config) FAIL(config.error().front());
  return *config;
}

std::string shipped_file() {
  std::ifstream file(KNIT_SHIPPED_CONFIG);
  REQUIRE(file);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The keys that a text sets, as "section.key".
std::set<std::string> keys_set_in(const std::string& text) {
  const std::regex section("^\\[([a-z_]+)\\]$");
  const std::regex key("^([a-z_]+) = .*$");
  std::set<std::string> out;
  std::istringstream lines(text);
  std::string current;
  for (std::string line; std::getline(lines, line);) {
    std::smatch match;
    if (std::regex_match(line, match, section)) current = match[1];
    if (std::regex_match(line, match, key)) CHECK(out.insert(current + "." + match[1].str()).second);
  }
  return out;
}

}  // namespace

TEST_CASE("an empty config is the defaults") { CHECK((good("") == Config{})); }

TEST_CASE("the shipped config documents every key, with the loader's default") {
  const std::string shipped = shipped_file();
  CHECK((good(shipped) == Config{}));

  const std::string uncommented = std::regex_replace(shipped, std::regex("(^|\n)#([a-z_]+ = )"), "$1$2");
  const auto known = config_keys();
  CHECK(keys_set_in(uncommented) == std::set<std::string>(known.begin(), known.end()));
  CHECK((good(uncommented) == Config{}));
}

TEST_CASE("every kind of value is read") {
  const Config config = good(R"(
[node]
name = "host-1"
data_directory = "/tmp/data"
[client]
listen = ["::1", "127.0.0.2"]
port = 1234
unix_socket = ""
unix_socket_mode = "0600"
protected_mode = false
output_bytes_max = "4MiB"
[peer]
listen = "::1"
seeds = ["127.0.0.2:7399", "[::1]:7400", "db1.example:7399"]
timeout = "1m"
[store]
map_bytes = 1073741824
[anti_entropy]
status_interval = "250ms"
)");
  CHECK(config.node.name == "host-1");
  CHECK(config.client.listen == std::vector<std::string>{"::1", "127.0.0.2"});
  CHECK(config.client.port == 1234);
  CHECK(config.client.unix_socket.empty());
  CHECK(config.client.unix_socket_mode == 0600);
  CHECK_FALSE(config.client.protected_mode);
  CHECK(config.client.output_bytes_max == std::size_t{4} << 20);
  CHECK(config.peer.timeout == 1min);
  CHECK(config.store.map_bytes == std::size_t{1} << 30);
  CHECK(config.anti_entropy.status_interval == 250ms);
  CHECK(to_string(peer_advertised_address(config)) == "[::1]:7399");
  CHECK(config.peer.seeds.size() == 3);
}

TEST_CASE("port 0 switches HTTP off, and is no port for clients") {
  CHECK(good("[http]\nport = 0\nlisten = \"::1\"\n").http == Config::Http{.listen = "::1", .port = 0});
  CHECK(only_error("[http]\nport = 65536\n") ==
        "knit.toml:2: http.port: expected a port, 1 to 65535, or 0 for none");
  CHECK(only_error("[client]\nport = 0\n").find("expected a port, 1 to 65535") != std::string::npos);
}

TEST_CASE("an unknown key is named with its line and the key that was probably meant") {
  CHECK(only_error("[client]\n\nprot = 1\n") == "knit.toml:3: client.prot: unknown key; did you mean port?");
  CHECK(only_error("[clint]\nport = 1\n") == "knit.toml:1: clint: unknown section; did you mean client?");
  CHECK(only_error("[foo]\n").find("knit.toml:1: foo: unknown section; expected one of node, cluster") == 0);
  CHECK(only_error("[node]\nmap_bytes = 1\n") ==
        "knit.toml:2: node.map_bytes: unknown key; it belongs into [store]");
  CHECK(only_error("[log]\nxyzzy = 1\n") ==
        "knit.toml:2: log.xyzzy: unknown key; expected one of level, target");
}

TEST_CASE("all bad keys are reported, in the order of their lines") {
  const auto errors = errors_of("[peer]\nport = 0\ntimeuot = \"1s\"\n[log]\nlevel = \"loud\"\n");
  REQUIRE(errors.size() == 3);
  CHECK(errors[0] == "knit.toml:2: peer.port: expected a port, 1 to 65535");
  CHECK(errors[1] == "knit.toml:3: peer.timeuot: unknown key; did you mean timeout?");
  CHECK(errors[2] == "knit.toml:5: log.level: expected one of \"debug\", \"info\", \"warning\", \"error\"");
}

TEST_CASE("a bad value is answered with what was expected") {
  const auto bad = [](const std::string& text) {
    const std::string error = only_error(text);
    CHECK(error.find("knit.toml:2: ") == 0);
    CHECK(error.find(": expected ") != std::string::npos);
  };
  bad("[client]\nport = \"6399\"");
  bad("[client]\nport = 65536");
  bad("[client]\nport = -1");
  bad("[client]\nlisten = \"127.0.0.1\"");
  bad("[client]\nlisten = [\"localhost\"]");
  bad("[client]\nlisten = [127]");
  bad("[client]\nunix_socket = \"relative\"");
  bad("[client]\nunix_socket_mode = \"0888\"");
  bad("[client]\nunix_socket_mode = \"\"");
  bad("[client]\nunix_socket_mode = \"1777\"");
  bad("[client]\nprotected_mode = 1");
  bad("[client]\noutput_bytes_max = \"10 parsecs\"");
  bad("[client]\noutput_bytes_max = \"99999999999999999999GiB\"");
  bad("[client]\noutput_bytes_max = \"18014398509481985KiB\"");
  bad("[client]\noutput_bytes_max = 5");
  bad("[peer]\ntimeout = 5");
  bad("[peer]\ntimeout = \"5\"");
  bad("[peer]\ntimeout = \"-5s\"");
  bad("[peer]\ntimeout = \"5s \"");
  bad("[peer]\ntimeout = \"1ms\"");
  bad("[peer]\nseeds = [\"127.0.0.2\"]");
  bad("[peer]\nseeds = [\"::1:7399\"]");
  bad("[peer]\nseeds = [\"127.0.0.2:0\"]");
  bad("[peer]\nadvertise = \"[127.0.0.1]:7399\"");
  bad("[node]\nname = \"two words\"");
  bad("[node]\ndata_directory = \"\"");
  bad("[client]\nclients_max = 1.5");
}

TEST_CASE("an error of syntax is named with its line") {
  CHECK(only_error("[client]\nport = = 1\n").find("knit.toml:2: ") == 0);
  CHECK(only_error("[client\n").find("knit.toml:1: ") == 0);
  CHECK(only_error("[log]\nlevel = \"info\"\nlevel = \"info\"\n").find("knit.toml:3: ") == 0);
}

TEST_CASE("a section that is no section is refused") {
  CHECK(only_error("log = \"info\"\n") == "knit.toml:1: log: expected a section, as [log]");
  CHECK(only_error("port = 6399\n").find("knit.toml:1: port: unknown section; ") == 0);
}

TEST_CASE("addresses of peers outside of loopback are refused without a key ring") {
  for (const std::string line :
       {"listen = \"0.0.0.0\"", "listen = \"::\"", "advertise = \"10.0.0.1:7399\"",
        "seeds = [\"127.0.0.2:7399\", \"192.0.2.1:7399\"]", "seeds = [\"[fe80::1]:7399\"]"}) {
    const std::string error = only_error("[peer]\n" + line + "\n");
    CHECK(error.find("knit.toml:2: peer.") == 0);
    CHECK(error.find("not a loopback address") != std::string::npos);
  }
}

TEST_CASE("a peer timeout that one lost status would reach is refused") {
  CHECK(only_error("[anti_entropy]\nstatus_interval = \"10s\"\n").find("peer.timeout") != std::string::npos);
}

TEST_CASE("a daemon that nobody can reach is refused") {
  CHECK(only_error("[client]\nlisten = []\nunix_socket = \"\"\n").find("knit.toml:2: client.listen: ") == 0);
}

TEST_CASE("a path of a UNIX socket that the system cannot hold is refused") {
  CHECK(only_error("[client]\nunix_socket = \"/" + std::string(107, 's') + "\"\n").find("107 bytes") !=
        std::string::npos);
  good("[client]\nunix_socket = \"/" + std::string(106, 's') + "\"\n");
}

TEST_CASE("the password may come from a file, but not from two places") {
  const TemporaryDirectory directory;
  const std::string line = "[client]\npassword_file = \"" + directory.file("password") + "\"\n";
  const std::string path = directory.file("knit.toml");
  directory.write("knit.toml", line);
  directory.write("password", "s3cret\nrest\n");
  const auto config = load_config(path);
  REQUIRE(config);
  CHECK(config->client.password == "s3cret");
  CHECK(only_error(line + "password = \"x\"\n").find("knit.toml:2: client.password_file: ") == 0);
  std::filesystem::remove(directory.file("password"));
  const auto without = load_config(path);
  REQUIRE_FALSE(without);
  CHECK(without.error().front().find(path + ":2: client.password_file: ") == 0);
}

TEST_CASE("a config that cannot be read is one clear error") {
  const auto config = load_config("/nonexistent/knit.toml");
  REQUIRE_FALSE(config);
  CHECK(config.error() == ConfigErrors{"/nonexistent/knit.toml: No such file or directory"});
}
