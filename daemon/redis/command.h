// The command table. A command is data; what it does is a function over a Call. Subcommands of a
// container (CLIENT, CONFIG, ...) are entries of their own, named "client|getname".
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace knit {

class Call;

namespace command_flag {
constexpr std::uint32_t write = 1 << 0;
constexpr std::uint32_t readonly = 1 << 1;
constexpr std::uint32_t denyoom = 1 << 2;  // May need room: refused when there is none.
constexpr std::uint32_t admin = 1 << 3;
constexpr std::uint32_t noscript = 1 << 4;
constexpr std::uint32_t blocking = 1 << 5;
constexpr std::uint32_t loading = 1 << 6;
constexpr std::uint32_t stale = 1 << 7;
constexpr std::uint32_t fast = 1 << 8;
constexpr std::uint32_t no_auth = 1 << 9;     // Strangers may call it.
constexpr std::uint32_t debug = 1 << 10;      // Exists only with debug commands switched on.
constexpr std::uint32_t container = 1 << 11;  // Has subcommands.
constexpr std::uint32_t secret = 1 << 12;     // Never in the slow log.
constexpr std::uint32_t sensitive = 1 << 13;  // In the slow log without its arguments.
}  // namespace command_flag

using CommandHandler = void (*)(Call&);

struct Command {
  std::string_view name;  // Lower case; "container|subcommand".
  int arity{};            // With the name, and the container's. Negative: at least so many.
  std::uint32_t flags{};
  int first_key{};  // Positions; 0: none.
  int last_key{};   // Negative: counted from the end.
  int key_step{};
  std::string_view group;
  std::string_view syntax;  // What follows the name.
  std::string_view summary;
  CommandHandler handler{};  // Null: a container that needs a subcommand.

  bool has(std::uint32_t flag) const { return (flags & flag) != 0; }
  bool takes(std::size_t arguments) const;  // With the name: whether its arity allows so many.
  bool is_subcommand() const { return name.find('|') != std::string_view::npos; }
  std::string_view own_name() const { return name.substr(name.find('|') + 1); }
};

// Each family of commands, in a file of its own.
std::span<const Command> backup_commands();
std::span<const Command> client_commands();
std::span<const Command> compatibility_commands();
std::span<const Command> config_commands();
std::span<const Command> conflict_commands();
std::span<const Command> connection_commands();
std::span<const Command> copy_commands();
std::span<const Command> counter_commands();
std::span<const Command> durability_commands();
std::span<const Command> key_commands();
std::span<const Command> knit_commands();
std::span<const Command> monitor_commands();
std::span<const Command> object_commands();
std::span<const Command> range_commands();
std::span<const Command> read_commands();
std::span<const Command> server_commands();
std::span<const Command> session_commands();
std::span<const Command> string_commands();
std::span<const Command> walk_commands();

const std::vector<const Command*>& all_commands();   // Ascending by name, subcommands included.
const Command* find_command(std::string_view name);  // Of either case. Null: there is none.
// The subcommands of a container, ascending by name. Empty if it is none.
std::span<const Command* const> subcommands_of(const Command& container);
const Command* find_subcommand(const Command& container, std::string_view name);

std::vector<std::string_view> flag_names(const Command& command);  // As COMMAND INFO shows them.
std::vector<std::string> acl_categories(const Command& command);   // "@read", ...
// Positions of the keys among so many arguments. Requires: the command takes so many.
std::vector<std::size_t> key_positions(const Command& command, std::size_t arguments);

}  // namespace knit
