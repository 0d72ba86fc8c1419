// A few members on a network that does what a test says, in memory, with a clock that moves only in run().
#pragma once

#include <catch2/catch.hpp>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "gossip/swim.h"
#include "member_records.h"

namespace knit::swim_play {

using namespace std::chrono_literals;
using member_records::Random;

constexpr Millis latency{2};

struct Sent {
  Millis due{};
  NodeId from;
  NodeId to;
  bool link = false;
  std::string bytes;
};

struct Host {
  NodeId id;
  Endpoint endpoint;
  std::unique_ptr<Swim> swim;
  bool deaf = false;     // Hears nothing.
  bool stopped = false;  // Does nothing; what is sent to it waits.
  std::vector<SwimOutput> events;

  template <class Event>
  std::size_t count() const {
    std::size_t out = 0;
    for (const SwimOutput& event : events) out += std::holds_alternative<Event>(event) ? 1 : 0;
    return out;
  }
};

class Play {
 public:
  using Passes = std::function<bool(const Sent&, const Packet&)>;

  ProfilePool pool;
  Now now{{1'000'000'000}, Millis{1000}};
  SwimOptions options;
  Passes passes = [](const Sent&, const Packet&) { return true; };
  std::vector<Sent> strays;  // To addresses at which nobody is.
  std::size_t packets_sent = 0;
  std::size_t datagram_bytes_most = 0;

  Host& add(std::uint64_t id, std::uint64_t generation = 1, std::uint64_t at = 0) {
    Host& host = hosts_[{id}];
    host.id = {id};
    host.endpoint = member_records::endpoint(at != 0 ? at : 1000 + hosts_.size());
    start(host, generation);
    return host;
  }

  // Another life of this host, which knows nobody.
  void start(Host& host, std::uint64_t generation) {
    host.swim = std::make_unique<Swim>(options, pool, host.id, Generation{generation},
                                       member_records::profile("node", host.endpoint), host.id.value, now);
  }

  // All know all from the start.
  void acquaint() {
    for (auto& [id, host] : hosts_) host.swim->restore(selves());
  }

  std::vector<Member> selves() const {
    std::vector<Member> out;
    for (const auto& [id, host] : hosts_) out.push_back(host.swim->self());
    return out;
  }

  Host& operator[](std::uint64_t id) { return hosts_.at({id}); }
  std::map<NodeId, Host>& hosts() { return hosts_; }

  void link(std::uint64_t a, std::uint64_t b) {
    for (auto [one, other] : {std::pair(a, b), std::pair(b, a)}) {
      SwimOutbox out;
      links_.insert({{one}, {other}});
      (*this)[one].swim->on_link_up({other}, now, out);
      take(hosts_.at({one}), out);
    }
  }

  // What `act` does, with the outbox of `host`, happens.
  template <class Act>
  auto act(Host& host, Act&& act) {
    SwimOutbox out;
    auto result = act(*host.swim, out);
    take(host, out);
    return result;
  }

  void greet(std::uint64_t one, std::uint64_t other) {
    SwimOutbox out;
    (*this)[one].swim->greet((*this)[other].endpoint, out);
    take((*this)[one], out);
  }

  // A packet of a member that only the test plays.
  SwimOutbox hear(Host& host, const Swim::Source& from, const std::string& bytes) {
    SwimOutbox out;
    host.swim->on_packet(from, bytes, now, out);
    return out;
  }

  void run(Millis time) {
    const Millis end = now.steady + time;
    for (Millis next = next_event(); next <= end; next = next_event()) {
      advance(std::max(next, now.steady));
      deliver();
      tick();
    }
    advance(end);
  }

  bool run_until(Millis most, const std::function<bool()>& reached) {
    for (const Millis end = now.steady + most; !reached(); run(10ms)) {
      if (now.steady >= end) return false;
    }
    return true;
  }

  bool lists_are_equal() const {
    const std::uint64_t digest = hosts_.begin()->second.swim->members().digest();
    return std::all_of(hosts_.begin(), hosts_.end(),
                       [&](const auto& each) { return each.second.swim->members().digest() == digest; });
  }

  MemberState state(std::uint64_t of, std::uint64_t by) {
    const Member* member = (*this)[by].swim->members().find({of});
    REQUIRE(member != nullptr);
    return member->state;
  }

  void take(Host& host, SwimOutbox& out) {
    for (SwimOutput& each : out) {
      if (auto* datagram = std::get_if<SendDatagram>(&each)) {
        datagram_bytes_most = std::max(datagram_bytes_most, datagram->bytes.size());
        send({now.steady + latency, host.id, at(datagram->to), false, std::move(datagram->bytes)});
      } else if (auto* over = std::get_if<SendOverLink>(&each)) {
        if (links_.contains({host.id, over->to})) {
          send({now.steady + latency, host.id, over->to, true, std::move(over->bytes)});
        }
      } else {
        host.events.push_back(std::move(each));
      }
    }
    out.clear();
  }

 private:
  NodeId at(const Endpoint& endpoint) const {
    for (const auto& [id, host] : hosts_) {
      if (host.endpoint == endpoint) return id;
    }
    return {};
  }

  void send(Sent sent) {
    ++packets_sent;
    if (sent.to.value == 0) {
      strays.push_back(std::move(sent));
      return;
    }
    const auto packet = decode_packet(sent.bytes, pool);
    REQUIRE(packet);
    if (passes(sent, *packet)) network_.push_back(std::move(sent));
  }

  void advance(Millis to) {
    now.wall.millis += static_cast<std::uint64_t>((to - now.steady).count());
    now.steady = to;
  }

  Millis next_event() const {
    Millis next = Millis::max();
    for (const Sent& sent : network_) {
      if (!hosts_.at(sent.to).stopped) next = std::min(next, sent.due);
    }
    for (const auto& [id, host] : hosts_) {
      if (!host.stopped) next = std::min(next, host.swim->next_tick());
    }
    return next;
  }

  void deliver() {
    std::vector<Sent> arrived;
    for (auto sent = network_.begin(); sent != network_.end();) {
      if (sent->due > now.steady || hosts_.at(sent->to).stopped) {
        ++sent;
        continue;
      }
      arrived.push_back(std::move(*sent));
      sent = network_.erase(sent);
    }
    for (const Sent& sent : arrived) {
      Host& host = hosts_.at(sent.to);
      if (host.deaf) continue;
      SwimOutbox out = hear(host, {sent.from, hosts_.at(sent.from).endpoint, sent.link}, sent.bytes);
      take(host, out);
    }
  }

  void tick() {
    for (auto& [id, host] : hosts_) {
      if (host.stopped || host.swim->next_tick() > now.steady) continue;
      SwimOutbox out;
      host.swim->on_tick(now, out);
      REQUIRE(host.swim->next_tick() > now.steady);  // Else its owner would turn for ever.
      take(host, out);
    }
  }

  std::map<NodeId, Host> hosts_;
  std::vector<Sent> network_;
  std::set<std::pair<NodeId, NodeId>> links_;
};

template <class Body>
bool is(const Packet& packet) {
  return std::holds_alternative<Body>(packet.body);
}

}  // namespace knit::swim_play
