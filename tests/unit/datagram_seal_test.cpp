#include "gossip/datagram_seal.h"

#include <sodium.h>

#include <catch2/catch.hpp>
#include <limits>
#include <map>
#include <random>

#include "base/bytes.h"

using namespace knit;

namespace {

constexpr std::uint64_t u64_max = std::numeric_limits<std::uint64_t>::max();
const std::string cluster(16, 'C');
const NodeId node_a{0xaaaa};
const NodeId node_b{0xbbbb};

SecretKey key(char byte) { return SecretKey(std::string(SecretKey::size_bytes, byte)); }
KeyRing ring_of(std::vector<SecretKey> keys) { return *KeyRing::make(keys); }
const KeyRing& ring() {
  static const KeyRing one = ring_of({key('k')});
  return one;
}

DatagramOptions options(NodeId node, std::uint64_t generation = 100) {
  DatagramOptions made;
  made.node = node;
  made.generation = generation;
  made.cluster = cluster;
  made.version = 7;
  return made;
}

DatagramSeal sealed(NodeId node, std::uint64_t generation = 100) {
  return {options(node, generation), &ring()};
}

std::string say(DatagramSeal& from, std::optional<NodeId> to, std::string_view plaintext = "hello") {
  auto datagram = from.seal(to, plaintext);
  REQUIRE(datagram);
  return *datagram;
}

DatagramOutcome hear(DatagramSeal& at, std::string_view datagram, Millis now = Millis(0)) {
  return at.open(datagram, "address", now);
}

std::optional<DropReason> drop(DatagramSeal& at, std::string_view datagram, Millis now = Millis(0)) {
  const auto outcome = hear(at, datagram, now);
  const auto* dropped = std::get_if<DatagramDropped>(&outcome);
  return dropped == nullptr ? std::nullopt : std::optional(dropped->reason);
}

bool answered(const DatagramOutcome& outcome) {
  return std::holds_alternative<DatagramChallenge>(outcome) ||
         std::holds_alternative<DatagramResponse>(outcome);
}

// What somebody who has the key can make, whatever this code would not.
std::string sealed_by_hand(const DatagramHeader& header, std::string_view plaintext) {
  std::string out;
  encode(header, out);
  const std::string associated = out + cluster;
  std::string nonce;
  ByteWriter writer(nonce);
  writer.u64(header.sender.value);
  writer.u64(header.generation);
  writer.u64(header.counter);
  const SecretKey derived = key('k').derive("knit datagram 1" + cluster);
  const auto bytes = [](const std::string& text) {
    return reinterpret_cast<const unsigned char*>(text.data());
  };
  std::string body(plaintext.size() + seal_tag_bytes, 0);
  crypto_aead_xchacha20poly1305_ietf_encrypt(
      reinterpret_cast<unsigned char*>(body.data()), nullptr, bytes(std::string(plaintext)), plaintext.size(),
      bytes(associated), associated.size(), nullptr, bytes(nonce), derived.data());
  return out + body;
}

DatagramHeader header_of(DatagramForm form, NodeId sender, std::uint64_t counter) {
  return {form, true, key('k').fingerprint().value, sender, counter, 7, 0x4343, 100, 0};
}

template <class What>
What expect(DatagramOutcome outcome) {
  REQUIRE(std::holds_alternative<What>(outcome));
  return std::get<What>(std::move(outcome));
}

// `to` challenges `from`, and believes it afterwards.
void prove(DatagramSeal& from, DatagramSeal& to) {
  const auto challenge = expect<DatagramChallenge>(hear(to, say(from, std::nullopt)));
  const auto response = expect<DatagramResponse>(hear(from, challenge.datagram));
  expect<DatagramProven>(hear(to, response.datagram));
}

// Both have proven each other, and each knows that the other one has.
void acquaint(DatagramSeal& a, DatagramSeal& b) {
  prove(a, b);
  prove(b, a);
  expect<DatagramOpened>(hear(a, say(b, node_a)));
  expect<DatagramOpened>(hear(b, say(a, node_b)));
}

}  // namespace

