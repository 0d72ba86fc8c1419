// Many members of one cluster in one process, on a virtual clock and network. All that happens follows from
// the seed and from what is called here.
//
// Each host stands for a daemon: it ticks its Swim, dials members to have links, asks its seeds until it has
// joined, and keeps the list of members over a restart. Hosts are numbered from 0 on.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

#include "gossip/swim.h"
#include "links.h"
#include "network.h"

namespace knit::swim_sim {

struct WorldOptions {
  std::uint64_t seed = 1;
  SwimOptions swim;
  Latency latency;
  std::size_t links_most = 64;         // That a host dials for; it accepts more.
  std::size_t socket_datagrams = 256;  // That wait in the socket of a paused host.
  Hosts seeds{0};
  bool audit = true;  // Checks each change of each list against a copy of it. Too dear for thousands.
};

enum class Life : std::uint8_t { absent, running, crashed, left };

struct HostState {
  NodeId id;
  std::uint32_t address{};
  Life life{};
  std::unique_ptr<Swim> swim;  // While it runs.
  Profile profile;
  Generation generation;
  bool paused = false;
  Micros slowness{};  // What arrives, and ticks, are dealt with as late as this.
  Millis wall_skew{};
  unsigned faults = 0;         // That it suffers from now.
  unsigned cuts = 0;           // Those of them that keep it from half of the others.
  Micros healthy_from{};       // After the last of them, with some time to recover.
  std::vector<Member> saved;   // Its list when it crashed.
  std::uint64_t datagrams{};   // Sent.
  std::uint64_t bytes{};       // In datagrams, with what sealing adds.
  std::uint64_t link_bytes{};  // Sent over links.
};

enum class Returns : std::uint8_t { with_list, without_list };

class World {
 public:
  explicit World(WorldOptions options);
  ~World();

  // --- Hosts.
  std::size_t size() const { return hosts_.size(); }
  const HostState& host(Host host) const { return hosts_[host]; }
  Host add_host();  // Absent yet.
  // Hosts that run, and know each other, from now on.
  void start_known(const Hosts& hosts);
  void start(Host host, Returns returns = Returns::with_list);
  void crash(Host host);
  void leave(Host host);
  bool forget(Host host, Host by);  // Answers whether the other one did.
  void pause(Host host);
  void resume(Host host);
  void set_slowness(Host host, Micros slowness);
  void set_wall_skew(Host host, Millis skew) { hosts_[host].wall_skew = skew; }
  void set_tag(Host host, const std::string& tag, const std::string& value);
  void move(Host host);  // A new address at its next start.
  void set_generation(Host host, Generation next) { hosts_[host].generation = next; }

  // --- Network.
  void set_latency(Latency latency) { network_.set_latency(latency); }
  Network::RuleId add_rule(const Network::Rule& rule);
  void remove_rule(Network::RuleId id);
  void heal();  // All rules go, all who are paused resume, nobody is slow.

