#include "network.h"

#include <cmath>

namespace knit::swim_sim {

namespace {

constexpr std::size_t drawn_delays = 1 << 14;
constexpr Micros retransmission{200'000};
constexpr int retransmissions_max = 5;
constexpr std::uint8_t sends = 1;
constexpr std::uint8_t receives = 2;

void mark(std::vector<std::uint8_t>& sides, const Hosts& hosts, std::uint8_t side) {
  for (const Host host : hosts) {
    if (host >= sides.size()) sides.resize(host + 1);
    sides[host] |= side;
  }
}

}  // namespace

Network::Network(Latency latency, std::uint64_t seed) : random_(seed) { set_latency(latency); }

void Network::set_latency(Latency latency) {
  std::lognormal_distribution<double> draw(std::log(static_cast<double>(latency.median.count())),
                                           latency.spread);
  delays_.resize(drawn_delays);
  for (Micros& each : delays_) each = Micros(static_cast<Micros::rep>(draw(random_)) + 1);
}

Network::RuleId Network::add(const Rule& rule) {
  ActiveRule active{rule.fault, rule.share, rule.both_ways, {}};
  if (!rule.from.empty()) {
    mark(active.sides, rule.from, sends);
    mark(active.sides, rule.to, receives);
  }
  rules_.emplace(next_rule_, std::move(active));
  return next_rule_++;
}

bool Network::ActiveRule::concerns(Host from, Host to) const {
  if (sides.empty()) return true;
  const auto is = [&](Host host, std::uint8_t side) {
    return host < sides.size() && (sides[host] & side) != 0;
  };
  return (is(from, sends) && is(to, receives)) || (both_ways && is(to, sends) && is(from, receives));
}

bool Network::happens(Fault fault, Host from, Host to) {
  for (const auto& [id, rule] : rules_) {
    if (rule.fault != fault || !rule.concerns(from, to)) continue;
    if (rule.share >= 1 || static_cast<double>(random_() >> 11) < rule.share * 0x1p53) return true;
  }
  return false;
}

bool Network::reaches(Host from, Host to) const {
  for (const auto& [id, rule] : rules_) {
    if (rule.fault == Fault::cut && rule.concerns(from, to)) return false;
  }
  return true;
}

Micros Network::delay() { return delays_[random_() % drawn_delays]; }

Network::Fate Network::fate(Host from, Host to) {
  if (!reaches(from, to) || happens(Fault::loss, from, to)) return {};
  Fate fate{1, {delay(), Micros{}}};
  if (happens(Fault::reordering, from, to)) fate.delays[0] += 5 * delay() + Micros(random_() % 50'000);
  if (happens(Fault::duplication, from, to)) fate.delays[fate.copies++] = 5 * delay();
  return fate;
}

Micros Network::delay_of_stream(Host from, Host to) {
  Micros sum = delay();
  for (int i = 0; i < retransmissions_max && happens(Fault::loss, from, to); ++i)
    sum += retransmission * (1 << i);
  return sum;
}

}  // namespace knit::swim_sim