TEST_CASE("a sender that is not known is challenged, proves itself, and is then heard") {
  DatagramSeal a = sealed(node_a);
  DatagramSeal b = sealed(node_b, 200);
  const auto challenge = expect<DatagramChallenge>(hear(b, say(a, std::nullopt)));
  const auto response = expect<DatagramResponse>(hear(a, challenge.datagram));
  CHECK(response.challenger == node_b);
  CHECK(expect<DatagramProven>(hear(b, response.datagram)).sender == node_a);
  const auto opened = expect<DatagramOpened>(hear(b, say(a, node_b, "hello again")));
  CHECK(opened.sender == node_a);
  CHECK(opened.generation == 100);
  CHECK(opened.plaintext == "hello again");
  CHECK(b.counts().challenged == 1);
  CHECK(a.counts().responded == 1);
  CHECK(b.counts().proven == 1);
  CHECK(b.counts().opened == 1);
}

// One of each form but a response, all of A, and a B that would take each of them.
struct EachForm {
  DatagramSeal a = sealed(node_a);
  DatagramSeal b = sealed(node_b);
  std::map<std::string, std::string> datagrams;

  EachForm() {
    datagrams["challenge"] = expect<DatagramChallenge>(hear(a, say(b, node_a))).datagram;
    acquaint(a, b);
    datagrams["short"] = say(a, node_b);
    datagrams["long"] = say(a, std::nullopt);
  }
};

TEST_CASE("plaintexts of every size come out as they went in, in both forms") {
  DatagramSeal a = sealed(node_a);
  DatagramSeal b = sealed(node_b);
  acquaint(a, b);
  for (std::size_t size = 0; size <= 1400; size += size < 64 ? 1 : 167) {
    const std::string plaintext(size, static_cast<char>(size));
    const std::string brief = say(a, node_b, plaintext);
    CHECK(brief.size() == size + short_overhead_bytes);
    CHECK(expect<DatagramOpened>(hear(b, brief)).plaintext == plaintext);
    const std::string full = say(a, std::nullopt, plaintext);
    CHECK(full.size() == std::max<std::size_t>(size + datagram_overhead_bytes_max, 70));
    CHECK(expect<DatagramOpened>(hear(b, full)).plaintext == plaintext);
    expect<DatagramOpened>(hear(a, say(b, node_a)));
  }
  CHECK(short_overhead_bytes == 32);
  const std::string largest(datagram_plaintext_bytes_max, 'x');
  CHECK(expect<DatagramOpened>(hear(b, say(a, node_b, largest))).plaintext == largest);
}

TEST_CASE("the short form is used once the receiver has shown that it knows the sender's generation") {
  DatagramSeal a = sealed(node_a);
  DatagramSeal b = sealed(node_b);
  const auto is_short = [](const std::string& datagram) {
    return datagram.size() == 5 + short_overhead_bytes;
  };
  prove(a, b);
  CHECK_FALSE(is_short(say(a, node_b)));  // B knows A, but A has heard nothing that says so.
  prove(b, a);
  expect<DatagramOpened>(hear(a, say(b, node_a)));
  CHECK(is_short(say(a, node_b)));
  CHECK_FALSE(is_short(say(b, node_a)));  // A's first short one was not heard yet.
  expect<DatagramOpened>(hear(b, say(a, node_b)));
  CHECK(is_short(say(b, node_a)));
  CHECK_FALSE(is_short(say(a, std::nullopt)));
}

TEST_CASE("a sender that hears nothing returns to the long form, until it is answered") {
  DatagramSeal a = sealed(node_a);
  DatagramSeal b = sealed(node_b);
  acquaint(a, b);
  expect<DatagramOpened>(hear(a, say(b, node_a)));
  std::vector<std::size_t> sizes;
  for (unsigned i = 0; i < DatagramSeal::unanswered_max + 2; ++i) sizes.push_back(say(a, node_b).size());
  CHECK(sizes == std::vector<std::size_t>{37, 37, 37, 70, 70});
  expect<DatagramOpened>(hear(a, say(b, node_a)));
  CHECK(say(a, node_b).size() == 37);
}

