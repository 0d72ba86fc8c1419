#include "daemon/redis/command.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <utility>

#include "base/check.h"
#include "daemon/redis/text.h"

namespace knit {

namespace {

bool by_name(const Command* a, const Command* b) { return a->name < b->name; }

std::vector<const Command*> gather() {
  std::vector<const Command*> table;
  for (const auto family : {backup_commands(), client_commands(), compatibility_commands(), config_commands(),
                            conflict_commands(), connection_commands(), copy_commands(), counter_commands(),
                            durability_commands(), key_commands(), knit_commands(), monitor_commands(),
                            object_commands(), range_commands(), read_commands(), server_commands(),
                            session_commands(), string_commands(), walk_commands()}) {
    for (const Command& command : family) table.push_back(&command);
  }
  std::sort(table.begin(), table.end(), by_name);
  return table;
}

constexpr std::pair<std::uint32_t, std::string_view> flag_texts[] = {
    {command_flag::write, "write"},       {command_flag::readonly, "readonly"},
    {command_flag::denyoom, "denyoom"},   {command_flag::admin, "admin"},
    {command_flag::noscript, "noscript"}, {command_flag::blocking, "blocking"},
    {command_flag::loading, "loading"},   {command_flag::stale, "stale"},
    {command_flag::fast, "fast"},         {command_flag::no_auth, "no_auth"},
};

constexpr std::size_t name_bytes_max = 64;

// Every command is looked up by its name: a hash of a few of its letters and one comparison, where a
// search of the sorted table takes eight.
class Index {
 public:
  explicit Index(const std::vector<const Command*>& table) {
    check(2 * table.size() < slots, "the index of commands has room");
    for (const Command* command : table) {
      std::size_t at = slot_of(command->name);
      while (commands_[at] != nullptr) at = (at + 1) % slots;
      commands_[at] = command;
    }
  }

  const Command* find(std::string_view lower) const {
    if (lower.empty()) return nullptr;
    for (std::size_t at = slot_of(lower); commands_[at] != nullptr; at = (at + 1) % slots) {
      if (commands_[at]->name == lower) return commands_[at];
    }
    return nullptr;
  }

 private:
  static constexpr std::size_t slots = 1024;

  static std::size_t slot_of(std::string_view name) {
    std::size_t hash = name.size();
    for (const char letter : {name.front(), name[name.size() / 2], name.back()}) {
      hash = hash * 37 + static_cast<unsigned char>(letter);
    }
    return hash % slots;
  }

  std::array<const Command*, slots> commands_{};
};

const Command* find_exact(std::string_view lower) {
  static const Index index(all_commands());
  return index.find(lower);
}

}  // namespace

bool Command::takes(std::size_t arguments) const {
  const auto wanted = static_cast<std::size_t>(std::abs(arity));
  return arity < 0 ? arguments >= wanted : arguments == wanted;
}

const std::vector<const Command*>& all_commands() {
  static const std::vector<const Command*> table = gather();
  return table;
}

const Command* find_command(std::string_view name) {
  std::array<char, name_bytes_max> lower{};
  if (name.size() > lower.size() || name.find('|') != std::string_view::npos) return nullptr;
  std::transform(name.begin(), name.end(), lower.begin(), to_lower);
  return find_exact({lower.data(), name.size()});
}

std::span<const Command* const> subcommands_of(const Command& container) {
  const auto& table = all_commands();
  if (!container.has(command_flag::container)) return {};
  const std::string prefix = std::string(container.name) + '|';
  const auto first = std::find_if(table.begin(), table.end(),
                                  [&](const Command* command) { return command->name.starts_with(prefix); });
  const auto last = std::find_if(first, table.end(),
                                 [&](const Command* command) { return !command->name.starts_with(prefix); });
  return {first, last};
}

const Command* find_subcommand(const Command& container, std::string_view name) {
  if (name.size() > name_bytes_max || name.find('|') != std::string_view::npos) return nullptr;
  return find_exact(std::string(container.name) + '|' + lower_case(name));
}

std::vector<std::string_view> flag_names(const Command& command) {
  std::vector<std::string_view> names;
  for (const auto& [flag, text] : flag_texts) {
    if (command.has(flag)) names.push_back(text);
  }
  return names;
}

std::vector<std::string> acl_categories(const Command& command) {
  std::vector<std::string> categories;
  if (command.has(command_flag::write)) categories.emplace_back("@write");
  if (command.has(command_flag::readonly)) categories.emplace_back("@read");
  if (command.has(command_flag::admin)) categories.insert(categories.end(), {"@admin", "@dangerous"});
  if (command.has(command_flag::blocking)) categories.emplace_back("@blocking");
  categories.emplace_back(command.has(command_flag::fast) ? "@fast" : "@slow");
  if (command.group == "string") categories.emplace_back("@string");
  if (command.group == "generic") categories.emplace_back("@keyspace");
  if (command.group == "connection") categories.emplace_back("@connection");
  return categories;
}

std::vector<std::size_t> key_positions(const Command& command, std::size_t arguments) {
  std::vector<std::size_t> positions;
  if (command.first_key == 0) return positions;
  const auto count = static_cast<std::int64_t>(arguments);
  const std::int64_t last = command.last_key >= 0 ? command.last_key : count + command.last_key;
  for (std::int64_t at = command.first_key; at <= last && at < count; at += command.key_step) {
    positions.push_back(static_cast<std::size_t>(at));
  }
  return positions;
}

}  // namespace knit
