// Datagrams off the wire. The first byte chooses: whether there are keys, whether the sender is proven
// already, and whether the rest is a datagram of a stranger, or says how one of a peer was damaged on its
// way.
#include <optional>
#include <variant>

#include "gossip/datagram_seal.h"
#include "tests/fuzz/fuzz.h"

using namespace knit;

namespace {

constexpr NodeId here{1}, there{2};
constexpr std::string_view from = "address";
constexpr Millis now{1000};

const KeyRing& ring() {
  static const KeyRing one = *KeyRing::make({SecretKey(std::string(SecretKey::size_bytes, 'k'))});
  return one;
}

DatagramOptions options(NodeId node) {
  DatagramOptions out;
  out.node = node;
  out.generation = 100 + node.value;
  out.cluster = std::string(16, 'C');
  out.version = 4;
  out.senders_max = 2;
  return out;
}

struct Pair {
  explicit Pair(bool keyed)
      : receiver(options(here), keyed ? &ring() : nullptr),
        sender(options(there), keyed ? &ring() : nullptr) {}
  DatagramSeal receiver, sender;

  // Each has shown the other that its generation runs.
  void prove() {
    const auto challenge = receiver.open(*sender.seal(here, "hello"), from, now);
    const auto response = sender.open(std::get<DatagramChallenge>(challenge).datagram, from, now);
    receiver.open(std::get<DatagramResponse>(response).datagram, from, now);
  }
};

void expect_bounded(const DatagramOutcome& outcome, std::string_view datagram, const DatagramSeal& seal) {
  const auto* challenge = std::get_if<DatagramChallenge>(&outcome);
  const auto* response = std::get_if<DatagramResponse>(&outcome);
  check(challenge == nullptr || challenge->datagram.size() <= datagram.size(),
        "a challenge is not longer than what it answers");
  check(response == nullptr || response->datagram.size() <= datagram.size(),
        "a response is not longer than what it answers");
  check(seal.senders() <= 2, "who is remembered has a limit");
}

// Bytes of the damage: position and what is flipped there; of the last, odd one: how much is cut off.
std::string damaged(std::string datagram, std::string_view damage) {
  ByteReader in(damage);
  while (in.left() >= 2 && !datagram.empty()) {
    const std::size_t position = in.u8() % datagram.size();
    datagram[position] = static_cast<char>(datagram[position] ^ in.u8());
  }
  if (in.left() == 1) datagram.resize(datagram.size() - std::min<std::size_t>(in.u8(), datagram.size()));
  return datagram;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ByteReader in(fuzz::text_of(data, size));
  const std::uint8_t choice = in.u8();
  const bool keyed = (choice & 1) != 0;
  Pair pair(keyed);
  if ((choice & 2) != 0) pair.prove();
  if ((choice & 4) == 0) {
    const std::string_view datagram = fuzz::rest_of(in);
    const auto outcome = pair.receiver.open(datagram, from, now);
    expect_bounded(outcome, datagram, pair.receiver);
    check(!keyed || std::holds_alternative<DatagramDropped>(outcome), "a stranger gets no answer");
    check(!std::holds_alternative<DatagramOpened>(pair.receiver.open(datagram, from, now)),
          "nothing is taken twice");
    return 0;
  }
  const std::string whole = *pair.sender.seal(here, "what is said");
  const std::string arrived = damaged(whole, fuzz::rest_of(in));
  const auto outcome = pair.receiver.open(arrived, from, now);
  expect_bounded(outcome, arrived, pair.receiver);
  if (arrived == whole) return 0;
  check(!keyed || std::holds_alternative<DatagramDropped>(outcome), "what was damaged is dropped");
  const auto good = pair.receiver.open(whole, from, now);
  check((choice & 2) == 0 || !keyed || std::holds_alternative<DatagramOpened>(good),
        "what was damaged does not stand in the way of the whole");
  return 0;
}