TEST_CASE("a datagram that was cut or lengthened is dropped without an answer, and the whole one is taken") {
  EachForm each;
  for (const auto& [form, datagram] : each.datagrams) {
    CAPTURE(form);
    DatagramSeal fresh = sealed(node_b);
    for (std::size_t size = 0; size < datagram.size(); ++size) {
      CHECK(drop(each.b, datagram.substr(0, size)));
      CHECK(drop(fresh, datagram.substr(0, size)));
    }
    CHECK(drop(each.b, datagram + '\0'));
  }
  CHECK(std::holds_alternative<DatagramOpened>(hear(each.b, each.datagrams["short"])));
  CHECK(std::holds_alternative<DatagramOpened>(hear(each.b, each.datagrams["long"])));
}

TEST_CASE("a datagram with any one bit flipped is dropped without an answer, and leaves no trace") {
  EachForm each;
  for (const auto& [form, datagram] : each.datagrams) {
    CAPTURE(form);
    DatagramSeal fresh = sealed(node_b);
    for (std::size_t bit = 0; bit < datagram.size() * 8; ++bit) {
      std::string flipped = datagram;
      flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
      for (DatagramSeal* at : {&each.b, &fresh}) {
        const auto outcome = hear(*at, flipped);
        REQUIRE(std::holds_alternative<DatagramDropped>(outcome));
        CHECK_FALSE(std::get<DatagramDropped>(outcome).sender);
      }
    }
  }
  CHECK(std::holds_alternative<DatagramOpened>(hear(each.b, each.datagrams["short"])));
  CHECK(std::holds_alternative<DatagramOpened>(hear(each.b, each.datagrams["long"])));
}

TEST_CASE("a response with any one bit flipped proves nothing") {
  DatagramSeal a = sealed(node_a);
  DatagramSeal b = sealed(node_b);
  const auto challenge = expect<DatagramChallenge>(hear(b, say(a, node_b)));
  const std::string response = expect<DatagramResponse>(hear(a, challenge.datagram)).datagram;
  for (std::size_t bit = 0; bit < response.size() * 8; ++bit) {
    std::string flipped = response;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    CHECK(drop(b, flipped));
  }
  CHECK(b.senders() == 0);
  expect<DatagramProven>(hear(b, response));
}

TEST_CASE("a datagram is opened once, whatever the order") {
  DatagramSeal a = sealed(node_a);
  DatagramSeal b = sealed(node_b);
  prove(a, b);
  std::vector<std::string> sent;
  for (std::size_t i = 0; i < ReplayWindow::width + 1; ++i) sent.push_back(say(a, node_b));
  expect<DatagramOpened>(hear(b, sent.back()));
  CHECK(drop(b, sent.back()) == DropReason::replayed);
  CHECK(drop(b, sent.front()) == DropReason::replayed);  // Too old to tell.
  expect<DatagramOpened>(hear(b, sent[1]));
  CHECK(drop(b, sent[1]) == DropReason::replayed);
  expect<DatagramOpened>(hear(b, sent[500]));
}

TEST_CASE("what a node has sent itself is dropped when it comes back") {
  EachForm each;
  for (const auto& [form, datagram] : each.datagrams) {
    CHECK(drop(each.a, datagram) == DropReason::reflected);
  }
  DatagramSeal restarted = sealed(node_a, 101);
  CHECK(drop(restarted, each.datagrams["short"]) == DropReason::reflected);
  CHECK(drop(restarted, each.datagrams["long"]) == DropReason::reflected);
}

TEST_CASE("a stranger gets no answer, whatever it sends") {
  DatagramSeal b = sealed(node_b);
  const KeyRing other = ring_of({key('o')});
  DatagramSeal stranger(options(node_a), &other);
  CHECK(drop(b, say(stranger, node_b)) == DropReason::unknown_key);
  DatagramHeader header = header_of(DatagramForm::data, node_a, 5);
  std::string named;  // The right fingerprint, which is no secret, and no key.
  encode(header, named);
  CHECK(drop(b, named + std::string(100, 'x')) == DropReason::forged);
  std::mt19937 random(1);
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes(random() % 120, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    if (i % 2 == 0) bytes = named.substr(0, random() % (named.size() + 1)) + bytes;
    REQUIRE_FALSE(answered(hear(b, bytes)));
  }
  CHECK(b.senders() == 0);
}

