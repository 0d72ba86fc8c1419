// What each packet does.
#include <algorithm>

#include "gossip/swim.h"

namespace knit {

namespace {

constexpr std::size_t relays_max = 256;
constexpr int nack_percent = 80;  // Of the timeout: it must arrive before the one who asked gives up.

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};

}  // namespace

void Swim::on_packet(const Source& from, std::string_view bytes, Now now, SwimOutbox& out) {
  look_for_stall(now);
  if (from.node == self_) return;
  const auto packet = decode_packet(bytes, pool_);
  if (!packet) {
    ++counters_.bad_packets;
    return;
  }
  const auto& updates = packet->updates;
  const bool compared = std::holds_alternative<Records>(packet->body);
  take_all(from, updates, compared ? Heard::comparison : Heard::news, now, out);
  const auto one = Overloaded{
      [&](const Ping& m) { on_ping(from, m, out); },
      [&](const Ack& m) { on_ack(from, m, now, out); },
      [&](const PingRequest& m) { on_ping_request(from, m, now, out); },
      [&](const Nack& m) { on_nack(from, m); },
      [&](const News&) {},
      [&](const Compare& m) { on_compare(from, m, out); },
      [&](const Records& m) { on_records(from, m, updates, out); },
  };
  std::visit(one, packet->body);
}

void Swim::send(const Source& to, std::string bytes, SwimOutbox& out) const {
  if (to.link) {
    out.emplace_back(SendOverLink{to.node, std::move(bytes)});
  } else {
    out.emplace_back(SendDatagram{to.endpoint, to.node, std::move(bytes)});
  }
}

// Whoever is thought to be in trouble is told so first: it is the only one who can refute.
void Swim::send_with_news(const Source& to, const PacketBody& body, SwimOutbox& out) {
  std::string bytes = encode(body);
  const Member* member = members_.find(to.node);
  if (member != nullptr && member->state != MemberState::alive) {
    ByteWriter(bytes).bytes(encode_brief_update(*member, self_));
  }
  if (bytes.size() < options_.datagram_bytes_max) {
    std::string news;
    queue_.take(options_.datagram_bytes_max - bytes.size(), news);
    bytes += news;
  }
  send(to, std::move(bytes), out);
}

void Swim::ping(const Member& target, std::uint32_t sequence, SwimOutbox& out) {
  send_with_news({target.id, target.profile->endpoint, false}, Ping{sequence, target.id, heads()}, out);
}

void Swim::on_ping(const Source& from, const Ping& ping, SwimOutbox& out) {
  if (ping.target != self_ && ping.target.value != 0) return;
  send_with_news(from, Ack{ping.sequence, heads()}, out);
  if (ping.heads.state != state_ && members_.find(from.node) != nullptr)
    out.emplace_back(StateDiffers{from.node});
}

// Lists are compared by the one who asked: the other one's answer has shown that both can be reached.
void Swim::on_heads(const Source& from, Heads theirs, Now now, SwimOutbox& out) {
  if (theirs.members != members_.digest()) compare_with(from, now, out);
  if (theirs.state != state_ && members_.find(from.node) != nullptr)
    out.emplace_back(StateDiffers{from.node});
}

void Swim::on_ack(const Source& from, const Ack& ack, Now now, SwimOutbox& out) {
  const std::uint32_t nth = probe_ ? ack.sequence - probe_->sequence : 0;
  if (probe_ && nth < probe_->sent.size()) {
    if (from.node == probe_->target) round_trips_[from.node] = now.steady - probe_->sent[nth];
    probe_.reset();
    health_.change(-1);
  }
  const auto relay = relays_.find(ack.sequence);
  if (relay != relays_.end()) {
    send({relay->second.node, relay->second.to, false}, encode(Ack{relay->second.sequence, heads()}), out);
    relays_.erase(relay);
  }
  on_heads(from, ack.heads, now, out);
}

void Swim::on_ping_request(const Source& from, const PingRequest& request, Now now, SwimOutbox& out) {
  if (relays_.size() >= relays_max || request.target == self_) return;
  const std::uint32_t sequence = next_sequence_++;
  relays_[sequence] = {from.endpoint, from.node, request.sequence,
                       now.steady + options_.probe_timeout * nack_percent / 100, request.target};
  send_with_news({request.target, request.endpoint, false}, Ping{sequence, request.target, heads()}, out);
}

void Swim::on_nack(const Source& from, const Nack& nack) {
  if (probe_ && nack.sequence == probe_->sequence) probe_->helpers.erase(from.node);
}

}  // namespace knit
