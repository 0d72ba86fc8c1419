#include "scenario.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>

namespace knit::swim_sim {

namespace {

constexpr std::size_t hosts_max = 10'000;

using Verb = Action::Verb;
using Fact = Expectation::Fact;

template <class T>
struct Name {
  std::string_view text;
  T value;
};

constexpr Name<Verb> verbs[] = {
    {"kill", Verb::kill},       {"start", Verb::start},   {"restart", Verb::restart},
    {"leave", Verb::leave},     {"forget", Verb::forget}, {"pause", Verb::pause},
    {"slow", Verb::slow},       {"tag", Verb::tag},       {"move", Verb::move},
    {"skew", Verb::skew},       {"loss", Verb::loss},     {"duplicate", Verb::duplicate},
    {"reorder", Verb::reorder}, {"cut", Verb::cut},       {"heal", Verb::heal},
    {"latency", Verb::latency},
};

constexpr Name<Fact> facts[] = {
    {"known_alive", Fact::known_alive},       {"known_failed", Fact::known_failed},
    {"known_left", Fact::known_left},         {"known_forgotten", Fact::known_forgotten},
    {"known_tag", Fact::known_tag},           {"converged", Fact::converged},
    {"false_failures", Fact::false_failures},
};

// Words of one line, taken one after the other. The first thing that is wrong is kept.
class Line {
 public:
  explicit Line(std::string_view text) : words_(std::string(text.substr(0, text.find('#')))) { advance(); }