TEST_CASE("a datagram of another cluster is told as such, and one that only names ours is forged") {
  DatagramSeal b = sealed(node_b);
  DatagramOptions foreign = options(node_a);
  foreign.cluster = std::string(16, 'D');
  DatagramSeal other(foreign, &ring());
  CHECK(drop(b, say(other, node_b)) == DropReason::foreign_cluster);
  foreign.cluster = cluster.substr(0, 15) + "D";
  DatagramSeal similar(foreign, &ring());
  CHECK(drop(b, say(similar, node_b)) == DropReason::forged);
}

TEST_CASE("a restarted receiver answers recordings with challenges only, and opens none of them ever") {
  DatagramSeal a = sealed(node_a);
  DatagramSeal b = sealed(node_b, 200);
  acquaint(a, b);
  std::vector<std::string> recorded;
  for (int i = 0; i < 8; ++i) recorded.push_back(say(a, i % 2 == 0 ? std::optional(node_b) : std::nullopt));
  DatagramSeal restarted = sealed(node_b, 201);
  for (const auto& datagram : recorded) {
    const auto outcome = hear(restarted, datagram);
    if (datagram.size() < 70) {
      CHECK(std::get<DatagramDropped>(outcome).reason == DropReason::unknown_sender);
    } else {
      CHECK(std::get<DatagramChallenge>(outcome).datagram.size() <= datagram.size());
    }
  }
  prove(a, restarted);
  for (const auto& datagram : recorded) CHECK(drop(restarted, datagram));
  expect<DatagramOpened>(hear(restarted, say(a, std::nullopt)));
}

TEST_CASE("two nodes find each other again when one of them was restarted, whoever speaks first") {
  for (const bool restarted_first : {false, true}) {
    DatagramSeal a = sealed(node_a, 100);
    DatagramSeal old_b = sealed(node_b, 200);
    acquaint(a, old_b);
    DatagramSeal b = sealed(node_b, 201);
    // Everything either says is delivered, and so is each answer.
    const auto talk = [](DatagramSeal& from, DatagramSeal& to, NodeId to_id) {
      auto outcome = hear(to, say(from, to_id));
      if (const auto* challenge = std::get_if<DatagramChallenge>(&outcome)) {
        const auto response = hear(from, challenge->datagram);
        if (const auto* answer = std::get_if<DatagramResponse>(&response)) (void)hear(to, answer->datagram);
      }
      return std::holds_alternative<DatagramOpened>(outcome);
    };
    bool heard_a = false;
    bool heard_b = false;
    for (int i = 0; i < 6; ++i) {
      heard_b = talk(b, a, node_a) || heard_b;
      if (!restarted_first || i > 1) heard_a = talk(a, b, node_b) || heard_a;
    }
    CHECK(heard_a);
    CHECK(heard_b);
    CHECK(say(a, node_b).size() == 37);
    CHECK(say(b, node_a).size() == 37);
  }
}

TEST_CASE("a restarted sender is heard once it has proven its generation, and the old one no more") {
  DatagramSeal a = sealed(node_a, 100);
  DatagramSeal b = sealed(node_b);
  prove(a, b);
  DatagramSeal restarted = sealed(node_a, 101);
  const auto challenge = expect<DatagramChallenge>(hear(b, say(restarted, node_b)));
  expect<DatagramOpened>(hear(b, say(a, node_b)));  // Not proven, so the old one still counts.
  expect<DatagramProven>(hear(b, expect<DatagramResponse>(hear(restarted, challenge.datagram)).datagram));
  CHECK(expect<DatagramOpened>(hear(b, say(restarted, node_b))).generation == 101);
  const auto outcome = hear(b, say(a, node_b));
  CHECK(std::get<DatagramDropped>(outcome).reason == DropReason::old_generation);
  CHECK(std::get<DatagramDropped>(outcome).sender == node_a);
  CHECK(b.senders() == 1);
}

TEST_CASE("a challenge to a generation that runs no more is not answered") {
  DatagramSeal a = sealed(node_a, 100);
  DatagramSeal b = sealed(node_b);
  const auto challenge = expect<DatagramChallenge>(hear(b, say(a, node_b)));
  DatagramSeal restarted = sealed(node_a, 101);
  CHECK(drop(restarted, challenge.datagram) == DropReason::stale_challenge);
}