  // --- Time.
  Micros now() const { return now_; }
  void run_until(Micros until);
  void run_for(Micros time) { run_until(now_ + time); }
  // Whether it became true by then, looking every `step`.
  bool run_until_true(const std::function<bool()>& fact, Micros until, Micros step = Micros{10'000});
  void at(Micros when, std::function<void()> action);

  // --- What is so.
  Hosts running() const;
  bool all_know(Host subject, MemberState state) const;
  bool all_know_newest(Host subject) const;  // Alive, in its present life, with its present profile.
  bool all_know_each_other() const;          // Each who runs has as many present as there run.
  bool all_lists_equal() const;
  // Members that were healthy when somebody declared them dead: each life and incarnation counts once.
  std::size_t false_failures() const { return false_failures_.size(); }
  const std::map<std::tuple<Host, Generation, Incarnation>, Micros>& false_failure_list() const {
    return false_failures_;
  }
  std::uint64_t trace_hash() const { return trace_; }
  std::uint64_t events() const { return events_; }
  // What must never be, once it was seen.
  const std::optional<std::string>& violation() const { return violation_; }
  const ProfilePool& pool() const { return pool_; }
  std::optional<Host> host_of(NodeId id) const;

 private:
  enum class Kind : std::uint8_t {
    tick,
    delivery,
    link_ready,
    link_up,
    link_down,
    link_check,
    dial,
    action,
    leave
  };
  struct Event {
    Kind kind{};
    Host host{};
    std::uint32_t number{};  // Of a delivery, a link or an action.
    std::uint32_t life{};    // Of the link.
  };
  struct Delivery {
    Host from{};
    std::uint32_t from_address{};
    std::uint32_t to_address{};
    std::optional<LinkId> link;
    std::uint32_t link_life{};
    std::string bytes;
  };

  void on(const Event& event);
  void on_tick(Host host);
  void on_delivery(Host host, std::uint32_t number);
  void redeliver(Host host, std::uint32_t number);
  void put_aside(Host host, std::uint32_t number);
  void hand_over(Host host, std::uint32_t number);
  void on_link_ready(const Event& event);
  bool can_talk(const Link& link) const;
  void on_link_up(const Event& event);
  void on_link_down(const Event& event);
  void on_link_check(const Event& event);
  void break_link(LinkId id);
  void watch_link(LinkId id);
  void on_leaving(Host host);
  void on_dial(Host host);
  void ask_seeds(Host host);
  bool dial_members(Host host);
  bool may_dial(Host host, const Member& member) const;
  void dial(Host host, Host peer);
  void wake_dialer(Host host, Micros in);

  // What drives a host.
  struct Redial {
    Micros next{};
    Micros delay{};
  };
  struct Driver {
    Micros tick_at = Micros::max();
    Micros busy_until{};
    std::vector<std::uint32_t> inbox;  // Deliveries that wait while it is paused.
    std::size_t inbox_datagrams = 0;
    std::map<Host, Redial> redials;
    Micros dial_at = Micros::max();
    Micros seed_delay{};
    Micros left_at{};
    bool asked_seeds = false;
    std::unordered_map<NodeId, Member> shadow;  // For audits.
  };

  void call(Host host, const std::function<void(Swim&, Now, SwimOutbox&)>& what);
  void send(Host from, SendDatagram& datagram);
  void send(Host from, SendOverLink& message);
  void on_change(Host host, const MemberChanged& change);
  void audit(Host host, NodeId id);
  void audit_all(Host host);
  void reschedule(Host host);
  void violate(Host host, const std::string& what);
  Now now_of(const HostState& host) const;
  Endpoint endpoint_of(std::uint32_t address) const;
  std::uint32_t new_address(Host host);
  std::uint32_t store(Delivery delivery);
  Delivery take(std::uint32_t number);
  std::uint32_t address_of(const Endpoint& endpoint) const;
  void make_process(Host host);
  void end_process(Host host, Life after);
  void begin_fault(Host host);
  void end_fault(Host host);
  bool is_healthy(Host host) const;
  Micros lateness(Host host);
  const Member* seen(Host by, Host subject) const;
  void trace(std::uint64_t value);
  std::uint64_t random(std::uint64_t below) { return random_() % below; }

  WorldOptions options_;
  std::mt19937_64 random_;
  ProfilePool pool_;
  Network network_;
  LinkTable links_;
  std::vector<HostState> hosts_;
  std::vector<Driver> drivers_;
  std::unordered_map<NodeId, Host> by_id_;
  std::vector<Host> by_address_;
  EventQueue<Event> queue_;
  std::vector<Delivery> deliveries_;
  std::vector<std::uint32_t> free_deliveries_;
  std::vector<std::function<void()>> actions_;
  std::map<Network::RuleId, Hosts> cut_off_;  // By each cut.
  SwimOutbox outbox_;
  Micros now_{};
  std::uint64_t trace_ = 0;
  std::uint64_t events_ = 0;
  std::map<std::tuple<Host, Generation, Incarnation>, Micros> false_failures_;
  std::optional<std::string> violation_;
};

}  // namespace knit::swim_sim
