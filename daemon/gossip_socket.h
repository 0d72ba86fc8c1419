// The UDP socket of gossip: seals what the node says, opens what comes, and tells the log of strangers. Loop
// thread only.
//
// What cannot be sent at once is dropped and counted: gossip is made for datagrams that are lost.
#pragma once

#include <uv.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "base/result.h"
#include "daemon/address.h"
#include "daemon/gossip_counts.h"
#include "daemon/handle.h"
#include "gossip/datagram_seal.h"
#include "node/node.h"

namespace knit {

class GossipSocket {
 public:
  struct Hooks {
    std::function<Now()> now;
    std::function<void(Outbox&)> deliver;  // What the node said.
  };

  // Without a ring: nothing is encrypted.
  GossipSocket(uv_loop_t* loop, SocketAddress listen, DatagramOptions options, const KeyRing* ring,
               Node& node, Hooks hooks);

  // refused, with the address and what is wrong, if it cannot be had.
  Result<void> listen();
  void stop() { handle_.reset(); }
  void set_keys(const KeyRing& ring) { seal_.set_keys(ring); }

  void send(const SendDatagram& send);

  GossipCounts counts() const;

 private:
  void on_datagram(std::string_view bytes, const sockaddr_storage& from);
  void send_bytes(std::string_view bytes, const Endpoint& to);
  void on_dropped(const DatagramDropped& dropped, const Endpoint& from);

  uv_loop_t* loop_;
  SocketAddress listen_;
  DatagramSeal seal_;
  Node& node_;
  Hooks hooks_;
  Handle<uv_udp_t> handle_;
  std::map<DropReason, Millis> told_at_;  // When the log was last told.
  GossipCounts counts_;                   // Without those of the seal.
};

}  // namespace knit