TEST_CASE("a challenge can be answered in its time slot and the next, from the same address, once") {
  const Millis slot = DatagramSeal::challenge_slot;
  const auto response_to = [&](DatagramSeal& a, DatagramSeal& b, Millis asked) {
    const auto challenge = expect<DatagramChallenge>(hear(b, say(a, node_b), asked));
    return expect<DatagramResponse>(hear(a, challenge.datagram)).datagram;
  };
  DatagramSeal a = sealed(node_a);
  DatagramSeal late = sealed(node_b);
  const std::string response = response_to(a, late, slot - Millis(1));
  CHECK(drop(late, response, 2 * slot) == DropReason::stale_challenge);
  CHECK(std::holds_alternative<DatagramProven>(hear(late, response, 2 * slot - Millis(1))));
  CHECK(drop(late, response, 2 * slot - Millis(1)) == DropReason::stale_challenge);

  DatagramSeal elsewhere = sealed(node_b);
  const std::string moved = response_to(a, elsewhere, Millis(0));
  const auto outcome = elsewhere.open(moved, "another address", Millis(0));
  CHECK(std::get<DatagramDropped>(outcome).reason == DropReason::stale_challenge);

  DatagramSeal restarted = sealed(node_b);
  CHECK(drop(restarted, moved) == DropReason::stale_challenge);  // Its secret is another one.
}

TEST_CASE("of the answers to several challenges the first proves, and what came before it is not taken") {
  DatagramSeal a = sealed(node_a);
  DatagramSeal b = sealed(node_b);
  const std::string early = say(a, node_b);
  const auto one = expect<DatagramChallenge>(hear(b, early));
  const auto two = expect<DatagramChallenge>(hear(b, say(a, node_b)));
  const std::string late = expect<DatagramResponse>(hear(a, two.datagram)).datagram;
  expect<DatagramProven>(hear(b, expect<DatagramResponse>(hear(a, one.datagram)).datagram));
  CHECK(drop(b, late) == DropReason::stale_challenge);
  CHECK(drop(b, early) == DropReason::replayed);
}

TEST_CASE("a datagram that is shorter than a challenge is not answered") {
  DatagramSeal b = sealed(node_b);
  for (std::size_t size = 1; size < challenge_bytes; ++size) {
    const std::string small =
        sealed_by_hand(header_of(DatagramForm::data, node_a, size), std::string(size, 0));
    CHECK(drop(b, small) == DropReason::unanswerable);
  }
  const std::string least = sealed_by_hand(header_of(DatagramForm::data, node_a, 50), std::string(16, 0));
  CHECK(expect<DatagramChallenge>(hear(b, least)).datagram.size() == least.size());
}

TEST_CASE("whoever has the key and breaks the rules within a datagram is dropped by name") {
  DatagramSeal a = sealed(node_a);
  DatagramSeal b = sealed(node_b);
  prove(a, b);
  const auto from_a = [&](DatagramForm form, std::uint64_t counter, std::string_view plaintext) {
    const auto outcome = hear(b, sealed_by_hand(header_of(form, node_a, counter), plaintext));
    CHECK(std::get<DatagramDropped>(outcome).sender == node_a);
    return std::get<DatagramDropped>(outcome).reason;
  };
  CHECK(from_a(DatagramForm::data, 1000, "") == DropReason::malformed);
  CHECK(from_a(DatagramForm::data, 1001, std::string(5, '\x05')) == DropReason::malformed);
  CHECK(from_a(DatagramForm::data, 1002, "\xff") == DropReason::malformed);
  CHECK(from_a(DatagramForm::challenge, 1003, std::string(15, 0)) == DropReason::malformed);
  CHECK(from_a(DatagramForm::challenge, 1004, std::string(17, 0)) == DropReason::malformed);
  CHECK(from_a(DatagramForm::response, 1005, std::string(15, 0)) == DropReason::malformed);
  CHECK(from_a(DatagramForm::response, 1006, std::string(16, 0)) == DropReason::stale_challenge);
  CHECK(expect<DatagramOpened>(
            hear(b, sealed_by_hand(header_of(DatagramForm::data, node_a, 1007), std::string("ok\0", 3))))
            .plaintext == "ok");
}