  bool done() const { return word_.empty() || !wrong_.empty(); }
  const std::string& wrong() const { return wrong_; }
  bool next_is(std::string_view word) const { return word_ == word; }
  bool take(std::string_view word) {
    if (word_ != word) return false;
    advance();
    return true;
  }
  void need(std::string_view word) {
    if (!take(word)) fail("'" + std::string(word) + "' is wanted here");
  }
  std::string word(std::string_view what) {
    if (word_.empty()) fail(std::string(what) + " is missing");
    std::string taken = word_;
    advance();
    return taken;
  }
  double number(std::string_view what, std::string_view unit) {
    const std::string text = word(what);
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || std::string_view(end) != unit) {
      fail(std::string(what) + " is a number" + (unit.empty() ? "" : " with " + std::string(unit)) +
           ", not '" + text + "'");
    }
    return value;
  }
  std::size_t count(std::string_view what, std::size_t most) {
    const double value = number(what, "");
    const bool fits =
        value >= 0 && value <= static_cast<double>(most) && value == static_cast<std::size_t>(value);
    if (!fits) fail(std::string(what) + " is a whole number up to " + std::to_string(most));
    return fits ? static_cast<std::size_t>(value) : 0;
  }
  double share() {
    const double percent = number("a share", "%");
    if (percent < 0 || percent > 100) fail("a share is 0% to 100%");
    return percent / 100;
  }
  Micros duration(std::string_view what) {
    const std::string text = word(what);
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
    const double micros = unit == "us"   ? 1
                          : unit == "ms" ? 1e3
                          : unit == "s"  ? 1e6
                          : unit == "m"  ? 6e7
                                         : 3.6e9;
    const bool known = unit == "us" || unit == "ms" || unit == "s" || unit == "m" || unit == "h";
    if (error != std::errc() || !known || value * micros > 1e13) {
      fail(std::string(what) + " is a number with us, ms, s, m or h, not '" + text + "'");
      return {};
    }
    return Micros(static_cast<Micros::rep>(value * micros));
  }
  // 7 or {1-5,9}; numbers begin at 1.
  Hosts hosts() {
    const std::string text = word("a set of nodes");
    std::string_view rest = text;
    if (rest.size() > 2 && rest.front() == '{' && rest.back() == '}') rest = rest.substr(1, rest.size() - 2);
    Hosts out;
    while (!rest.empty() && wrong_.empty()) {
      const std::size_t comma = std::min(rest.find(','), rest.size());
      add_range(rest.substr(0, comma), text, out);
      rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
    return out;
  }
  bool hosts_follow() const {
    return !word_.empty() && (word_[0] == '{' || (word_[0] >= '0' && word_[0] <= '9'));
  }
  void fail(const std::string& why) {
    if (wrong_.empty()) wrong_ = why;
  }

 private:
  void advance() {
    word_.clear();
    words_ >> word_;
  }
  void add_range(std::string_view range, const std::string& text, Hosts& out) {
    std::size_t first = 0, last = 0;
    auto [end, error] = std::from_chars(range.data(), range.data() + range.size(), first);
    last = first;
    if (error == std::errc() && end != range.data() + range.size() && *end == '-') {
      std::tie(end, error) = as_pair(std::from_chars(end + 1, range.data() + range.size(), last));
    }
    const bool whole = error == std::errc() && end == range.data() + range.size();
    if (!whole || first == 0 || last < first || last > hosts_max) {
      return fail("a set of nodes is a number or like {1-5,9}, within 1 to " + std::to_string(hosts_max) +
                  ", not '" + text + "'");
    }
    for (std::size_t i = first; i <= last; ++i) out.push_back(static_cast<Host>(i - 1));
  }
  static std::pair<const char*, std::errc> as_pair(std::from_chars_result result) {
    return {result.ptr, result.ec};
  }

  std::istringstream words_;
  std::string word_;
  std::string wrong_;
};

template <class T, std::size_t N>
T one_of(const Name<T> (&names)[N], Line& line, std::string_view what) {
  const std::string word = line.word(what);
  const auto found =
      std::find_if(std::begin(names), std::end(names), [&](const auto& n) { return n.text == word; });
  if (found != std::end(names)) return found->value;
  line.fail("there is no " + std::string(what) + " '" + word + "'");
  return {};
}

template <class T, std::size_t N>
std::string_view name_in(const Name<T> (&names)[N], T value) {
  return std::find_if(std::begin(names), std::end(names), [&](const auto& n) { return n.value == value; })
      ->text;
}

void parse_tag(Line& line, std::string& tag, std::string& value) {
  const std::string text = line.word("a tag");
  const std::size_t equals = text.find('=');
  if (equals == 0 || equals == std::string::npos)
    return line.fail("a tag is like zone=eu1, not '" + text + "'");
  tag = text.substr(0, equals);
  value = text.substr(equals + 1);
}

void parse_sides(Line& line, Action& action) {
  action.hosts = line.hosts();
  action.both_ways = !line.take("->");
  action.others = line.hosts();
}

void parse_operands(Line& line, Action& action) {
  switch (action.verb) {
    case Verb::kill:
    case Verb::start:
    case Verb::restart:
    case Verb::leave:
    case Verb::move: action.hosts = line.hosts(); return;
    case Verb::forget:
      action.hosts = line.hosts();
      line.need("on");
      action.others = line.hosts();
      return;
    case Verb::pause:
    case Verb::slow:
      action.hosts = line.hosts();
      action.amount = line.duration("a time");
      return;
    case Verb::skew: {
      action.hosts = line.hosts();
      const bool back = line.take("back");
      action.amount = line.duration("a time") * (back ? -1 : 1);
      return;
    }
    case Verb::tag: action.hosts = line.hosts(); return parse_tag(line, action.tag, action.value);
    case Verb::loss:
    case Verb::duplicate:
    case Verb::reorder:
      action.share = line.share();
      if (line.hosts_follow()) parse_sides(line, action);
      return;
    case Verb::cut: return parse_sides(line, action);
    case Verb::heal: return;
    case Verb::latency:
      action.amount = line.duration("a time");
      action.spread = line.take("spread") ? line.number("a spread", "") : 0.4;
      return;
  }
}

bool may_last(Verb verb) {
  switch (verb) {
    case Verb::pause:
    case Verb::slow:
    case Verb::loss:
    case Verb::duplicate:
    case Verb::reorder:
    case Verb::cut: return true;
    default: return false;
  }
}

Action parse_action(Line& line) {
  Action action;
  action.at = line.duration("a time");
  action.verb = one_of(verbs, line, "action");
  parse_operands(line, action);
  if (action.verb == Verb::pause && line.take("every")) {
    action.every = line.duration("a time");
    if (*action.every <= action.amount) line.fail("a pause must end before the next one");
    if (!line.next_is("for")) line.fail("'for' is missing: how long it is repeated");
  }
  if (line.next_is("for") && (!may_last(action.verb) || (action.verb == Verb::pause && !action.every))) {
    line.fail("this action does not last");
  }
  if (line.take("for")) action.lasts = line.duration("a time");
  return action;
}

Expectation parse_expectation(Line& line) {
  Expectation expectation;
  expectation.fact = one_of(facts, line, "fact");
  if (expectation.fact == Fact::false_failures) {
    if (line.take("of")) expectation.hosts = line.hosts();
    line.need("<=");
    expectation.most = line.count("a bound", hosts_max);
    return expectation;
  }
  if (expectation.fact != Fact::converged) expectation.hosts = line.hosts();
  if (expectation.fact == Fact::known_tag) parse_tag(line, expectation.tag, expectation.value);
  line.need("within");
  expectation.within = line.duration("a time");
  return expectation;
}

void parse_line(Line& line, int number, Scenario& scenario) {
  const auto keyword = line.word("a keyword");
  if (keyword == "members") {
    scenario.members = line.count("the number of members", hosts_max);
  } else if (keyword == "seeds") {
    scenario.seeds = line.hosts();
  } else if (keyword == "latency") {
    scenario.latency.median = line.duration("a time");
    if (line.take("spread")) scenario.latency.spread = line.number("a spread", "");
  } else if (keyword == "run") {
    scenario.run = line.duration("a time");
  } else if (keyword == "at") {
    scenario.actions.push_back(parse_action(line));
    scenario.actions.back().line = number;
  } else if (keyword == "expect") {
    scenario.expectations.push_back(parse_expectation(line));
    scenario.expectations.back().line = number;
    if (!scenario.actions.empty()) scenario.expectations.back().from = scenario.actions.back().end();
  } else {
    line.fail("a line begins with members, seeds, latency, run, at or expect, not with '" + keyword + "'");
  }
  if (!line.done()) line.fail("'" + line.word("") + "' is too much here");
}

}  // namespace

std::string_view name(Verb verb) { return name_in(verbs, verb); }
std::string_view name(Fact fact) { return name_in(facts, fact); }

std::size_t Scenario::hosts_needed() const {
  std::size_t most = members;
  for (const Action& action : actions) {
    for (const Hosts* hosts : {&action.hosts, &action.others}) {
      for (const Host host : *hosts) most = std::max<std::size_t>(most, host + 1);
    }
  }
  return most;
}

Micros Scenario::end() const {
  Micros last = run;
  for (const Action& action : actions) last = std::max(last, action.end());
  return last;
}

Result<Scenario> parse_scenario(const std::string& file, std::string_view text) {
  Scenario scenario;
  scenario.file = file;
  const auto wrong = [&](int number, const std::string& why) {
    return fail(ErrorCode::bad_input, file + ":" + std::to_string(number) + ": " + why);
  };
  for (int number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    Line line(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.done()) continue;
    parse_line(line, number, scenario);
    if (!line.wrong().empty()) return wrong(number, line.wrong());
  }
  for (const Expectation& expectation : scenario.expectations) {
    for (const Host host : expectation.hosts) {
      if (host < scenario.hosts_needed()) continue;
      return wrong(expectation.line, "there is no node " + std::to_string(host + 1));
    }
  }
  if (scenario.hosts_needed() == 0) return wrong(1, "'members' is missing");
  return scenario;
}

Result<Scenario> load_scenario(const std::string& file) {
  std::ifstream in(file);
  std::ostringstream text;
  text << in.rdbuf();
  if (!in) return fail(ErrorCode::io, "cannot read " + file);
  return parse_scenario(file, text.str());
}

}  // namespace knit::swim_sim
