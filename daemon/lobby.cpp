#include "daemon/lobby.h"

#include <sodium.h>

#include <csignal>
#include <filesystem>
#include <optional>

#include "daemon/event_loop.h"
#include "daemon/log.h"
#include "daemon/peer_transport.h"
#include "daemon/seeds.h"
#include "daemon/service_manager.h"
#include "node/joiner.h"
#include "store/cluster_key.h"

namespace knit {

namespace {

constexpr Millis tick{100};
constexpr int ticks_between_looks = 10;

class JoinerLinks final : public LinkOwner {
 public:
  explicit JoinerLinks(Joiner& joiner) : joiner_(joiner) {}

  void on_link_up(LinkId link, std::string, Now, Outbox& out) override { joiner_.on_link_up(link, out); }
  void on_link_down(LinkId, Now, Outbox&) override {}
  void on_progress(LinkId, Now) override {}
  void on_message(LinkId link, Channel, std::string_view message, Now, Outbox& out) override {
    joiner_.on_message(link, message, out);
  }
  bool wants_link(const std::string&) const override { return !joiner_.cluster(); }
  JournalPosition synced() const override { return {}; }

 private:
  Joiner& joiner_;
};

// The key file that is there, if any.
Result<std::optional<ClusterIdentity>> read_key(const Config& config) {
  for (const std::string& path : cluster_key_paths(config)) {
    auto cluster = read_cluster_key(path);
    if (cluster) return std::move(*cluster);
    const bool absent = cluster.error().code == ErrorCode::not_found;
    if (!absent || !config.cluster.key_file.empty()) return tl::unexpected(cluster.error());
  }
  return std::nullopt;
}

class Lobby {
 public:
  Lobby(const Config& config, const KeyRing* ring, const std::string& version)
      : config_(config),
        joiner_(node_name(config), version),
        links_(joiner_),
        seeds_(loop_.get(), config.peer.seeds, is_ipv6(peer_bind_address(config))),
        transport_(loop_.get(), transport_options(ring), links_,
                   {[this] { return now(); }, [this](Outbox& out) { deliver(out); }}),
        timer_(loop_, [this] { on_tick(); }),
        before_wait_(loop_, [this] { transport_.end_turn(); }),
        terminate_(loop_, SIGTERM, [this] { loop_.stop(); }),
        interrupt_(loop_, SIGINT, [this] { loop_.stop(); }) {}

  Result<std::optional<ClusterIdentity>> wait() {
    timer_.repeat(tick);
    loop_.run();
    if (!found_) return std::nullopt;
    return found_->map([](ClusterIdentity& found) { return std::optional(std::move(found)); });
  }

 private:
  PeerTransportOptions transport_options(const KeyRing* ring) {
    PeerTransportOptions options;
    options.listen = peer_bind_address(config_);
    options.wanted = [this] { return seeds_.addresses(); };
    options.timeout = config_.peer.timeout;
    options.keys = [ring] { return ring; };
    options.seed = randombytes_random();
    return options;
  }
  Now now() { return {WallTime{}, Millis(uv_now(loop_.get()))}; }
  void deliver(Outbox& out) {
    for (Output& output : std::exchange(out, {})) {
      if (auto* send = std::get_if<Send>(&output)) transport_.send(std::move(*send));
      if (const auto* close = std::get_if<CloseLink>(&output)) transport_.close(*close);
    }
  }
  void on_tick() {
    seeds_.on_tick(now().steady);
    transport_.on_tick();
    if (joiner_.cluster()) return end(joined());
    if (ticks_++ % ticks_between_looks != 0) return;
    notify_alive();
    auto key = read_key(config_);
    if (!key) return end(tl::unexpected(key.error()));
    if (*key) end(std::move(**key));
  }
  // Kept before it is used: a node that joined is a member for ever.
  Result<ClusterIdentity> joined() const {
    const ClusterIdentity& cluster = *joiner_.cluster();
    std::error_code error;
    std::filesystem::create_directories(config_.node.data_directory, error);
    if (auto written = write_cluster_key(joined_key_path(config_), cluster); !written) {
      return tl::unexpected(written.error());
    }
    log_info("joined cluster " + cluster.name);
    return cluster;
  }
  void end(Result<ClusterIdentity> found) {
    found_ = std::move(found);
    transport_.stop();
    loop_.stop();
  }

  const Config& config_;
  EventLoop loop_;
  Joiner joiner_;
  JoinerLinks links_;
  Seeds seeds_;
  PeerTransport transport_;
  Timer timer_;
  BeforeWait before_wait_;
  OnSignal terminate_;
  OnSignal interrupt_;
  int ticks_ = 0;
  std::optional<Result<ClusterIdentity>> found_;
};

}  // namespace

Result<std::optional<ClusterIdentity>> find_cluster(const Config& config, const KeyRing* ring,
                                                    const std::string& version) {
  auto known = read_key(config);
  if (!known) {
    const bool absent = known.error().code == ErrorCode::not_found;
    return fail(known.error().code,
                known.error().message + (absent ? "; make one with: knit cluster new" : ""));
  }
  if (*known) return std::move(*known);
  const std::string found_one = "found one with: knit cluster new NAME --out " + joined_key_path(config);
  const std::string waiting =
      "this node belongs to no cluster: " +
      (config.peer.seeds.empty()
           ? "name others in peer.seeds, or " + found_one
           : "waiting for a seed to answer; if this is to be the first node, " + found_one);
  log_info(waiting);
  notify_ready(waiting);
  return Lobby(config, ring, version).wait();
}

}  // namespace knit