TEST_CASE(
    "a datagram of another protocol version is told with its sender and its version, and not answered") {
  DatagramSeal b = sealed(node_b);
  for (const unsigned version : {0U, 6U, 8U, 255U}) {
    DatagramOptions newer = options(node_a);
    newer.version = static_cast<std::uint8_t>(version);
    DatagramSeal a(newer, &ring());
    const auto outcome = hear(b, say(a, node_b));
    const auto& dropped = std::get<DatagramDropped>(outcome);
    CHECK(dropped.reason == DropReason::unknown_version);
    CHECK(dropped.sender == node_a);
    CHECK(dropped.version == version);
  }
}

TEST_CASE("a generation ends with its counters, and a higher one goes on") {
  DatagramOptions last = options(node_a);
  last.first_counter = datagram_counter_max - 2;
  DatagramSeal a(last, &ring());
  DatagramSeal b = sealed(node_b);
  prove(a, b);
  expect<DatagramOpened>(hear(b, say(a, node_b)));
  const auto beyond = a.seal(node_b, "hello");
  REQUIRE_FALSE(beyond);
  CHECK(beyond.error().code == ErrorCode::refused);
  DatagramSeal stranger = sealed({0xcccc});
  CHECK(drop(a, say(stranger, node_a)) == DropReason::counter_end);
  CHECK(drop(a, expect<DatagramChallenge>(hear(b, say(stranger, node_b))).datagram) ==
        DropReason::counter_end);
  DatagramSeal next = sealed(node_a, 101);
  prove(next, b);
  expect<DatagramOpened>(hear(b, say(next, node_b)));
}

TEST_CASE("ids, generations and counters at their ends pass") {
  DatagramOptions extreme = options({u64_max}, u64_max);
  extreme.version = 255;
  extreme.cluster = std::string(16, '\xff');
  extreme.first_counter = datagram_counter_max - 2;
  DatagramOptions lowest = extreme;
  lowest.node = {0};
  lowest.generation = 1;
  lowest.first_counter = 0;
  DatagramSeal a(extreme, &ring());
  DatagramSeal b(lowest, &ring());
  prove(a, b);
  const auto opened = expect<DatagramOpened>(hear(b, say(a, NodeId{0})));
  CHECK(opened.sender == NodeId{u64_max});
  CHECK(opened.generation == u64_max);
}

TEST_CASE("a header survives encoding with every field at its ends, and nothing shorter is one") {
  for (const std::uint8_t form : {0, 1, 2, 3}) {
    for (const bool is_sealed : {false, true}) {
      for (const bool most : {false, true}) {
        DatagramHeader header{DatagramForm{form}, is_sealed, 0, {0}, 0, 0, 0, 0, 0};
        if (most) {
          header.key = form == 0 ? 0xff : 0xffffffff;
          header.sender = {u64_max};
          header.counter = datagram_counter_max;
          if (form != 0) {
            header.version = 0xff;
            header.cluster_tag = 0xffff;
            header.generation = header.receiver_generation = u64_max;
          }
        }
        std::string bytes;
        encode(header, bytes);
        CHECK(bytes.size() == header_bytes(header.form));
        CHECK(decode_datagram_header(bytes) == header);
        for (std::size_t size = 0; size < bytes.size(); ++size) {
          CHECK_FALSE(decode_datagram_header(std::string_view(bytes).substr(0, size)));
        }
      }
    }
  }
  for (unsigned first = 0; first < 256; ++first) {
    std::string bytes(long_header_bytes, '\0');
    bytes[0] = static_cast<char>(first);
    const bool known = (first >= 0x50 && first < 0x54) || (first >= 0x58 && first < 0x5c);
    CHECK(decode_datagram_header(bytes).has_value() == known);
  }
}

TEST_CASE("of more senders than are remembered the one heard longest ago must prove itself again") {
  DatagramOptions few = options(node_b);
  few.senders_max = 2;
  DatagramSeal b(few, &ring());
  DatagramSeal one = sealed({1});
  DatagramSeal two = sealed({2});
  DatagramSeal three = sealed({3});
  prove(one, b);
  prove(two, b);
  const std::string recorded = say(two, std::nullopt);
  expect<DatagramOpened>(hear(b, say(one, node_b)));
  prove(three, b);
  CHECK(b.senders() == 2);
  expect<DatagramOpened>(hear(b, say(one, node_b)));
  expect<DatagramChallenge>(hear(b, recorded));
  prove(two, b);
  CHECK(drop(b, recorded) == DropReason::replayed);
  CHECK(b.senders() == 2);
}

