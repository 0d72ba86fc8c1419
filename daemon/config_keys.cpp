#include "daemon/config_keys.h"

#include <algorithm>
#include <charconv>

#include "daemon/address.h"
#include "gossip/profile_pool.h"
#include "store/cluster_key.h"

namespace knit {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t list_items_max = 1024;
constexpr std::size_t kibi = 1024;
constexpr std::size_t mebi = kibi * 1024;
constexpr std::size_t gibi = mebi * 1024;
constexpr std::size_t tebi = gibi * 1024;

using Expected = std::optional<std::string>;  // Empty: the value was taken.

struct Unit {
  std::string_view name;
  std::size_t factor;
};
constexpr std::array size_units{Unit{"TiB", tebi}, Unit{"GiB", gibi}, Unit{"MiB", mebi}, Unit{"KiB", kibi},
                                Unit{"B", 1}};
constexpr std::array duration_units{Unit{"h", 3'600'000}, Unit{"m", 60'000}, Unit{"s", 1000}, Unit{"ms", 1}};

// "10s" by the units given; empty if it is not that, or does not fit.
template <std::size_t N>
std::optional<std::size_t> parse_with_unit(std::string_view text, const std::array<Unit, N>& units) {
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  const std::string_view name(end, static_cast<std::size_t>(text.data() + text.size() - end));
  for (const Unit& unit : units) {
    if (name != unit.name) continue;
    if (number > std::numeric_limits<std::size_t>::max() / unit.factor) return std::nullopt;
    return number * unit.factor;
  }
  return std::nullopt;
}

template <std::size_t N>
std::string with_unit(std::size_t number, const std::array<Unit, N>& units) {
  for (const Unit& unit : units) {
    if (number >= unit.factor && number % unit.factor == 0) {
      return std::to_string(number / unit.factor) + std::string(unit.name);
    }
  }
  return std::to_string(number) + std::string(units.back().name);
}

std::optional<std::size_t> as_count(const ConfigValue& value) {
  const auto* number = std::get_if<std::int64_t>(&value);
  if (number == nullptr || *number < 0) return std::nullopt;
  return static_cast<std::size_t>(*number);
}

const std::string* as_text(const ConfigValue& value) {
  const auto* text = std::get_if<std::string>(&value);
  const bool odd =
      text != nullptr && std::any_of(text->begin(), text->end(), [](unsigned char c) { return c < 32; });
  return odd ? nullptr : text;
}

// Takes a list of which every item is good.
template <class IsGood>
bool take_list(const ConfigValue& value, std::vector<std::string>& out, IsGood is_good) {
  const auto* items = std::get_if<std::vector<std::string>>(&value);
  if (items == nullptr || items->size() > list_items_max) return false;
  if (!std::all_of(items->begin(), items->end(), is_good)) return false;
  out = *items;
  return true;
}

template <class IsGood>
bool take_text(const ConfigValue& value, std::string& out, IsGood is_good) {
  const std::string* text = as_text(value);
  if (text == nullptr || !is_good(*text)) return false;
  out = *text;
  return true;
}

bool is_ip(const std::string& text) { return parse_ip(text, 1).has_value(); }
bool is_address(const std::string& text) { return parse_address(text).has_value(); }

// "name:port", where the name is one that could be looked up.
bool is_host(const std::string& text) {
  constexpr std::string_view allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
  constexpr std::size_t name_bytes_max = 253;
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon > name_bytes_max) return false;
  const std::string name = text.substr(0, colon);
  const bool numeric = name.find_first_not_of("0123456789.") == std::string::npos;
  return !numeric && name.find_first_not_of(allowed) == std::string::npos &&
         parse_address("127.0.0.1" + text.substr(colon)).has_value();
}

bool is_tag(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals > tag_bytes_max) return false;
  return text.size() - equals - 1 <= tag_bytes_max &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

Expected unless(bool taken, const char* expected) { return taken ? Expected() : Expected(expected); }

Expected set(const NameKey& key, const ConfigValue& value) {
  return unless(
      take_text(value, *key.out, [](const std::string& t) { return t.empty() || is_cluster_name(t); }),
      "a name of up to 64 letters, digits, '.', '_' or '-', in quotes");
}

Expected set(const PathKey& key, const ConfigValue& value) {
  constexpr std::size_t path_bytes_max = 4096;
  const auto good = [&](const std::string& t) {
    return t.empty() ? key.may_be_empty : t.front() == '/' && t.size() < path_bytes_max;
  };
  return unless(take_text(value, *key.out, good), "an absolute path in quotes, such as \"/var/lib/knit\"");
}

Expected set(const TextKey& key, const ConfigValue& value) {
  if (take_text(value, *key.out, [&](const std::string& t) { return t.size() <= key.bytes_max; })) return {};
  return "a text in quotes, up to " + std::to_string(key.bytes_max) + " bytes";
}

Expected set(const ChoiceKey& key, const ConfigValue& value) {
  const auto good = [&](const std::string& t) {
    return std::find(key.choices.begin(), key.choices.end(), t) != key.choices.end();
  };
  if (take_text(value, *key.out, good)) return {};
  std::string expected = "one of";
  for (const std::string_view choice : key.choices) {
    expected += (choice == key.choices.front() ? " \"" : ", \"") + std::string(choice) + "\"";
  }
  return expected;
}

Expected set(const FlagKey& key, const ConfigValue& value) {
  const auto* flag = std::get_if<bool>(&value);
  if (flag == nullptr) return "true or false";
  *key.out = *flag;
  return {};
}

Expected set(const PortKey& key, const ConfigValue& value) {
  const auto port = as_count(value);
  if (!port || (*port == 0 && !key.may_be_zero) || *port > 65535) {
    return key.may_be_zero ? "a port, 1 to 65535, or 0 for none" : "a port, 1 to 65535";
  }
  *key.out = static_cast<std::uint16_t>(*port);
  return {};
}

Expected set(const ModeKey& key, const ConfigValue& value) {
  const std::string* text = as_text(value);
  unsigned mode = 0;
  const char* end = text == nullptr ? nullptr : text->data() + text->size();
  if (text == nullptr || text->empty() || std::from_chars(text->data(), end, mode, 8).ptr != end ||
      mode > 0777) {
    return "permissions as an octal number in quotes, such as \"0770\"";
  }
  *key.out = mode;
  return {};
}

Expected set(const CountKey& key, const ConfigValue& value) {
  const auto count = as_count(value);
  if (!count || *count < key.least || *count > key.most) {
    return "a number from " + std::to_string(key.least) + " to " + std::to_string(key.most);
  }
  *key.out = *count;
  return {};
}

Expected set(const SizeKey& key, const ConfigValue& value) {
  const std::string* text = as_text(value);
  const auto size = text == nullptr ? as_count(value) : parse_with_unit(*text, size_units);
  if (!size || *size < key.least || *size > key.most) {
    return "a number of bytes or a size such as \"256MiB\", from \"" + with_unit(key.least, size_units) +
           "\" to \"" + with_unit(key.most, size_units) + "\"";
  }
  *key.out = *size;
  return {};
}

Expected set(const DurationKey& key, const ConfigValue& value) {
  const std::string* text = as_text(value);
  const auto millis = text == nullptr ? std::nullopt : parse_with_unit(*text, duration_units);
  const auto least = static_cast<std::size_t>(key.least.count());
  const auto most = static_cast<std::size_t>(key.most.count());
  if (!millis || *millis < least || *millis > most) {
    return "a duration with its unit (ms, s, m, h) in quotes, from \"" + with_unit(least, duration_units) +
           "\" to \"" + with_unit(most, duration_units) + "\"";
  }
  *key.out = Millis(*millis);
  return {};
}

Expected set(const IpKey& key, const ConfigValue& value) {
  return unless(take_text(value, *key.out, is_ip),
                "a numeric address in quotes, such as \"127.0.0.1\" or \"::1\"");
}

Expected set(const IpsKey& key, const ConfigValue& value) {
  return unless(take_list(value, *key.out, is_ip),
                "a list of numeric addresses, such as [\"127.0.0.1\", \"::1\"]");
}

Expected set(const AddressKey& key, const ConfigValue& value) {
  const auto good = [](const std::string& t) { return t.empty() || is_address(t); };
  return unless(take_text(value, *key.out, good),
                "a numeric address with its port in quotes, such as \"127.0.0.1:7399\" or \"[::1]:7399\"");
}

Expected set(const SeedsKey& key, const ConfigValue& value) {
  return unless(take_list(value, *key.out, [](const std::string& t) { return is_address(t) || is_host(t); }),
                "a list of addresses or host names with their ports, such as [\"10.0.0.2:7399\", "
                "\"[::1]:7399\", \"db1.example:7399\"]");
}

Expected set(const TagsKey& key, const ConfigValue& value) {
  return unless(
      take_list(value, *key.out, is_tag) && key.out->size() <= tags_max,
      "a list of at most 8 tags \"name=value\", such as [\"zone=eu1\"], names and values of up to 64 "
      "printable characters without blanks");
}

Expected set(const PrefixesKey& key, const ConfigValue& value) {
  constexpr std::size_t prefix_bytes_max = 256;
  return unless(take_list(value, *key.out, [](const std::string& t) { return t.size() <= prefix_bytes_max; }),
                "a list of beginnings of keys, such as [\"cart:\", \"doc:\"], up to 256 bytes each");
}

}  // namespace

std::vector<ConfigKey> config_key_table(Config& c) {
  return {
      {"node", "name", NameKey{&c.node.name}},
      {"node", "data_directory", PathKey{&c.node.data_directory, false}},
      {"node", "tags", TagsKey{&c.node.tags}},
      {"cluster", "key_file", PathKey{&c.cluster.key_file}},
      {"client", "listen", IpsKey{&c.client.listen}},
      {"client", "port", PortKey{&c.client.port}},
      {"client", "unix_socket", PathKey{&c.client.unix_socket}},
      {"client", "unix_socket_mode", ModeKey{&c.client.unix_socket_mode}},
      {"client", "password", TextKey{&c.client.password, 512}},
      {"client", "password_file", PathKey{&c.client.password_file}},
      {"client", "protected_mode", FlagKey{&c.client.protected_mode}},
      {"client", "clients_max", CountKey{&c.client.clients_max, 1, 1'000'000}},
      {"client", "output_bytes_max", SizeKey{&c.client.output_bytes_max, mebi, tebi}},
      {"peer", "listen", IpKey{&c.peer.listen}},
      {"peer", "port", PortKey{&c.peer.port}},
      {"peer", "advertise", AddressKey{&c.peer.advertise}},
      {"peer", "seeds", SeedsKey{&c.peer.seeds}},
      {"peer", "timeout", DurationKey{&c.peer.timeout, 500ms, 10min}},
      {"gossip", "keyring_file", PathKey{&c.gossip.keyring_file}},
      {"gossip", "insecure", FlagKey{&c.gossip.insecure}},
      {"gossip", "probe_interval", DurationKey{&c.gossip.probe_interval, 50ms, 1min}},
      {"gossip", "probe_timeout", DurationKey{&c.gossip.probe_timeout, 20ms, 1min}},
      {"gossip", "suspicion", DurationKey{&c.gossip.suspicion, 100ms, 10min}},
      {"http", "listen", IpKey{&c.http.listen}},
      {"http", "port", PortKey{&c.http.port, true}},
      {"store", "durability", ChoiceKey{&c.store.durability, {"commit", "async"}}},
      {"store", "max_bytes", SizeKey{&c.store.max_bytes, 0, 64 * tebi}},
      {"store", "journal_segment_bytes", SizeKey{&c.store.journal_segment_bytes, mebi / 4, gibi}},
      {"store", "map_bytes", SizeKey{&c.store.map_bytes, 16 * mebi, 64 * tebi}},
      {"store", "pending_bytes_max", SizeKey{&c.store.pending_bytes_max, mebi, tebi}},
      {"store", "disk_reserve_bytes", SizeKey{&c.store.disk_reserve_bytes, mebi, tebi}},
      {"hints", "max_age", DurationKey{&c.hints.max_age, 1min, 8760h}},
      {"hints", "max_bytes", SizeKey{&c.hints.max_bytes, mebi, tebi}},
      {"clock", "max_ahead", DurationKey{&c.clock.max_ahead, 1ms, 1h}},
      {"replication", "causal", FlagKey{&c.replication.causal}},
      {"replication", "causal_wait", DurationKey{&c.replication.causal_wait, 100ms, 1min}},
      {"conflicts", "resolved_prefixes", PrefixesKey{&c.conflicts.resolved_prefixes}},
      {"read", "max_lag", DurationKey{&c.read.max_lag, 0ms, 24h}},
      {"read", "on_lag", ChoiceKey{&c.read.on_lag, {"fetch", "error"}}},
      {"read", "timeout", DurationKey{&c.read.timeout, 10ms, 1min}},
      {"anti_entropy", "interval", DurationKey{&c.anti_entropy.interval, 1s, 168h}},
      {"anti_entropy", "deadline", DurationKey{&c.anti_entropy.deadline, 100ms, 1h}},
      {"anti_entropy", "sessions_max", CountKey{&c.anti_entropy.sessions_max, 1, 64}},
      {"anti_entropy", "bytes_per_second", SizeKey{&c.anti_entropy.bytes_per_second, 0, tebi}},
      {"anti_entropy", "rows_per_second", CountKey{&c.anti_entropy.rows_per_second, 0, 1'000'000'000}},
      {"anti_entropy", "status_interval", DurationKey{&c.anti_entropy.status_interval, 50ms, 1min}},
      {"anti_entropy", "scrub_interval", DurationKey{&c.anti_entropy.scrub_interval, 0ms, 8760h}},
      {"log", "level", ChoiceKey{&c.log.level, {"debug", "info", "warning", "error"}}},
      {"log", "target", ChoiceKey{&c.log.target, {"stderr", "journald"}}},
      {"debug", "commands", FlagKey{&c.debug.commands}},
  };
}

std::optional<std::string> set_config_value(const ConfigKey& key, const ConfigValue& value) {
  return std::visit([&](const auto& kind) { return set(kind, value); }, key.kind);
}

}  // namespace knit
