// The addresses at which others of the cluster may be, as the config names them: numeric, or names that are
// looked up again and again. Loop thread only.
#pragma once

#include <uv.h>

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/types.h"

namespace knit {

constexpr std::size_t addresses_per_name_max = 64;

class Seeds {
 public:
  // `texts`: "ip:port" or "name:port", as the config's reader accepts them. Addresses of the other family
  // than `ipv6` says are of no use here.
  Seeds(uv_loop_t* loop, const std::vector<std::string>& texts, bool ipv6);
  ~Seeds();  // A lookup that is under way is told nobody.

  const std::set<std::string>& numeric() const { return numeric_; }  // ip:port.
  // These, and what names stood for when they were last looked up.
  std::set<std::string> addresses() const;

  // Looks up what is due: every 30 s a name that is known, after 1 s and then ever later up to that one that
  // is not. To be called a few times a second.
  void on_tick(Millis now);

 private:
  struct Name {
    std::string host;
    std::string port;
    std::set<std::string> found;
    Millis next{};
    Millis delay{};
    bool failed = false;              // The log was told.
    struct Lookup* lookup = nullptr;  // Under way.
  };
  friend struct Lookup;
  void look_up(Name& name, Millis now);
  void on_found(Name& name, int status, const addrinfo* first);

  uv_loop_t* loop_;
  bool ipv6_;
  std::set<std::string> numeric_;
  std::vector<std::unique_ptr<Name>> names_;
};

}  // namespace knit
