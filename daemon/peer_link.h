// One TCP connection between peers: frames in and out of a socket. Loop thread only. Its owner is a
// PeerTransport, which decides about its life; a link never deletes itself.
#pragma once

#include <uv.h>

#include <array>
#include <cstddef>
#include <deque>
#include <string>

#include "daemon/frame.h"
#include "daemon/handle.h"
#include "daemon/peer_transport.h"
#include "gossip/sealed_stream.h"
#include "node/node.h"

namespace knit {

class PeerLink {
 public:
  PeerLink(PeerTransport& transport, LinkId id, bool dialed, SocketAddress address, Millis now);

  // One of the two, first. refused or io: the link is of no use.
  Result<void> connect(const SocketAddress& source);
  Result<void> accept(uv_stream_t* listener);

  LinkId id() const { return id_; }
  bool dialed() const { return dialed_; }
  bool ready() const { return ready_; }  // Both sides have shown that they have the key, and the owner knows.
  const SocketAddress& address() const { return address_; }

  Result<void> begin(Millis now);           // Connected: begins to read, and to agree on a key.
  void accept_peer() { reader_.accept(); }  // Its first message was good.
  bool peer_accepted() const { return reader_.accepted(); }

  void hold(Send send);
  std::size_t queued_bytes() const { return held_bytes_ + writer_.queued_bytes() + writing_bytes_; }
  bool holds_unsynced(JournalPosition synced) const;
  // Writes what may leave, if no write is on its way.
  void flush(JournalPosition synced, Millis now);

  // Why the link should be closed now; empty if it should not.
  std::string overdue(Millis now, Millis timeout);

  // How long it has been up.
  Millis age(Millis now) const { return now - opened_; }

  // No callback comes after this.
  void close() { handle_.reset(); }
  bool closed() const { return handle_ == nullptr; }

 private:
  Result<void> make_handle();
  void give_up_after(Millis timeout);
  void on_bytes(std::string_view bytes);
  void on_plaintext(std::string_view bytes);
  void write_handshake();
  void release(JournalPosition synced);
  void on_written(int status);

  PeerTransport& transport_;
  LinkId id_;
  bool dialed_;
  SocketAddress address_;  // The other end.
  Handle<uv_tcp_t> handle_;
  bool ready_ = false;
  SealedStream sealed_;
  FrameReader reader_;
  FrameWriter writer_;
  std::string frames_;  // About to be sealed; a member to keep its memory.
  std::array<std::deque<Send>, channels> held_;
  std::size_t held_bytes_ = 0;
  std::size_t writing_bytes_ = 0;  // Handed to libuv, not yet all taken by the kernel.
  std::size_t left_to_write_ = 0;  // Of these, when we last looked.
  Millis opened_;                  // When dialing began, then when it was ready.
  Millis write_progress_;
};

}  // namespace knit