TEST_CASE("keys are rotated while datagrams are under way") {
  KeyRing ring_a = ring_of({key('k')});
  KeyRing ring_b = ring_a;
  DatagramSeal a(options(node_a), &ring_a);
  DatagramSeal b(options(node_b), &ring_b);
  acquaint(a, b);
  const std::string under_old = say(a, node_b);
  REQUIRE(ring_b.add(key('n')));
  b.set_keys(ring_b);
  expect<DatagramOpened>(hear(b, under_old));
  expect<DatagramOpened>(hear(b, say(a, node_b)));
  REQUIRE(ring_b.use(key('n').fingerprint()));
  b.set_keys(ring_b);
  CHECK(drop(a, say(b, node_a)) == DropReason::unknown_key);  // A has not heard of the new key yet.
  ring_a.merge(ring_b);
  a.set_keys(ring_a);
  expect<DatagramOpened>(hear(a, say(b, node_a)));
  const std::string last_under_old = say(a, node_b);
  expect<DatagramOpened>(hear(b, last_under_old));
  REQUIRE(ring_b.remove(key('k').fingerprint()));
  b.set_keys(ring_b);
  expect<DatagramOpened>(hear(b, say(a, node_b)));
  CHECK(drop(b, say(a, node_b)) == std::nullopt);
  DatagramSeal with_old = sealed({0xcccc});
  CHECK(drop(b, say(with_old, node_b)) == DropReason::unknown_key);
}

TEST_CASE("a short datagram opens at the node and the generation that it was made for alone") {
  DatagramSeal a = sealed(node_a);
  DatagramSeal b = sealed(node_b, 200);
  DatagramSeal c = sealed({0xcccc}, 200);
  acquaint(a, b);
  prove(a, c);
  const std::string for_b = say(a, node_b);
  CHECK(drop(c, for_b) == DropReason::forged);
  DatagramSeal restarted = sealed(node_b, 201);
  prove(a, restarted);
  CHECK(drop(restarted, for_b) == DropReason::forged);
  expect<DatagramOpened>(hear(b, for_b));
}

TEST_CASE("keyless, the same rules hold but for secrecy and proof") {
  DatagramSeal a(options(node_a), nullptr);
  DatagramSeal b(options(node_b), nullptr);
  acquaint(a, b);
  const std::string datagram = say(a, node_b, "in the clear");
  CHECK(datagram.find("in the clear") != std::string::npos);
  CHECK(datagram.size() == short_header_bytes + 12 + checksum_tag_bytes);
  for (std::size_t bit = 0; bit < datagram.size() * 8; ++bit) {
    std::string flipped = datagram;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    CHECK(drop(b, flipped));
  }
  CHECK(expect<DatagramOpened>(hear(b, datagram)).plaintext == "in the clear");
  CHECK(drop(b, datagram) == DropReason::replayed);
  CHECK(drop(a, datagram) == DropReason::reflected);
  DatagramSeal restarted(options(node_b, 101), nullptr);
  const auto unproven = say(a, std::nullopt, "");
  CHECK(expect<DatagramChallenge>(hear(restarted, unproven)).datagram.size() <= unproven.size());
}

TEST_CASE("a node that encrypts and one that does not tell each other apart") {
  DatagramSeal plain(options(node_a), nullptr);
  DatagramSeal b = sealed(node_b);
  CHECK(drop(b, say(plain, node_b)) == DropReason::other_mode);
  CHECK(drop(plain, say(b, node_a)) == DropReason::other_mode);
  CHECK(b.counts().dropped[static_cast<std::size_t>(DropReason::other_mode)] == 1);
}

TEST_CASE("every reason for dropping a datagram has a name of its own") {
  std::map<std::string_view, int> names;
  for (std::size_t i = 0; i < drop_reasons; ++i) ++names[name(DropReason{static_cast<std::uint8_t>(i)})];
  CHECK(names.size() == drop_reasons);
  CHECK_FALSE(names.contains("unknown"));
}
