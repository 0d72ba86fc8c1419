// A whole exchange between two replicas while a third hand changes, cuts, forges and repeats its messages: it
// ends, and leaves both replicas sound. Without that hand it makes them equal.
#include <memory>
#include <optional>
#include <vector>

#include "merkle/exchange.h"
#include "tests/fuzz/fuzz.h"
#include "unit/map_replica.h"

using namespace knit;

namespace {

constexpr WallTime now{1'000'000};
constexpr std::size_t writes_max = 64;
constexpr std::size_t attacks_max = 16;
constexpr std::size_t messages_max = 500;  // Far more than so few rows can need.
constexpr std::size_t all_at_once = std::size_t{1} << 30;

// To one message of a session, by its number.
struct Attack {
  enum Kind : std::uint8_t { flip, cut, insert, replace, kinds };
  std::size_t message{};
  Kind kind{};
  std::size_t at{};
  std::string_view bytes;
};

Attack read_attack(ByteReader& in) {
  Attack attack;
  attack.message = in.u8();
  attack.kind = static_cast<Attack::Kind>(in.u8() % Attack::kinds);
  attack.at = in.u16();
  attack.bytes = in.bytes();
  return attack;
}

void apply(const Attack& attack, std::string& message) {
  const std::size_t at = attack.at % (message.size() + 1);
  switch (attack.kind) {
    case Attack::flip:
      for (std::size_t i = 0; i < attack.bytes.size() && at + i < message.size(); ++i)
        message[at + i] = static_cast<char>(message[at + i] ^ attack.bytes[i]);
      break;
    case Attack::cut: message.resize(at); break;
    case Attack::insert: message.insert(at, attack.bytes); break;
    default: message = attack.bytes; break;
  }
}

void write_something(MapReplica& replica, std::uint8_t what) {
  const std::string key(1, static_cast<char>('a' + (what >> 3) % 8));
  switch (what & 7) {
    case 0: return replica.remove(key);
    case 1: return replica.add(key, 1 + what);
    case 2: return replica.raise_expiry(key, {now.millis + what});
    case 3: return replica.flush_all();
    case 4: return replica.write(key, std::string(500, 'v'));
    default: return replica.write(key, std::string(1, static_cast<char>(what)));
  }
}

// Two replicas that have a part of their past in common.
struct Pair {
  MapReplica a{ActorId{1}};
  MapReplica b{ActorId{2}};

  void drift(ByteReader& in) {
    for (std::size_t left = in.count(1, writes_max); left > 0; --left) {
      const std::uint8_t what = in.u8();
      MapReplica& from = what >= 128 ? b : a;
      write_something(from, what);
      if ((what & 64) != 0) copy_rows(from, what >= 128 ? a : b);
    }
    a.build_tree();
    b.build_tree();
  }

  static void copy_rows(const MapReplica& from, MapReplica& to) {
    for (const auto& [row_key, row] : from.rows())
      check(to.merge_row(row_key, encode_body({}, row), now).has_value(), "a map takes a row");
  }
};

void check_sound(const MapReplica& replica) {
  Summary sum;
  for (const auto& [row_key, row] : replica.rows()) {
    const std::string body = encode_body({}, row);
    const auto decoded = decode_body(body);
    check(decoded && decoded->row == row, "a row that was merged is canonical");
    sum += Summary{row.digest(row_key, replica.hash_keys()), 1};
  }
  check(!replica.tree().complete() || replica.tree().total() == sum, "the tree is the sum of the rows");
}

struct Session {
  std::unique_ptr<Exchange> initiator;
  std::unique_ptr<Exchange> responder;
  std::size_t units = all_at_once;

  // Answers whether both sides followed the protocol.
  bool run(const std::vector<Attack>& attacks) {
    std::optional<std::string> message = initiator->open(now);
    std::size_t messages = 0;
    for (; message && messages < messages_max; ++messages) {
      for (const Attack& attack : attacks) {
        if (attack.message == messages) apply(attack, *message);
      }
      auto reply = answer(messages % 2 == 0 ? *responder : *initiator, std::move(*message));
      if (!reply) return false;
      message = std::move(*reply);
    }
    check(messages < messages_max, "an exchange ends");
    return true;
  }

 private:
  Result<std::optional<std::string>> answer(Exchange& receiver, std::string message) const {
    if (auto taken = receiver.on_message(std::move(message)); !taken) return tl::unexpected(taken.error());
    while (receiver.busy()) {
      auto reply = receiver.step(units, now);
      if (!reply || *reply) return reply;
    }
    return std::nullopt;
  }
};

Session session_of(Pair& pair, std::uint8_t flags) {
  ExchangeOptions options;
  if ((flags & 1) != 0) options.mode = ExchangeMode::compare;
  if ((flags & 2) != 0) options.row_bytes_per_message = 100;
  if ((flags & 4) != 0) options.ranges_per_message = 4;
  return {Exchange::initiate(pair.a, options, 42, (flags & 8) != 0), Exchange::respond(pair.b, options),
          (flags & 16) != 0 ? std::size_t{3} : all_at_once};
}

bool are_equal(const Pair& pair) {
  return pair.a.root() == pair.b.root() && pair.a.clock() == pair.b.clock();
}

void make_equal(Pair& pair, std::uint8_t flags) {
  for (int attempt = 0; attempt < 4 && !are_equal(pair); ++attempt) {
    check(session_of(pair, flags & ~std::uint8_t{1}).run({}), "honest sides follow the protocol");
    pair.a.build_tree();
    pair.b.build_tree();
  }
  check(are_equal(pair), "an exchange makes both equal");
}

}  // namespace

// Flags | writes | attacks...
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ByteReader in(fuzz::text_of(data, size));
  const std::uint8_t flags = in.u8();
  Pair pair;
  pair.drift(in);
  std::vector<Attack> attacks;
  while (in.left() > 0 && attacks.size() < attacks_max) attacks.push_back(read_attack(in));
  if (attacks.empty()) {
    make_equal(pair, flags);
  } else {
    session_of(pair, flags).run(attacks);
  }
  check_sound(pair.a);
  check_sound(pair.b);
  return 0;
}
