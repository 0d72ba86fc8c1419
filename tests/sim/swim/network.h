// What becomes of a datagram, and whether two hosts can reach each other. Hosts are numbers from 0 on.
#pragma once

#include <cstdint>
#include <map>
#include <random>
#include <vector>

#include "event_queue.h"

namespace knit::swim_sim {

using Host = std::uint32_t;
using Hosts = std::vector<Host>;

// Of one way, lognormal: half of the packets take less than the median; `spread` is the standard deviation of
// the logarithm.
struct Latency {
  Micros median{500};
  double spread = 0.4;
};

class Network {
 public:
  enum class Fault : std::uint8_t { loss, duplication, reordering, cut };
  struct Rule {
    Fault fault{};
    double share = 1;  // Of the packets.
    Hosts from;        // Empty: everybody.
    Hosts to;
    bool both_ways = true;
  };
  using RuleId = std::uint32_t;

  Network(Latency latency, std::uint64_t seed);

  void set_latency(Latency latency);
  RuleId add(const Rule& rule);
  void remove(RuleId id) { rules_.erase(id); }
  void clear() { rules_.clear(); }

  // When each copy arrives from now on: none if it is lost. At most two.
  struct Fate {
    std::size_t copies{};
    Micros delays[2];
  };
  Fate fate(Host from, Host to);
  Micros delay();
  // In order and repeated until it is there: what is lost costs a time-out.
  Micros delay_of_stream(Host from, Host to);
  // Nothing cuts this direction.
  bool reaches(Host from, Host to) const;

 private:
  struct ActiveRule {
    Fault fault{};
    double share{};
    bool both_ways{};
    std::vector<std::uint8_t> sides;  // By host: bit 0 if it sends, bit 1 if it receives. Empty: all do.
    bool concerns(Host from, Host to) const;
  };
  bool happens(Fault fault, Host from, Host to);

  std::mt19937_64 random_;
  std::vector<Micros> delays_;  // Drawn once; each packet takes one of them.
  std::map<RuleId, ActiveRule> rules_;
  RuleId next_rule_ = 0;
};

}  // namespace knit::swim_sim
