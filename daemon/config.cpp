#include "daemon/config.h"

#include <sys/un.h>
#include <toml++/toml.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>

#include "base/check.h"
#include "daemon/config_keys.h"

namespace knit {

namespace {

using Errors = ConfigErrors;

std::string quoted(std::string_view text) { return "\"" + std::string(text) + "\""; }

// Collects what is wrong, and knows where each key was set.
class Report {
 public:
  explicit Report(std::string path) : path_(std::move(path)) {}

  void add(std::size_t line, const std::string& text) {
    errors_.emplace(line, path_ + ":" + std::to_string(line) + ": " + text);
  }
  // Of a key that may not have been set: its default is then what offends.
  void add(const std::string& key, const std::string& text) {
    const auto found = lines_.find(key);
    if (found != lines_.end()) return add(found->second, key + ": " + text);
    errors_.emplace(0, path_ + ": " + key + ": " + text);
  }
  void set_line(const std::string& key, std::size_t line) { lines_[key] = line; }
  bool empty() const { return errors_.empty(); }

  Errors take() {
    Errors out;
    for (auto& [line, text] : errors_) out.push_back(std::move(text));
    return out;
  }

 private:
  std::string path_;
  std::multimap<std::size_t, std::string> errors_;  // Ascending by line.
  std::map<std::string, std::size_t> lines_;
};

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({replaced, row[j] + 1, row[j - 1] + 1}));
    }
  }
  return row[b.size()];
}

