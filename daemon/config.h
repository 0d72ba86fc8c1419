// What knitd can be told, and how it is read from TOML. configs/knit.toml explains each key to its
// user; a test keeps that file and this one equal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "base/types.h"
#include "daemon/address.h"

namespace knit {

constexpr std::string_view default_config_path = "/etc/knit/knit.toml";

struct Config {
  struct Node {
    std::string name;  // Empty: the host's name.
    std::string data_directory = "/var/lib/knit";
    std::vector<std::string> tags;  // "name=value".
    bool operator==(const Node&) const = default;
  } node;
  struct Cluster {
    std::string key_file;  // Empty: see cluster_key_paths().
    bool operator==(const Cluster&) const = default;
  } cluster;
  struct Client {
    std::vector<std::string> listen{"127.0.0.1"};
    std::uint16_t port = 6399;
    std::string unix_socket = "/run/knit/knit.sock";
    unsigned unix_socket_mode = 0770;
    std::string password;  // After load_config(): also what password_file held.
    std::string password_file;
    bool protected_mode = true;
    std::size_t clients_max = 10'000;
    std::size_t output_bytes_max = std::size_t{256} << 20;
    bool operator==(const Client&) const = default;
  } client;
  struct Peer {
    std::string listen = "127.0.0.1";
    std::uint16_t port = 7399;
    std::string advertise;           // Empty: what is listened on.
    std::vector<std::string> seeds;  // "ip:port" or "name:port".
    Millis timeout{5000};
    bool operator==(const Peer&) const = default;
  } peer;
  struct Gossip {
    std::string keyring_file;  // Empty: see keyring_path().
    bool insecure = false;
    Millis probe_interval{500};
    Millis probe_timeout{250};
    Millis suspicion{1800};
    bool operator==(const Gossip&) const = default;
  } gossip;
  struct Http {
    std::string listen = "127.0.0.1";
    std::uint16_t port = 9399;  // 0: nothing is listened on.
    bool operator==(const Http&) const = default;
  } http;
  struct Store {
    std::size_t map_bytes = std::size_t{1} << 40;  // To be rounded up to whole pages.
    std::string durability = "commit";
    std::size_t max_bytes = 0;  // None.
    std::size_t journal_segment_bytes = std::size_t{16} << 20;
    std::size_t pending_bytes_max = std::size_t{256} << 20;
    std::size_t disk_reserve_bytes = std::size_t{16} << 20;
    bool operator==(const Store&) const = default;
  } store;
  struct Hints {
    Millis max_age{86'400'000};
    std::size_t max_bytes = std::size_t{256} << 20;
    bool operator==(const Hints&) const = default;
  } hints;
  struct Clock {
    Millis max_ahead{500};
    bool operator==(const Clock&) const = default;
  } clock;
  struct Replication {
    bool causal = false;
    Millis causal_wait{2000};
    bool operator==(const Replication&) const = default;
  } replication;
  struct Conflicts {
    std::vector<std::string> resolved_prefixes;
    bool operator==(const Conflicts&) const = default;
  } conflicts;
  struct Read {
    Millis max_lag{0};  // None.
    std::string on_lag = "fetch";
    Millis timeout{1000};
    bool operator==(const Read&) const = default;
  } read;
  struct AntiEntropy {
    Millis interval{600'000};
    Millis deadline{10'000};
    std::size_t sessions_max = 4;
    std::size_t bytes_per_second = std::size_t{64} << 20;
    std::size_t rows_per_second = 50'000;
    Millis status_interval{1000};
    Millis scrub_interval{86'400'000};
    bool operator==(const AntiEntropy&) const = default;
  } anti_entropy;
  struct Log {
    std::string level = "info";
    std::string target = "stderr";
    bool operator==(const Log&) const = default;
  } log;
  struct Debug {
    bool commands = false;
    bool operator==(const Debug&) const = default;
  } debug;

  bool operator==(const Config&) const = default;
};

// One line each: "file:line: section.key: what was expected". Never empty.
using ConfigErrors = std::vector<std::string>;

tl::expected<Config, ConfigErrors> load_config(const std::string& path);
// Of a text that is called `path` in errors. Pure: does not look for client.password_file.
tl::expected<Config, ConfigErrors> parse_config(std::string_view text, const std::string& path);

// "section.key" of every key that can be set.
std::vector<std::string> config_keys();

// What follows from a loaded config.
SocketAddress peer_bind_address(const Config& config);
SocketAddress peer_advertised_address(const Config& config);
std::string node_name(const Config& config);
std::map<std::string, std::string> node_tags(const Config& config);
// Where the identity of the cluster is kept that this node was told when it joined: in the data directory.
std::string joined_key_path(const Config& config);
// Where it is looked for: cluster.key_file alone, if that is set; else joined_key_path(), cluster.key among
// the credentials that systemd hands to its services, and /etc/knit/cluster.key.
std::vector<std::string> cluster_key_paths(const Config& config);
// gossip.keyring_file; else gossip.keys among those credentials, or /etc/knit/gossip.keys, if there is one.
// Empty: nothing is encrypted.
std::string keyring_path(const Config& config);

}  // namespace knit
