// A server without sockets, and clients that talk to it in inline commands.
#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "daemon/redis/session.h"
#include "unit/host.h"

namespace knit::test {

struct Door {
  explicit Door(RedisOptions options = {}, const NodeOptions& node_options = {})
      : node(node_options, *host.store, 1), server(std::move(options), node, hooks()) {}

  RedisServer::Hooks hooks() {
    return {.now = [this] { return now; },
            .deliver =
                [this](Outbox& out) {
                  for (const Output& output : out) take(output);
                },
            .stopwatch = [this] { return time += command_time; },
            .set_log_level = [this](const std::string& level) { log_level = level; },
            .stop = [this] { stopped = true; },
            .leave = [this] { stopped = true; }};
  }
  void take(const Output& output) {
    if (const auto* send = std::get_if<Send>(&output)) sent.push_back(*send);
    const auto* done = std::get_if<JobDone>(&output);
    if (done == nullptr) return;
    const auto job = server.jobs.find(done->job);
    if (job != server.jobs.end()) server.sessions.at(job->second)->on_job_done(*done);
  }
  void start_membership(std::map<std::string, std::string> tags = {}) {
    MembershipOptions options;
    options.generation = {7};
    options.profile = {"alpha", *parse_endpoint("127.0.0.1:7399"), 4, 5, "1.2.3", std::move(tags)};
    node.start_membership(options, now);
  }
  // Until the node has nothing left to do.
  void work() {
    Outbox out;
    while (node.has_work()) node.work(now, out);
    for (const Output& output : out) take(output);
  }

  Host host{1};
  Node node;
  Now now{test::now, Millis{1000}};
  std::chrono::nanoseconds time{};
  std::chrono::nanoseconds command_time{1000};  // What each command takes.
  std::string log_level;
  bool stopped = false;
  std::deque<Send> sent;  // To peers.
  ServerState server;
};

struct Talk {
  explicit Talk(Door& d) : door(d), session(d.server, {.address = "a", .local_address = "b"}) {}

  // What is released by now.
  std::string released() {
    session.output().release(door.host.store->synced());
    std::string out;
    while (session.output().has_released()) {
      out += session.output().released(1).front();
      session.output().on_written(session.output().released(1).front().size());
    }
    return out;
  }
  // The replies to inline commands, all synced.
  std::string operator()(std::string_view lines) {
    door.server.now = door.now;
    door.server.turn++;
    session.feed(std::string(lines) + "\r\n");
    return go_on();
  }
  // The same for what was fed before.
  std::string go_on() {
    door.server.now = door.now;
    session.run();
    door.host.commit();
    return released();
  }

  Door& door;
  Session session;
};

}  // namespace knit::test
