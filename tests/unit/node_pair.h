// Two nodes and the links between them, for tests: messages arrive when a test says so.
#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "node/node.h"
#include "unit/host.h"

namespace knit::test {

using namespace std::chrono_literals;

// A host with a node. Its outbox is sorted into what a test looks at.
struct Side {
  Side(std::uint64_t id, const std::string& name, NodeOptions options = {}) : host(id) {
    options.name = options.address = name;
    node.emplace(options, *host.store, id);
  }
  void take(Outbox& out) {
    for (Output& output : out) {
      if (auto* send = std::get_if<Send>(&output)) sent.push_back(std::move(*send));
      if (auto* close = std::get_if<CloseLink>(&output)) closed.push_back(*close);
      if (auto* notice = std::get_if<Notice>(&output)) notices.push_back(notice->text);
      if (auto* done = std::get_if<JobDone>(&output)) jobs.push_back(std::move(*done));
    }
    out.clear();
  }
  bool noticed(std::string_view text) const {
    return std::any_of(notices.begin(), notices.end(),
                       [&](const auto& n) { return n.find(text) != std::string::npos; });
  }

  Host host;
  Millis ahead{};  // Of its clock.
  std::optional<Node> node;
  std::deque<Send> sent;
  std::vector<CloseLink> closed;
  std::vector<std::string> notices;
  std::vector<JobDone> jobs;
};

inline NodeOptions streaming_to(std::size_t peers) {
  NodeOptions options;
  options.stream_peers_max = peers;
  return options;
}

// Two members and the links between them; messages arrive when a test says so.
struct Pair {
  explicit Pair(const NodeOptions& options) : a(1, "a", options), b(2, "b", options) {}
  explicit Pair(std::size_t stream_peers = 8) : Pair(streaming_to(stream_peers)) {}

  Now now_of(const Side& side) const {
    Now now_here = now();
    now_here.wall.millis += static_cast<std::uint64_t>(side.ahead.count());
    return now_here;
  }
  Now now() const { return {{test::now.millis + static_cast<std::uint64_t>(time.count())}, time}; }
  void link(LinkId id, Side& dialer, Side& other) {
    Outbox out;
    dialer.node->on_link_up(id, other.node->options().address, now_of(dialer), out);
    dialer.take(out);
    other.node->on_link_up(id, "", now_of(other), out);
    other.take(out);
  }
  bool deliver(Side& from, Side& to) {
    if (from.sent.empty()) return false;
    from.host.commit();
    const Send send = std::move(from.sent.front());
    from.sent.pop_front();
    CHECK(send.after <= from.host.store->synced());
    Outbox out;
    const Now then = now_of(to);
    to.node->on_message(send.link, send.channel, send.message, then, out);
    while (to.node->has_work()) to.node->work(then, out);
    to.node->push(then, out);
    to.take(out);
    return true;
  }
  void pump() {
    while (deliver(a, b) || deliver(b, a)) {
    }
  }
  void tick(Millis step) {
    time += step;
    for (Side* member : {&a, &b}) {
      Outbox out;
      const Now then = now_of(*member);
      member->node->on_tick(then, out);
      while (member->node->has_work()) member->node->work(then, out);
      member->node->push(then, out);
      member->take(out);
    }
  }
  // Lets seconds pass in which every message arrives.
  void run(int ticks) {
    for (int i = 0; i < ticks; ++i) {
      tick(200ms);
      pump();
    }
  }
  void begin_repair() {
    Outbox out;
    REQUIRE(a.node->start_repair("b", now(), out));
    a.take(out);
  }
  bool equal() const {
    return a.host.root() == b.host.root() && a.host.store->clock() == b.host.store->clock();
  }

  Millis time{1000};
  Side a;
  Side b;
};

}  // namespace knit::test
