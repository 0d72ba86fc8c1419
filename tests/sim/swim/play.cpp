#include "play.h"

#include <algorithm>

namespace knit::swim_sim {

namespace {

using Verb = Action::Verb;
using Fact = Expectation::Fact;

constexpr std::size_t audited_most = 200;
constexpr Micros look_interval{10'000};

WorldOptions options_of(const Scenario& scenario, std::uint64_t seed) {
  WorldOptions options;
  options.seed = seed;
  options.latency = scenario.latency;
  options.seeds = scenario.seeds;
  options.audit = scenario.hosts_needed() <= audited_most;
  return options;
}

class Player {
 public:
  Player(const Scenario& scenario, std::uint64_t seed)
      : scenario_(scenario), world_(options_of(scenario, seed)), settled_(scenario.expectations.size()) {
    Hosts members;
    for (std::size_t i = 0; i < scenario.hosts_needed(); ++i) world_.add_host();
    for (std::size_t i = 0; i < scenario.members; ++i) members.push_back(static_cast<Host>(i));
    world_.start_known(members);
    for (const Action& action : scenario.actions) world_.at(action.at, [this, &action] { act(action); });
  }

  Played run() {
    while (const auto next = next_look()) {
      world_.run_until(*next);
      look();
    }
    world_.run_until(std::max(scenario_.end(), world_.now()));
    for (const Expectation& each : scenario_.expectations) {
      if (each.fact == Fact::false_failures) count_false_failures(each);
    }
    if (world_.violation()) played_.failures.push_back(scenario_.file + ":1: " + *world_.violation());
    played_.trace_hash = world_.trace_hash();
    played_.events = world_.events();
    return played_;
  }

 private:
  void act(const Action& action);
  void act_on(Host host, const Action& action);
  void pause_all(const Action& action, Micros until);
  void lose(const Action& action, Network::Fault fault);
  std::optional<Micros> next_look() const;
  void look();
  bool holds(const Expectation& expectation) const;
  void count_false_failures(const Expectation& expectation);
  void fail(int line, const std::string& why) {
    played_.failures.push_back(scenario_.file + ":" + std::to_string(line) + ": " + why);
  }

  const Scenario& scenario_;
  World world_;
  std::vector<bool> settled_;
  Played played_;
};

void Player::act(const Action& action) {
  switch (action.verb) {
    case Verb::loss: return lose(action, Network::Fault::loss);
    case Verb::duplicate: return lose(action, Network::Fault::duplication);
    case Verb::reorder: return lose(action, Network::Fault::reordering);
    case Verb::cut: return lose(action, Network::Fault::cut);
    case Verb::heal: return world_.heal();
    case Verb::latency: return world_.set_latency({action.amount, action.spread});
    case Verb::pause: return pause_all(action, action.at + action.lasts.value_or(Micros{0}));
    case Verb::forget:
      for (const Host host : action.hosts) {
        if (!world_.forget(host, action.others.front())) fail(action.line, "it was refused");
      }
      return;
    default:
      for (const Host host : action.hosts) act_on(host, action);
  }
}

void Player::act_on(Host host, const Action& action) {
  switch (action.verb) {
    case Verb::kill: return world_.crash(host);
    case Verb::start: return world_.start(host);
    case Verb::restart: world_.crash(host); return world_.start(host);
    case Verb::leave: return world_.leave(host);
    case Verb::tag: return world_.set_tag(host, action.tag, action.value);
    case Verb::move:
      world_.crash(host);
      world_.move(host);
      return world_.start(host);
    case Verb::skew: return world_.set_wall_skew(host, std::chrono::duration_cast<Millis>(action.amount));
    case Verb::slow:
      world_.set_slowness(host, action.amount);
      if (action.lasts) {
        world_.at(world_.now() + *action.lasts, [this, host] { world_.set_slowness(host, Micros{0}); });
      }
      return;
    default: return;
  }
}

void Player::pause_all(const Action& action, Micros until) {
  for (const Host host : action.hosts) world_.pause(host);
  world_.at(world_.now() + action.amount, [this, &action] {
    for (const Host host : action.hosts) world_.resume(host);
  });
  if (!action.every || world_.now() + *action.every >= until) return;
  world_.at(world_.now() + *action.every, [this, &action, until] { pause_all(action, until); });
}

void Player::lose(const Action& action, Network::Fault fault) {
  const double share = fault == Network::Fault::cut ? 1 : action.share;
  const auto rule = world_.add_rule({fault, share, action.hosts, action.others, action.both_ways});
  if (action.lasts) world_.at(world_.now() + *action.lasts, [this, rule] { world_.remove_rule(rule); });
}

// The next moment at which an expectation that is not settled may be looked at.
std::optional<Micros> Player::next_look() const {
  std::optional<Micros> next;
  for (std::size_t i = 0; i < settled_.size(); ++i) {
    const Expectation& each = scenario_.expectations[i];
    if (settled_[i] || each.fact == Fact::false_failures) continue;
    const Micros at = std::max(each.from, world_.now() + look_interval);
    next = next ? std::min(*next, at) : at;
  }
  return next;
}

void Player::look() {
  for (std::size_t i = 0; i < settled_.size(); ++i) {
    const Expectation& each = scenario_.expectations[i];
    if (settled_[i] || each.fact == Fact::false_failures || world_.now() < each.from) continue;
    const bool over = world_.now() > each.from + each.within;
    if (over) fail(each.line, "this did not come true in time");
    settled_[i] = over || holds(each);
  }
}

bool Player::holds(const Expectation& expectation) const {
  if (expectation.fact == Fact::converged) return world_.all_lists_equal() && world_.all_know_each_other();
  const auto known = [&](MemberState state) {
    return std::all_of(expectation.hosts.begin(), expectation.hosts.end(),
                       [&](Host host) { return world_.all_know(host, state); });
  };
  switch (expectation.fact) {
    case Fact::known_alive: return known(MemberState::alive);
    case Fact::known_failed: return known(MemberState::dead);
    case Fact::known_left: return known(MemberState::left);
    case Fact::known_forgotten: return known(MemberState::forgotten);
    default: break;
  }
  return std::all_of(expectation.hosts.begin(), expectation.hosts.end(), [&](Host host) {
    const auto& tags = world_.host(host).profile.tags;
    const auto tag = tags.find(expectation.tag);
    return tag != tags.end() && tag->second == expectation.value && world_.all_know_newest(host);
  });
}

void Player::count_false_failures(const Expectation& expectation) {
  std::size_t count = 0;
  for (const auto& [what, when] : world_.false_failure_list()) {
    const auto& of = expectation.hosts;
    count += of.empty() || std::find(of.begin(), of.end(), std::get<Host>(what)) != of.end() ? 1 : 0;
  }
  if (count > expectation.most) fail(expectation.line, std::to_string(count) + " false failures");
}

}  // namespace

Played play(const Scenario& scenario, std::uint64_t seed) { return Player(scenario, seed).run(); }

}  // namespace knit::swim_sim
