// The keys of the config as data: where each value goes, and what is accepted. Knows no TOML.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "daemon/config.h"

namespace knit {

// What a file may say; the first: something that no key takes.
using ConfigValue = std::variant<std::monostate, std::string, std::int64_t, bool, std::vector<std::string>>;

// The kinds of keys. Each points into the Config that it fills.
struct NameKey {
  std::string* out;
};  // Letters, digits, '.', '_' and '-', or nothing.
struct PathKey {
  std::string* out;
  bool may_be_empty = true;
};  // Absolute.
struct TextKey {
  std::string* out;
  std::size_t bytes_max;
};
struct ChoiceKey {
  std::string* out;
  std::vector<std::string_view> choices;
};
struct FlagKey {
  bool* out;
};
struct PortKey {
  std::uint16_t* out;
  bool may_be_zero = false;
};
struct ModeKey {
  unsigned* out;
};  // Permissions, as an octal string: "0770".
struct CountKey {
  std::size_t* out;
  std::size_t least, most;
};
struct SizeKey {
  std::size_t* out;
  std::size_t least, most;
};  // Bytes, or "256MiB".
struct DurationKey {
  Millis* out;
  Millis least, most;
};
struct IpKey {
  std::string* out;
};
struct IpsKey {
  std::vector<std::string>* out;
};
struct AddressKey {
  std::string* out;
};  // "ip:port", or nothing.
struct SeedsKey {
  std::vector<std::string>* out;
};  // "ip:port" or "name:port" each.
struct PrefixesKey {
  std::vector<std::string>* out;
};
struct TagsKey {
  std::vector<std::string>* out;
};  // "name=value" each.
using KeyKind = std::variant<NameKey, PathKey, TextKey, ChoiceKey, FlagKey, PortKey, ModeKey, CountKey,
                             SizeKey, DurationKey, IpKey, IpsKey, AddressKey, SeedsKey, TagsKey, PrefixesKey>;

struct ConfigKey {
  std::string_view section;
  std::string_view name;
  KeyKind kind;

  std::string path() const { return std::string(section) + "." + std::string(name); }
};

// All keys, grouped by section. The pointers live as long as `config`.
std::vector<ConfigKey> config_key_table(Config& config);

// Sets the key's value. Else changes nothing and answers what was expected, as "a path, ...".
std::optional<std::string> set_config_value(const ConfigKey& key, const ConfigValue& value);

}  // namespace knit
