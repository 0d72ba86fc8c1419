// Carries a node's messages over TCP: listens, dials where a link is wanted, and tells the owner of the links
// what comes and goes. Loop thread only.
//
// Invariants:
//  1. Nothing leaves before the store has synced what it tells of, and messages of a channel keep their
//  order.
//  2. Reading never stops because writing is blocked; what waits for a link is bounded, and beyond the
//     bound the link is closed.
//  3. The owner hears of a link's end exactly once, in end_turn(), never while it is being called.
#pragma once

#include <uv.h>

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "daemon/address.h"
#include "daemon/frame.h"
#include "daemon/handle.h"
#include "daemon/link_owner.h"
#include "gossip/key_ring.h"

namespace knit {

// Beyond, a link is closed: two messages of the largest kind, and room for small ones.
constexpr std::size_t link_queued_bytes_max = 2 * exchange_message_bytes_max + (16 << 20);
constexpr std::size_t accepted_links_max = 1024;

struct PeerTransportOptions {
  SocketAddress listen;
  // Where to dial, ip:port; asked again at each round. Malformed ones are a mistake of the owner.
  std::function<std::set<std::string>()> wanted;
  Millis timeout{5000};  // For dialing and agreeing on a key, and for writes that stand still.
  std::function<const KeyRing*()> keys;  // Null: nothing is encrypted.
  Millis redial_first{200};              // Doubles up to redial_most, with jitter of a quarter.
  Millis redial_most{5000};
  std::uint64_t seed{};
};

class PeerLink;

class PeerTransport {
 public:
  struct Hooks {
    std::function<Now()> now;
    std::function<void(Outbox&)> deliver;  // What the node said.
  };

  PeerTransport(uv_loop_t* loop, PeerTransportOptions options, LinkOwner& owner, Hooks hooks);
  ~PeerTransport();  // Closes everything; the node is not told.

  // refused, with the address and what is wrong, if it cannot be had.
  Result<void> listen();
  void stop();  // For a shutdown: closes the door and all links.

  // There is news of whoever is there: it is dialed again without waiting.
  void redial(const std::string& address);

  // What the node wants. A link that is unknown, or closing already, is nothing to do. What was sent before a
  // close goes out first, as far as it is synced and the connection takes it at once.
  void send(Send send);
  void close(const CloseLink& close);

  // Unsynced changes were undone: links that have messages waiting for them are closed.
  void on_undone();

  // Dials, and closes what stands still. To be called a few times a second.
  void on_tick();
  // At the end of each turn of the loop: messages whose position is synced go out, and the node hears of
  // links that ended.
  void end_turn();

  std::size_t links() const { return links_.size(); }

 private:
  friend class PeerLink;

  // A configured address: the link that was dialed to it, or when to dial again.
  struct Target {
    std::optional<LinkId> link;  // May still be connecting.
    Millis next{};
    Millis delay{};           // The last one; zero after success.
    std::string last_reason;  // Why it failed, so that the log says it once.
  };

  void on_connection();
  void on_connected(PeerLink& link, int status);
  void begin(PeerLink& link);
  void link_up(PeerLink& link);
  void on_message(PeerLink& link, const FrameMessage& message);
  void on_progress(PeerLink& link);
  void end(PeerLink& link, const std::string& reason);
  void dial(const SocketAddress& address, Target& target);
  void dial_all();
  void retry(Target& target);
  void report_end(const PeerLink& link, const std::string& reason);
  Target* target_of(const PeerLink& link);
  bool lasted(const PeerLink& link) const;
  PeerLink& add_link(bool dialed, const SocketAddress& address);
  void close_overdue();
  PeerLink* find(LinkId id) const;

  uv_loop_t* loop_;
  PeerTransportOptions options_;
  LinkOwner& owner_;
  Hooks hooks_;
  std::mt19937_64 random_;
  Handle<uv_tcp_t> listener_;
  std::map<LinkId, std::unique_ptr<PeerLink>> links_;
  std::vector<std::unique_ptr<PeerLink>> ended_;  // Until end_turn(): their callbacks may be running.
  std::map<std::string, Target> targets_;         // By address.
  std::uint64_t last_link_ = 0;
  bool stopped_ = false;
};

}  // namespace knit
