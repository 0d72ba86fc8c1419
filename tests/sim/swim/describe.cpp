#include "describe.h"

#include <nlohmann/json.hpp>

namespace knit::swim_sim {

namespace {

using nlohmann::json;

double seconds(Micros time) { return std::chrono::duration<double>(time).count(); }

json numbers(const Hosts& hosts) {
  json out = json::array();
  for (const Host host : hosts) out.push_back(host + 1);
  return out;
}

json described(const Action& action) {
  json out = {{"line", action.line}, {"verb", name(action.verb)}, {"at", seconds(action.at)}};
  out["end"] = seconds(action.end());
  if (action.every) out["every"] = seconds(*action.every);
  if (!action.hosts.empty()) out["nodes"] = numbers(action.hosts);
  if (!action.others.empty()) out["others"] = numbers(action.others);
  out["both_ways"] = action.both_ways;
  out["share"] = action.share;
  out["amount"] = seconds(action.amount);
  if (!action.tag.empty()) out["tag"] = action.tag + "=" + action.value;
  return out;
}

json described(const Expectation& expectation) {
  json out = {
      {"line", expectation.line}, {"fact", name(expectation.fact)}, {"from", seconds(expectation.from)}};
  out["within"] = seconds(expectation.within);
  out["nodes"] = numbers(expectation.hosts);
  out["most"] = expectation.most;
  if (!expectation.tag.empty()) out["tag"] = expectation.tag + "=" + expectation.value;
  return out;
}

template <class T>
json described_all(const std::vector<T>& all) {
  json out = json::array();
  for (const T& each : all) out.push_back(described(each));
  return out;
}

}  // namespace

std::string describe(const Scenario& scenario) {
  return json{{"file", scenario.file},
              {"members", scenario.members},
              {"hosts", scenario.hosts_needed()},
              {"seeds", numbers(scenario.seeds)},
              {"seconds", seconds(scenario.end())},
              {"actions", described_all(scenario.actions)},
              {"expectations", described_all(scenario.expectations)}}
      .dump();
}

}  // namespace knit::swim_sim
