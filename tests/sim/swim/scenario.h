// A history of faults and what must come of it, as a text file says. It names nothing of the simulator, so
// that the same file can be played on real daemons. docs/simulator.md describes the language.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "event_queue.h"
#include "network.h"

namespace knit::swim_sim {

// `at TIME VERB ...`.
struct Action {
  enum class Verb : std::uint8_t {
    kill,
    start,
    restart,
    leave,
    forget,
    pause,
    slow,
    tag,
    move,
    skew,
    loss,
    duplicate,
    reorder,
    cut,
    heal,
    latency
  };
  int line{};
  Verb verb{};
  Micros at{};
  std::optional<Micros> lasts;  // `for`; then it is undone.
  std::optional<Micros> every;  // Repeated so often within `lasts`; one occurrence takes `amount`.
  Hosts hosts;                  // From 0 on. Empty: everybody.
  Hosts others;                 // The other side of a cut or loss, or who forgets.
  bool both_ways = true;
  double share{};   // Of packets.
  Micros amount{};  // How long, how slow or how far off.
  double spread{};
  std::string tag, value;

  Micros end() const { return at + lasts.value_or(verb == Verb::pause ? amount : Micros{0}); }
};

// `expect FACT`: with `within` it must come true that soon after the end of the action above it, else it is a
// number of the whole run that is bounded.
struct Expectation {
  enum class Fact : std::uint8_t {
    known_alive,
    known_failed,
    known_left,
    known_forgotten,
    known_tag,
    converged,
    false_failures
  };
  int line{};
  Fact fact{};
  Micros from{};
  Micros within{};
  Hosts hosts;
  std::string tag, value;
  std::size_t most{};
};

// As the language has them.
std::string_view name(Action::Verb verb);
std::string_view name(Expectation::Fact fact);

struct Scenario {
  std::string file;
  std::size_t members{};  // Who run and know each other at the beginning.
  Hosts seeds{0};         // Whom newcomers ask.
  Latency latency;
  Micros run{};  // At least.
  std::vector<Action> actions;
  std::vector<Expectation> expectations;

  std::size_t hosts_needed() const;  // The members, and those that start later.
  Micros end() const;                // When nothing is done any more.
};

// bad_input, beginning with file:line.
Result<Scenario> parse_scenario(const std::string& file, std::string_view text);
// io, if it cannot be read.
Result<Scenario> load_scenario(const std::string& file);

}  // namespace knit::swim_sim
