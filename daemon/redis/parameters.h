// CONFIG GET and SET: Redis's parameters. Some rule something here; the others read back what was set
// and change nothing. What is set lasts until the daemon ends: its config file is not written.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace knit {

struct ServerState;

class Parameters {
 public:
  using Values = std::vector<std::pair<std::string, std::string>>;

  static constexpr std::size_t value_bytes_max = 1024;

  // Those whose name matches one of the glob patterns, in lower case, ascending by name. A password is not
  // told.
  Values matching(const ServerState& server, const std::vector<std::string>& patterns) const;

  // All of them or none. Answers the error, without its code, if one is unknown or does not fit.
  std::optional<std::string> set(ServerState& server, const Values& values);

  // What the daemon knows better than the defaults.
  void set_initial(const Values& values);

 private:
  std::map<std::string, std::string, std::less<>> plain_;  // Of those that rule nothing, if not the default.
};

}  // namespace knit
