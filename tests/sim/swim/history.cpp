#include "history.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <random>

namespace knit::swim_sim {

namespace {

using namespace std::chrono_literals;

constexpr Micros settling = 90s;
constexpr std::size_t hosts_max = 60;

class History {
 public:
  explicit History(std::uint64_t seed)
      : seed_(seed), random_(seed), world_(options_of(seed)), members_(5 + random(46)) {
    Hosts members;
    for (std::size_t i = 0; i < members_; ++i) members.push_back(world_.add_host());
    if (random(2) == 0) {
      world_.start_known(members);
    } else {
      for (const Host host : members) world_.start(host);
    }
  }

  Played run() {
    const std::size_t steps = 20 + random(60);
    for (std::size_t i = 0; i < steps; ++i) {
      world_.run_for(Micros(random(1'500'000)));
      step();
    }
    world_.heal();
    for (const Host host : resting()) {
      if (random(2) == 0) world_.start(host, random_return());
    }
    const bool right = world_.run_until_true([&] { return wrong().empty(); }, world_.now() + settling, 200ms);
    Played out;
    if (!right) fail(out, wrong());
    world_.run_for(5s);
    if (right && !wrong().empty()) fail(out, "after it was right: " + wrong());
    if (world_.violation()) fail(out, *world_.violation());
    for (Host host = 0; host < world_.size(); ++host) {
      if (is_running(host) && world_.host(host).swim->counters().bad_packets > 0)
        fail(out, "a packet was bad");
    }
    out.trace_hash = world_.trace_hash();
    out.events = world_.events();
    return out;
  }

 private:
  static WorldOptions options_of(std::uint64_t seed) {
    WorldOptions options;
    options.seed = seed;
    options.links_most = seed % 3 == 0 ? 4 : 64;
    options.seeds = seed % 5 < 2 ? Hosts{0, 1} : Hosts{0, 1, 2};
    constexpr Latency latencies[] = {{500us, 0.4}, {10ms, 0.5}, {80ms, 0.5}};
    options.latency = latencies[seed % 7 == 0 ? 2 : seed % 2];
    return options;
  }

  std::size_t random(std::size_t below) { return random_() % below; }
  Host any() { return static_cast<Host>(random(world_.size())); }
  bool is_running(Host host) const { return world_.host(host).life == Life::running; }
  Returns random_return() { return random(3) == 0 ? Returns::without_list : Returns::with_list; }
  Micros random_time(Micros most) { return Micros(random(static_cast<std::size_t>(most.count())) + 1); }
  Hosts resting() const {
    Hosts out;
    for (Host host = 0; host < world_.size(); ++host) {
      if (!is_running(host) && !forgotten_.contains(host)) out.push_back(host);
    }
    return out;
  }
  Hosts some() {
    Hosts out;
    for (Host host = 0; host < world_.size(); ++host) {
      if (random(2) == 0) out.push_back(host);
    }
    if (out.empty()) out.push_back(any());
    return out;
  }
  Hosts all_but(const Hosts& hosts) const {
    Hosts out;
    for (Host host = 0; host < world_.size(); ++host) {
      if (std::find(hosts.begin(), hosts.end(), host) == hosts.end()) out.push_back(host);
    }
    return out;
  }

  void step();
  void disturb(const Network::Rule& rule);
  void cut();
  void start_again(Host host);
  void forget(Host host);
  std::string wrong() const;
  std::string wrong_of(Host by, Host subject) const;
  static void fail(Played& out, const std::string& why) { out.failures.push_back(why); }

  std::uint64_t seed_;
  std::mt19937_64 random_;
  World world_;
  std::size_t members_;
  std::map<Host, Generation> forgotten_;
};

void History::disturb(const Network::Rule& rule) {
  const auto id = world_.add_rule(rule);
  world_.at(world_.now() + random_time(20s), [this, id] { world_.remove_rule(id); });
}

void History::cut() {
  const Hosts one = random(2) == 0 ? Hosts{any()} : some();
  const Hosts other = random(3) == 0 ? Hosts{any()} : all_but(one);
  if (!other.empty()) disturb({Network::Fault::cut, 1, one, other, random(3) != 0});
}

void History::start_again(Host host) {
  if (is_running(host)) return;
  if (random(8) == 0) world_.move(host);
  if (random(8) == 0) world_.set_generation(host, {random(3)});  // It has lost what it knew of its past.
  world_.start(host, random_return());
}

// By somebody who thinks that it is gone.
void History::forget(Host host) {
  const Host by = any();
  if (is_running(host) || !is_running(by)) return;
  world_.forget(host, by);
}

void History::step() {
  const Host host = any();
  switch (random(14)) {
    case 0:
    case 1: return world_.crash(host);
    case 2:
    case 3:
    case 4: return start_again(host);
    case 5: return random(3) == 0 ? world_.leave(host) : void();
    case 6: return forget(host);
    case 7:
      world_.pause(host);
      return world_.at(world_.now() + random_time(15s), [this, host] { world_.resume(host); });
    case 8:
      world_.set_slowness(host, random_time(400ms));
      return world_.at(world_.now() + random_time(10s), [this, host] { world_.set_slowness(host, 0us); });
    case 9:
      world_.set_wall_skew(host, Millis(static_cast<Millis::rep>(random(7'200'000)) - 3'600'000));
      return world_.set_tag(host, "zone", "eu" + std::to_string(random(9)));
    case 10: return disturb({Network::Fault::loss, 0.1 * static_cast<double>(1 + random(7)), {}, {}, true});
    case 11:
      disturb({Network::Fault::duplication, 0.2, {}, {}, true});
      return disturb({Network::Fault::reordering, 0.3, {}, {}, true});
    case 12: return cut();
    default:
      if (world_.size() < hosts_max) world_.start(world_.add_host());
  }
}

// What the first list says that is not so; empty if all is well.
std::string History::wrong() const {
  const Hosts all = world_.running();
  if (all.empty()) return "";
  if (!world_.all_lists_equal()) return "lists differ";
  for (Host subject = 0; subject < world_.size(); ++subject) {
    const std::string found = wrong_of(all.front(), subject);
    if (!found.empty()) return found;
  }
  return "";
}

std::string History::wrong_of(Host by, Host subject) const {
  const HostState& state = world_.host(subject);
  const Member* member = world_.host(by).swim->members().find(state.id);
  const std::string said = state.profile.name + " is thought to be " +
                           (member == nullptr ? "unknown" : std::string(name(member->state)));
  if (state.life == Life::running) {
    const bool right = member != nullptr && digest_of(*member) == digest_of(state.swim->self());
    return right ? "" : said + ", and runs";
  }
  // A life of which nobody heard, or heard the end, is one that did not end so.
  if (member == nullptr) return "";
  return member->is_present() ? said + ", and does not run" : "";
}

}  // namespace

Played run_history(std::uint64_t seed) { return History(seed).run(); }

}  // namespace knit::swim_sim