// The nearest of `names`, if it is near enough to be what was meant.
std::optional<std::string> nearest(std::string_view name, const std::vector<std::string>& names) {
  std::optional<std::string> best;
  std::size_t best_distance = std::min<std::size_t>(3, name.size() / 2) + 1;
  for (const std::string& candidate : names) {
    if (name.size() > candidate.size() + best_distance) continue;  // Names come from the file: of any length.
    const std::size_t distance = edit_distance(name, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

std::vector<std::string> section_names(const std::vector<ConfigKey>& keys) {
  std::vector<std::string> out;
  for (const ConfigKey& key : keys) {
    if (out.empty() || out.back() != key.section) out.emplace_back(key.section);
  }
  return out;
}

std::vector<std::string> names_in(const std::vector<ConfigKey>& keys, std::string_view section) {
  std::vector<std::string> out;
  for (const ConfigKey& key : keys) {
    if (key.section == section) out.emplace_back(key.name);
  }
  return out;
}

std::string suggestion(std::string_view name, const std::vector<std::string>& names) {
  if (const auto near = nearest(name, names)) return "; did you mean " + *near + "?";
  std::string out = "; expected one of";
  for (const std::string& each : names) out += (each == names.front() ? " " : ", ") + each;
  return out;
}

std::string unknown_key(std::string_view section, std::string_view name, const std::vector<ConfigKey>& keys) {
  const auto elsewhere =
      std::find_if(keys.begin(), keys.end(), [&](const ConfigKey& k) { return k.name == name; });
  const std::string text = std::string(section) + "." + std::string(name) + ": unknown key";
  const auto names = names_in(keys, section);
  if (elsewhere != keys.end() && !nearest(name, names)) {
    return text + "; it belongs into [" + std::string(elsewhere->section) + "]";
  }
  return text + suggestion(name, names);
}

ConfigValue to_value(const toml::node& node) {
  if (const auto* text = node.as_string()) return {text->get()};
  if (const auto* number = node.as_integer()) return {number->get()};
  if (const auto* flag = node.as_boolean()) return {flag->get()};
  if (const auto* array = node.as_array()) {
    std::vector<std::string> texts;
    for (const toml::node& item : *array) {
      if (!item.is_string()) return {};
      texts.push_back(item.as_string()->get());
    }
    return {std::move(texts)};
  }
  return {};
}

void read_key(std::string_view section, std::string_view name, const toml::node& node,
              const std::vector<ConfigKey>& keys, Report& report) {
  const std::size_t line = node.source().begin.line;
  const auto key = std::find_if(keys.begin(), keys.end(),
                                [&](const ConfigKey& k) { return k.section == section && k.name == name; });
  if (key == keys.end()) return report.add(line, unknown_key(section, name, keys));
  const std::string path = key->path();
  report.set_line(path, line);
  const auto expected = set_config_value(*key, to_value(node));
  if (expected) report.add(line, path + ": expected " + *expected);
}

void read_sections(const toml::table& root, const std::vector<ConfigKey>& keys, Report& report) {
  const auto sections = section_names(keys);
  for (const auto& [name, node] : root) {
    const std::size_t line = node.source().begin.line;
    const std::string_view section = name.str();
    if (std::find(sections.begin(), sections.end(), section) == sections.end()) {
      report.add(line, std::string(section) + ": unknown section" + suggestion(section, sections));
    } else if (const toml::table* table = node.as_table()) {
      for (const auto& [key, value] : *table) read_key(section, key.str(), value, keys, report);
    } else {
      report.add(line, std::string(section) + ": expected a section, as [" + std::string(section) + "]");
    }
  }
}

constexpr const char* loopback_only =
    " is not a loopback address; without a key ring nothing between nodes is encrypted, so only 127.0.0.0/8 "
    "and "
    "::1 are allowed: see gossip.keyring_file, or gossip.insecure";

void check_loopback(const std::string& key, const SocketAddress& address, Report& report) {
  if (!is_loopback(address)) report.add(key, quoted(address.ip) + loopback_only);
}

void check_seeds(const Config& config, Report& report) {
  for (const std::string& text : config.peer.seeds) {
    if (const auto address = parse_address(text)) check_loopback("peer.seeds", *address, report);
  }
}

bool is_any(const SocketAddress& address) { return address.ip == "0.0.0.0" || address.ip == "::"; }

void check_peers(const Config& config, Report& report) {
  const bool loopback_alone = !config.gossip.insecure && keyring_path(config).empty();
  if (loopback_alone) {
    check_loopback("peer.listen", peer_bind_address(config), report);
    if (!config.peer.advertise.empty())
      check_loopback("peer.advertise", peer_advertised_address(config), report);
    check_seeds(config, report);
  }
  if (!loopback_alone && is_any(peer_advertised_address(config))) {
    report.add("peer.advertise",
               "expected the address at which others reach this node, since it listens on all");
  }
  if (config.peer.timeout < 2 * config.anti_entropy.status_interval) {
    report.add("peer.timeout",
               "expected at least twice anti_entropy.status_interval, or peers seem to be gone");
  }
  if (config.gossip.probe_timeout >= config.gossip.probe_interval) {
    report.add("gossip.probe_timeout", "expected less than gossip.probe_interval");
  }
}

void check_clients(const Config& config, Report& report) {
  if (config.client.listen.empty() && config.client.unix_socket.empty()) {
    report.add("client.listen",
               "expected an address here, or a path as client.unix_socket, or nobody can connect");
  }
  if (config.client.unix_socket.size() >= sizeof(sockaddr_un::sun_path)) {
    report.add("client.unix_socket", "expected a path of at most 107 bytes, which is what the system takes");
  }
  if (!config.client.password.empty() && !config.client.password_file.empty()) {
    report.add("client.password_file", "expected either this or client.password, not both");
  }
}

void read_password_file(Config& config, Report& report) {
  if (config.client.password_file.empty()) return;
  constexpr std::size_t password_bytes_max = 512;
  std::ifstream file(config.client.password_file);
  std::string line;
  if (!file || !std::getline(file, line) || line.empty() || line.size() > password_bytes_max) {
    return report.add("client.password_file",
                      "expected a file whose first line is the password, up to 512 bytes");
  }
  config.client.password = line;
}

std::string host_name() {
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') return "knit";
  return name.data();
}

// A file that systemd hands to the service (LoadCredential=), if there is one of this name.
std::optional<std::string> credential(const std::string& name) {
  const char* directory = std::getenv("CREDENTIALS_DIRECTORY");
  if (directory == nullptr) return std::nullopt;
  const std::string path = std::string(directory) + "/" + name;
  if (::access(path.c_str(), F_OK) != 0) return std::nullopt;
  return path;
}

Config read_config(std::string_view text, Report& report) {
  Config config;
  const auto keys = config_key_table(config);
  try {
    read_sections(toml::parse(text), keys, report);
  } catch (const toml::parse_error& error) {
    report.add(error.source().begin.line, std::string(error.description()));
  }
  // Only values that are well formed can be compared with each other.
  if (report.empty()) {
    check_peers(config, report);
    check_clients(config, report);
  }
  return config;
}

tl::expected<Config, ConfigErrors> outcome(Config config, Report& report) {
  if (!report.empty()) return tl::unexpected(report.take());
  return config;
}

}  // namespace

tl::expected<Config, ConfigErrors> parse_config(std::string_view text, const std::string& path) {
  Report report(path);
  Config config = read_config(text, report);
  return outcome(std::move(config), report);
}

tl::expected<Config, ConfigErrors> load_config(const std::string& path) {
  constexpr std::size_t file_bytes_max = 1 << 20;
  std::ifstream file(path, std::ios::binary);
  if (!file) return tl::unexpected(Errors{path + ": " + std::strerror(errno)});
  std::string text(file_bytes_max + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad()) return tl::unexpected(Errors{path + ": cannot be read"});
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > file_bytes_max) return tl::unexpected(Errors{path + ": is longer than 1 MiB"});
  Report report(path);
  Config config = read_config(text, report);
  if (report.empty()) read_password_file(config, report);
  return outcome(std::move(config), report);
}

std::vector<std::string> config_keys() {
  Config config;
  std::vector<std::string> out;
  for (const ConfigKey& key : config_key_table(config)) out.push_back(key.path());
  return out;
}

SocketAddress peer_bind_address(const Config& config) {
  const auto address = parse_ip(config.peer.listen, config.peer.port);
  check(address.has_value(), "peer.listen was checked");
  return *address;
}

SocketAddress peer_advertised_address(const Config& config) {
  if (config.peer.advertise.empty()) return peer_bind_address(config);
  const auto address = parse_address(config.peer.advertise);
  check(address.has_value(), "peer.advertise was checked");
  return *address;
}

std::string node_name(const Config& config) {
  return config.node.name.empty() ? host_name() : config.node.name;
}

std::map<std::string, std::string> node_tags(const Config& config) {
  std::map<std::string, std::string> out;
  for (const std::string& tag : config.node.tags) {
    const std::size_t equals = tag.find('=');
    out.insert_or_assign(tag.substr(0, equals), tag.substr(equals + 1));
  }
  return out;
}

std::string joined_key_path(const Config& config) { return config.node.data_directory + "/cluster.key"; }

std::vector<std::string> cluster_key_paths(const Config& config) {
  if (!config.cluster.key_file.empty()) return {config.cluster.key_file};
  std::vector<std::string> out{joined_key_path(config)};
  if (const auto path = credential("cluster.key")) out.push_back(*path);
  out.emplace_back("/etc/knit/cluster.key");
  return out;
}

std::string keyring_path(const Config& config) {
  constexpr const char* usual = "/etc/knit/gossip.keys";
  if (!config.gossip.keyring_file.empty()) return config.gossip.keyring_file;
  if (const auto path = credential("gossip.keys")) return *path;
  return ::access(usual, F_OK) == 0 ? usual : "";
}

}  // namespace knit
