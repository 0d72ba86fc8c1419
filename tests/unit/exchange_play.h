// Plays exchanges between replicas in memory, for tests: whole sessions, and what may happen meanwhile.
#pragma once

#include <catch2/catch.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "map_replica.h"
#include "merkle/exchange.h"

namespace knit::exchange_play {

constexpr WallTime now{1'000'000};
using Outcome = Exchange::Outcome;
using Random = std::mt19937_64;

struct Session {
  std::unique_ptr<Exchange> initiator;
  std::unique_ptr<Exchange> responder;
  std::vector<std::string> messages;  // In turn, the initiator's first.
  std::optional<Error> error;
};

// Gives `exchange` a message, and works on it until it is answered.
inline Result<std::optional<std::string>> reply_to(
    Exchange& exchange, std::string_view message, std::size_t units = 1 << 30,
    const std::function<void()>& between = [] {}) {
  if (auto taken = exchange.on_message(std::string(message)); !taken) return tl::unexpected(taken.error());
  while (exchange.busy()) {
    auto reply = exchange.step(units, now);
    if (!reply || *reply) return reply;
    between();
  }
  return std::nullopt;
}

struct SessionOptions {
  ExchangeOptions initiator;
  ExchangeOptions responder;
  bool expect_difference = true;
  std::uint64_t salt = 42;
  std::function<void()> between = [] {};  // Before each message is delivered.
  std::function<void(std::size_t, std::string&)> damage = [](std::size_t, std::string&) {};
  std::size_t messages_max = 100'000;
  std::size_t units = 1 << 30;  // Of a step.
  std::function<void()> between_steps = [] {};
};

inline Session run(Replica& a, Replica& b, const SessionOptions& options = {}) {
  Session session{Exchange::initiate(a, options.initiator, options.salt, options.expect_difference),
                  Exchange::respond(b, options.responder),
                  {},
                  {}};
  std::optional<std::string> message = session.initiator->open(now);
  bool to_responder = true;
  while (message && session.messages.size() < options.messages_max) {
    options.damage(session.messages.size(), *message);
    session.messages.push_back(*message);
    options.between();
    Exchange& receiver = to_responder ? *session.responder : *session.initiator;
    if (receiver.finished()) break;
    auto reply = reply_to(receiver, *message, options.units, options.between_steps);
    if (!reply) {
      session.error = reply.error();
      break;
    }
    message = std::move(*reply);
    to_responder = !to_responder;
  }
  return session;
}

using Digests = std::map<std::string, Uint128>;

inline Digests digests(const MapReplica& replica) {
  Digests digests;
  for (const auto& [row_key, row] : replica.rows()) {
    if (const auto digest = replica.digest_of(row_key)) digests[row_key] = *digest;
  }
  return digests;
}

inline Summary sum(const Digests& digests) {
  Summary sum;
  for (const auto& [row_key, digest] : digests) sum += Summary{digest, 1};
  return sum;
}

inline bool tree_is_true(const MapReplica& replica) {
  return replica.tree().total() == sum(digests(replica));
}

inline std::string key(std::uint64_t number) { return "key:" + std::to_string(number); }

inline void send_row(const MapReplica& from, MapReplica& to, const std::string& row_key) {
  const auto row = from.rows().find(row_key);
  if (row == from.rows().end()) return;
  REQUIRE(to.merge_row(row_key, encode_body({}, row->second), now));
}

// One write of any kind at `replica`.
inline void write_something(MapReplica& replica, Random& random, std::uint64_t keys) {
  const std::string name = key(random() % keys);
  switch (random() % 9) {
    case 0: replica.remove(name); break;
    case 6:
    case 7:
    case 8: replica.add(name, static_cast<std::int64_t>(1 + random() % 5), {random() % 2'000'000}); break;
    case 1: replica.raise_expiry(name, {random() % 1'000'000'000}); break;
    case 2: replica.write(name, "expires", Content::value, {random() % 1'000'000}); break;
    default: replica.write(name, std::string(random() % 50, 'v')); break;
  }
}

// Two replicas with a common past and a time apart, in which some rows leaked from one to the other.
inline void drift(MapReplica& a, MapReplica& b, Random& random, std::uint64_t keys, int writes) {
  for (int i = 0; i < writes; ++i) {
    write_something(random() % 2 == 0 ? a : b, random, keys);
    if (random() % 3 == 0) send_row(a, b, string_row_key(key(random() % keys), a.hash_keys()));
    if (random() % 3 == 0) send_row(b, a, string_row_key(key(random() % keys), a.hash_keys()));
  }
}

inline void require_equal(const MapReplica& a, const MapReplica& b) {
  REQUIRE((digests(a) == digests(b)));
  REQUIRE((a.root() == b.root()));
  REQUIRE((a.clock() == b.clock()));
  REQUIRE(tree_is_true(a));
  REQUIRE(tree_is_true(b));
}

// Runs sessions until none is cut short by a clear.
inline Session run_to_end(MapReplica& a, MapReplica& b, const SessionOptions& options = {}) {
  for (int attempt = 0;; ++attempt) {
    REQUIRE(attempt < 4);
    Session session = run(a, b, options);
    REQUIRE_FALSE(session.error);
    REQUIRE(session.initiator->finished());
    REQUIRE(session.responder->finished());
    REQUIRE(session.initiator->outcome() == session.responder->outcome());
    if (session.initiator->outcome() != Outcome::cleared) return session;
    a.build_tree();
    b.build_tree();
  }
}

inline std::uint64_t rows_in_vain(const Session& session) {
  std::uint64_t rows = 0;
  for (const Exchange* side : {session.initiator.get(), session.responder.get()}) {
    rows += side->stats().rows_received - side->stats().rows_changed;
  }
  return rows;
}

// Remembers every write, so that one can ask whether a clock promises too much.
class History {
 public:
  void write(MapReplica& replica, Random& random, std::uint64_t keys) {
    const std::string name = key(random() % keys);
    switch (random() % 5) {
      case 0: replica.remove(name); break;
      case 1:
      case 2: replica.add(name, 1); break;
      default: replica.write(name, "v");
    }
    const ActorId actor = replica.actor();
    rows_[{actor, replica.clock().highest(actor)}] = string_row_key(name, replica.hash_keys());
  }

  // Invariant 2: what the clock covers is in the rows, itself or superseded.
  bool clock_is_true(const MapReplica& replica) const {
    for (const auto& [dot, row_key] : rows_) {
      if (!replica.clock().covers(dot)) continue;
      const auto row = replica.rows().find(row_key);
      if (row == replica.rows().end()) return false;
      const auto& siblings = row->second.siblings();
      const bool live =
          std::any_of(siblings.begin(), siblings.end(), [&](const Sibling& s) { return s.dot == dot; });
      const auto& components = row->second.counter().components();
      const bool counted = std::any_of(components.begin(), components.end(), [&](const Component& c) {
        return c.created.actor == dot.actor && c.created.sequence <= dot.sequence && dot.sequence <= c.last;
      });
      if (!live && !counted && !row->second.context().covers(dot)) return false;
    }
    return true;
  }

 private:
  std::map<Dot, std::string> rows_;
};

}  // namespace knit::exchange_play
