#include <algorithm>
#include <catch2/catch.hpp>
#include <set>
#include <string>

#include "daemon/redis/command.h"
#include "daemon/redis/text.h"

using namespace knit;

TEST_CASE("every command is whole") {
  std::set<std::string_view> names;
  for (const Command* command : all_commands()) {
    INFO(command->name);
    CHECK(names.insert(command->name).second);
    CHECK(command->name == lower_case(command->name));
    CHECK_FALSE(command->summary.empty());
    CHECK_FALSE(command->group.empty());
    CHECK(command->arity != 0);
    const bool container = std::any_of(
        all_commands().begin(), all_commands().end(),
        [&](const Command* other) { return other->name.starts_with(std::string(command->name) + '|'); });
    CHECK((command->handler != nullptr || container));
    CHECK(command->has(command_flag::container) == container);
    CHECK((command->first_key == 0) == (command->key_step == 0));
    CHECK_FALSE((command->has(command_flag::write) && command->has(command_flag::readonly)));
    if (command->is_subcommand()) {
      CHECK(find_command(command->name.substr(0, command->name.find('|'))) != nullptr);
      CHECK((command->arity >= 2 || command->arity <= -2));
    }
    if (container) CHECK(find_subcommand(*command, "help") != nullptr);
  }
  CHECK(names.size() > 40);
}

TEST_CASE("commands are found whatever their case") {
  REQUIRE(find_command("GeT") != nullptr);
  CHECK(find_command("GeT")->name == "get");
  CHECK(find_command("nosuch") == nullptr);
  CHECK(find_command("") == nullptr);
  CHECK(find_command("client|id") == nullptr);
  CHECK(find_command(std::string(10'000, 'a')) == nullptr);
  const Command& client = *find_command("client");
  REQUIRE(find_subcommand(client, "GETName") != nullptr);
  CHECK(find_subcommand(client, "GETName")->own_name() == "getname");
  CHECK(find_subcommand(client, "nosuch") == nullptr);
  CHECK(subcommands_of(*find_command("get")).empty());
}

TEST_CASE("arity counts the name, and a negative one is a minimum") {
  CHECK(find_command("get")->takes(2));
  CHECK_FALSE(find_command("get")->takes(1));
  CHECK_FALSE(find_command("get")->takes(3));
  CHECK(find_command("set")->takes(3));
  CHECK(find_command("set")->takes(9));
  CHECK_FALSE(find_command("set")->takes(2));
}

TEST_CASE("the keys among the arguments are known") {
  using Positions = std::vector<std::size_t>;
  CHECK(key_positions(*find_command("get"), 2) == Positions{1});
  CHECK(key_positions(*find_command("mset"), 5) == Positions{1, 3});
  CHECK(key_positions(*find_command("del"), 4) == Positions{1, 2, 3});
  CHECK(key_positions(*find_command("ping"), 2).empty());
}

TEST_CASE("glob patterns match as in Redis") {
  CHECK(glob_matches("*", ""));
  CHECK(glob_matches("", ""));
  CHECK_FALSE(glob_matches("", "a"));
  CHECK(glob_matches("h?llo", "hello"));
  CHECK_FALSE(glob_matches("h?llo", "hllo"));
  CHECK(glob_matches("h*llo", "heeeello"));
  CHECK(glob_matches("*:*:end", "a:b:c:end"));
  CHECK_FALSE(glob_matches("*:end", "a:end:"));
  CHECK(glob_matches("h[ae]llo", "hallo"));
  CHECK_FALSE(glob_matches("h[ae]llo", "hillo"));
  CHECK(glob_matches("h[^e]llo", "hallo"));
  CHECK_FALSE(glob_matches("h[^e]llo", "hello"));
  CHECK(glob_matches("h[a-c]llo", "hbllo"));
  CHECK(glob_matches("h[c-a]llo", "hbllo"));
  CHECK_FALSE(glob_matches("h[a-c]llo", "hdllo"));
  CHECK(glob_matches("a\\*b", "a*b"));
  CHECK_FALSE(glob_matches("a\\*b", "axb"));
  CHECK(glob_matches("[\\]]", "]"));
  CHECK_FALSE(glob_matches("ABC", "abc"));
  CHECK(glob_matches("a[", "a[") == false);
  CHECK(glob_matches("a[b", "ab"));
  CHECK(glob_matches(std::string(1000, '*') + "b", std::string(1000, 'a') + "b"));
}

TEST_CASE("a pattern of many stars takes no exponential time") {
  std::string pattern;
  for (int star = 0; star < 50; star++) pattern += "a*";
  CHECK_FALSE(glob_matches(pattern + "b", std::string(5000, 'a')));
}

TEST_CASE("integers are read as Redis reads them") {
  CHECK(parse_integer("-12") == -12);
  CHECK(parse_integer("0") == 0);
  CHECK(parse_integer("9223372036854775807") == std::numeric_limits<std::int64_t>::max());
  for (const char* bad : {"", "-", "+1", " 1", "1 ", "01", "-0", "1.0", "0x1", "9223372036854775808"}) {
    INFO(bad);
    CHECK_FALSE(parse_integer(bad));
  }
}

TEST_CASE("a password is right only as a whole") {
  CHECK(secret_equals("secret", "secret"));
  CHECK_FALSE(secret_equals("secret", "secre"));
  CHECK_FALSE(secret_equals("secret", "secretsecret"));
  CHECK_FALSE(secret_equals("secret", "secreT"));
  CHECK_FALSE(secret_equals("secret", ""));
  CHECK_FALSE(secret_equals("", "x"));
}
