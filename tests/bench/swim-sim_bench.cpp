// Membership of many nodes in virtual time: how soon all know of a failure, of a join, of a change; what it
// costs at rest; who is taken for dead wrongly; and how soon a cut heals. Usage: bench_swim-sim [SIZE ...]
#include <algorithm>
#include <cstdlib>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "report.h"
#include "sim/swim/world.h"

using namespace knit;
using namespace knit::swim_sim;
using namespace std::chrono_literals;

namespace {

using Series = std::vector<double>;

double seconds(Micros time) { return static_cast<double>(time.count()) / 1e6; }

// A cluster whose members know each other, or do not yet.
struct Crowd {
  Crowd(std::size_t size, std::uint64_t seed, bool known = true) : world(options(seed)) {
    for (std::size_t i = 0; i < size; ++i) all.push_back(world.add_host());
    if (known) world.start_known(all);
  }
  static WorldOptions options(std::uint64_t seed) {
    WorldOptions out;
    out.seed = seed;
    out.audit = false;
    return out;
  }
  // How long it takes until that is so; a minute and a half if it takes longer.
  double until(const std::function<bool()>& fact, Micros step = 10ms) {
    const Micros begun = world.now();
    world.run_until_true(fact, begun + 90s, step);
    return seconds(world.now() - begun);
  }

  World world;
  Hosts all;
};

struct Bench {
  std::size_t size{};

  void say(const std::string& metric, double value, const char* unit,
           std::optional<double> at_most = {}) const {
    std::string where = "\"nodes\":" + std::to_string(size);
    if (at_most) {
      where +=
          ",\"at_most\":" + std::to_string(*at_most) + ",\"met\":" + (value <= *at_most ? "true" : "false");
    }
    bench::report("swim-sim", where, metric.c_str(), value, unit);
  }

  // `share`: of the values are not above what the goal is for; 1: the worst is meant.
  void tell(const std::string& metric, Series values, const char* unit, double share, double goal) const {
    std::sort(values.begin(), values.end());
    const auto at =
        std::min(values.size() - 1, static_cast<std::size_t>(share * static_cast<double>(values.size())));
    say(metric + "_median", values[values.size() / 2], unit);
    say(metric + (share < 1 ? "_p99" : "_worst"), values[at], unit, goal);
    say(metric + "_runs", static_cast<double>(values.size()), "runs");
  }

  void failures(std::size_t runs, double goal) const {
    Crowd crowd(size, 1);
    crowd.world.run_until(5s);
    Series took;
    for (std::size_t i = 0; i < runs; ++i) {
      const Host victim = static_cast<Host>((i * 7 + 3) % size);
      crowd.world.run_for(Micros(1000 * static_cast<std::int64_t>(i * 137 % 500)));
      crowd.world.crash(victim);
      took.push_back(crowd.until([&] { return crowd.world.all_know(victim, MemberState::dead); }));
      crowd.world.start(victim);
      crowd.world.run_for(4s);
    }
    tell("failure_known", took, "s", 0.99, goal);
  }

  void joins(std::size_t runs, double goal) const {
    Series took;
    for (std::size_t i = 0; i < runs; ++i) {
      Crowd crowd(size, 1 + i, false);
      for (const Host host : crowd.all) crowd.world.start(host);
      took.push_back(crowd.until([&] { return crowd.world.all_know_each_other(); }, 20ms));
    }
    tell("all_joined", took, "s", 1, goal);
  }

  void rest() const {
    Crowd crowd(size, 1);
    crowd.world.run_until(10s);
    std::uint64_t packets = 0, bytes = 0;
    const auto count = [&] {
      packets = bytes = 0;
      for (const Host host : crowd.all) packets += crowd.world.host(host).datagrams;
      for (const Host host : crowd.all) bytes += crowd.world.host(host).bytes;
    };
    count();
    const std::uint64_t packets_before = packets, bytes_before = bytes;
    crowd.world.run_for(20s);
    count();
    const double each = 1.0 / 20 / static_cast<double>(size);
    say("rest_packets", static_cast<double>(packets - packets_before) * each, "packets/s sent a node");
    say("rest_bytes", static_cast<double>(bytes - bytes_before) * each, "B/s sent a node", 250);
  }

  void loss(double share, double goal) const {
    Series wrong;
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
      Crowd crowd(size, seed);
      crowd.world.run_until(5s);
      crowd.world.add_rule({Network::Fault::loss, share, {}, {}, true});
      crowd.world.run_for(120s);
      wrong.push_back(static_cast<double>(crowd.world.false_failures()));
    }
    tell("false_failures_at_loss_" + std::to_string(static_cast<int>(share * 100)), wrong, "members", 1,
         goal);
  }

  void pauses() const {
    Series wrong;
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
      Crowd crowd(size, seed);
      crowd.world.run_until(5s);
      for (int round = 0; round < 13; ++round) {
        for (Host host = 0; host < 5; ++host) crowd.world.pause(host);
        crowd.world.run_for(8s);
        for (Host host = 0; host < 5; ++host) crowd.world.resume(host);
        crowd.world.run_for(1s);
      }
      wrong.push_back(static_cast<double>(crowd.world.false_failures()));
    }
    tell("false_failures_beside_paused", wrong, "members", 1, 0);
  }

  void tags() const {
    Crowd crowd(size, 1);
    crowd.world.run_until(5s);
    Series took;
    for (std::size_t i = 0; i < 100; ++i) {
      const Host host = static_cast<Host>((i * 7 + 3) % size);
      crowd.world.run_for(Micros(1000 * static_cast<std::int64_t>(i * 137 % 500)));
      crowd.world.set_tag(host, "zone", std::to_string(i));
      took.push_back(crowd.until([&] { return crowd.world.all_know_newest(host); }, 1ms));
      crowd.world.run_for(2s);
    }
    tell("tags_known", took, "s", 1, 1.5);
  }

  void cut(Micros lasting, std::size_t runs) const {
    Series took;
    for (std::size_t i = 0; i < runs; ++i) {
      Crowd crowd(size, 1 + i);
      crowd.world.run_until(5s);
      Hosts one, other;
      for (const Host host : crowd.all) (host < size / 2 ? one : other).push_back(host);
      const auto rule = crowd.world.add_rule({Network::Fault::cut, 1, one, other, true});
      crowd.world.run_for(lasting);
      crowd.world.remove_rule(rule);
      took.push_back(crowd.until(
          [&] { return crowd.world.all_know_each_other() && crowd.world.all_lists_equal(); }, 20ms));
    }
    tell("cut_of_an_hour_heals", took, "s", 1, 15);
  }
};

void measure(std::size_t size) {
  const Bench bench{size};
  const bool large = size > 1000;
  bench.rest();
  bench.failures(large ? 5 : size > 100 ? 50 : 200, large ? 5.5 : 5);
  bench.joins(large ? 1 : size > 100 ? 5 : 20, large ? 5 : size > 100 ? 3 : 2);
  if (size == 50) {
    bench.tags();
    bench.loss(0.10, 0);
    bench.loss(0.25, 1);
    bench.loss(0.40, 10);
    bench.pauses();
  } else if (!large) {
    bench.cut(1h, size > 100 ? 1 : 3);
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::size_t> sizes;
  for (int i = 1; i < argc; ++i) sizes.push_back(std::strtoull(argv[i], nullptr, 10));
  if (sizes.empty()) sizes = {50, 100, 1000, 10'000};
  for (const std::size_t size : sizes) measure(size);
}
