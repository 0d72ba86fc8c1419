// The pages that knitd serves over HTTP: /metrics, /health, and / which names them. Loop thread only.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/types.h"
#include "daemon/gossip_counts.h"
#include "daemon/http/http_session.h"

namespace knit {

struct ServerState;

class Site {
 public:
  // Empty: this node serves. Else why not, in a line for people.
  using Trouble = std::function<std::string()>;

  // All that is named here outlives this.
  Site(ServerState& server, std::function<Now()> now, Trouble trouble, std::function<GossipCounts()> gossip)
      : server_(server), now_(std::move(now)), trouble_(std::move(trouble)), gossip_(std::move(gossip)) {}

  HttpAnswer answer(std::string_view path);

 private:
  HttpAnswer metrics();
  HttpAnswer health();
  HttpAnswer index();

  ServerState& server_;
  std::function<Now()> now_;
  Trouble trouble_;
  std::function<GossipCounts()> gossip_;
  // All who ask in one turn of the loop are told the same, so that the turn is not longer for many of them.
  Millis told_at_{-1};
  std::string told_;
};

}  // namespace knit
