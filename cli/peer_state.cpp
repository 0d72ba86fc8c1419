#include "cli/peer_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "cli/text.h"

namespace knit {
namespace {

// One direction. Of a daemon that does not tell these fields nobody is in step.
bool is_small(const Json& peer, const char* writes_field, const char* millis_field) {
  const std::int64_t writes = peer.contains(writes_field) ? number_of(peer, writes_field) : -1;
  const std::int64_t millis = number_of(peer, millis_field);
  return writes == 0 || (writes > 0 && (millis < 0 ? writes <= in_step_writes : millis <= in_step_millis));
}

bool streams_deliver(const Json& peer) {
  return !flag_of(peer, "trimmed") && is_small(peer, "lag_writes", "lag_ms") &&
         is_small(peer, "behind_writes", "behind_ms");
}

bool was_equal_just_now(const Json& peer) {
  const std::int64_t last = number_of(peer, "last_equal_ms");
  return last > 0 && now_milliseconds() - last <= just_now_millis;
}

bool has_more_to_deliver(const Json& peer) {
  return number_of(peer, "lag_writes") > 0 || number_of(peer, "behind_writes") > 0;
}

}  // namespace

PeerState state_of(const Json& peer) {
  if (!flag_of(peer, "reachable")) {
    return PeerState::unreachable;
  }
  if (!flag_of(peer, "tree_complete")) {
    return PeerState::building;
  }
  if (flag_of(peer, "equal")) {
    return PeerState::equal;
  }
  const bool delivers = streams_deliver(peer);
  if (delivers && (!flag_of(peer, "clock_equal") || flag_of(peer, "settling"))) {
    return PeerState::in_step;
  }
  if (exchange_runs(peer)) {
    return PeerState::repairing;
  }
  if (delivers && was_equal_just_now(peer)) {
    return PeerState::in_step;
  }
  const bool streaming = !flag_of(peer, "trimmed") && has_more_to_deliver(peer);
  return streaming ? PeerState::catching_up : PeerState::differs;
}

std::string_view name_of(PeerState state) {
  switch (state) {
    case PeerState::unreachable: return "unreachable";
    case PeerState::building: return "building";
    case PeerState::equal: return "agrees";
    case PeerState::in_step: return "in step";
    case PeerState::repairing: return "repairing";
    case PeerState::catching_up: return "catching up";
    case PeerState::differs: return "differs";
  }
  return "?";
}

std::int64_t apart_millis(const Json& peer) {
  return std::max<std::int64_t>({number_of(peer, "lag_ms"), number_of(peer, "behind_ms"), 0});
}

std::string peer_label(const Json& peer) {
  std::string name = text_of(peer, "peer_name");
  for (const char* field : {"name", "address"}) {
    if (name.empty()) {
      name = text_of(peer, field);
    }
  }
  return escaped(name);
}

std::string lag_text(std::int64_t writes, std::int64_t milliseconds) {
  if (writes <= 0) {
    return writes == 0 ? "0" : "-";
  }
  return fmt::format("{} / {}", counted(writes, "write"),
                     milliseconds < 0 ? "-" : duration_text(milliseconds));
}

bool exchange_runs(const Json& peer) { return !text_of(peer, "exchange_progress").empty(); }

double exchange_fraction(const Json& peer) {
  const double fraction = std::atof(text_of(peer, "exchange_progress").c_str());
  return fraction > 0 ? std::min(fraction, 1.0) : 0;
}

}  // namespace knit
