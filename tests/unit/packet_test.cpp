#include "gossip/packet.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "member_records.h"

using namespace knit;
using namespace knit::member_records;

namespace {

std::string again(const Update& update) {
  return update.brief ? encode_brief_update(update.member, update.accuser) : encode_update(update.member);
}

std::string again(const Packet& packet) {
  std::string bytes = encode(packet.body);
  ByteWriter out(bytes);
  for (const Update& update : packet.updates) out.bytes(again(update));
  return bytes;
}

std::string with_updates(std::string packet, const std::vector<std::string>& updates) {
  ByteWriter out(packet);
  for (const std::string& update : updates) out.bytes(update);
  return packet;
}

Compare compare(std::uint8_t depth, std::size_t parts) {
  Compare out{depth, {}};
  for (std::size_t i = 0; i < parts; ++i) out.parts.push_back({static_cast<std::uint8_t>(i), 0xffffffff});
  return out;
}

// All kinds of bodies, with every field at its least and at its greatest.
std::vector<PacketBody> bodies() {
  constexpr std::uint32_t top = 0xffffffff;
  Endpoint last;
  last.ip.fill(0xff);
  last.port = 65535;
  return {Ping{},
          Ping{top, {most}, {most, most}},
          Ack{},
          Ack{top, {most, most}},
          PingRequest{0, {1}, endpoint(0)},
          PingRequest{top, {most}, last},
          Nack{},
          Nack{top},
          News{},
          compare(0, 0),
          compare(0, 1),
          compare(1, 16),
          compare(2, 256),
          Records{},
          Records{true, {}, {most}},
          Records{false, {most}, {most}}};
}

std::vector<std::string> updates(ProfilePool& pool) {
  Member large = member(pool, most, most, most_incarnations, MemberState::alive);
  large.profile = pool.take(largest_profile());
  std::vector<std::string> out{encode_update(large)};
  for (std::uint8_t state = 0; state <= 4; ++state) {
    out.push_back(encode_update(member(pool, 1, 0, 0, MemberState{state})));
    out.push_back(encode_brief_update(member(pool, 1, most, most_incarnations, MemberState{state}), {most}));
    out.push_back(encode_brief_update(member(pool, most, 0, 0, MemberState{state}), {}));
  }
  return out;
}

void expect_same_or_nothing(const std::string& bytes, ProfilePool& pool) {
  const auto packet = decode_packet(bytes, pool);
  if (packet) REQUIRE(again(*packet) == bytes);
}

}  // namespace

TEST_CASE("packets come back from their bytes, with every field at its extremes") {
  ProfilePool pool;
  for (const PacketBody& body : bodies()) {
    const std::string bytes = with_updates(encode(body), updates(pool));
    const auto packet = decode_packet(bytes, pool);
    REQUIRE(packet);
    CHECK(packet->body.index() == body.index());
    CHECK(packet->updates.size() == updates(pool).size());
    CHECK(again(*packet) == bytes);
  }
}

TEST_CASE("fields keep their values") {
  ProfilePool pool;
  const std::string bytes = encode(Ping{7, {8}, {9, 10}});
  const Ping ping = std::get<Ping>(decode_packet(bytes, pool)->body);
  CHECK(ping.sequence == 7);
  CHECK(ping.target == NodeId{8});
  CHECK(ping.heads.members == 9);
  CHECK(ping.heads.state == 10);
  const Member suspect = member(pool, 1, 2, 3, MemberState::suspect, "beta");
  const auto told = decode_packet(
      with_updates(encode(News{}), {encode_brief_update(suspect, {4}), encode_update(suspect)}), pool);
  REQUIRE(told);
  CHECK(told->updates[0].brief);
  CHECK(told->updates[0].accuser == NodeId{4});
  CHECK(told->updates[0].member.profile == PooledProfile());
  CHECK_FALSE(told->updates[1].brief);
  CHECK(told->updates[1].member.profile->name == "beta");
  CHECK(digest_of(told->updates[1].member) == digest_of(suspect));
}

TEST_CASE("a packet cut short is refused, unless it ends between two updates") {
  ProfilePool pool;
  for (const PacketBody& body : bodies()) {
    const std::string head = encode(body);
    std::vector<std::size_t> ends{head.size()};
    std::string bytes = head;
    for (const std::string& update : updates(pool)) {
      bytes = with_updates(std::move(bytes), {update});
      ends.push_back(bytes.size());
    }
    for (std::size_t size = 0; size <= bytes.size(); ++size) {
      const bool whole = std::find(ends.begin(), ends.end(), size) != ends.end();
      REQUIRE(decode_packet(bytes.substr(0, size), pool).has_value() == whole);
    }
  }
}

TEST_CASE("a flipped bit is refused or becomes another packet, of the same bytes") {
  ProfilePool pool;
  for (const PacketBody& body : bodies()) {
    std::string bytes = with_updates(encode(body), updates(pool));
    for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
      bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
      expect_same_or_nothing(bytes, pool);
      bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
    }
  }
}

TEST_CASE("random bytes are refused or become a packet, of the same bytes") {
  ProfilePool pool;
  Random random(1);
  for (int round = 0; round < 50'000; ++round) {
    std::string bytes(random() % 40, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random() % (round % 2 == 0 ? 256 : 8));
    expect_same_or_nothing(bytes, pool);
  }
}

TEST_CASE("parts of lists ascend, and lie within their depth") {
  ProfilePool pool;
  const auto fits = [&](const Compare& compare) { return decode_packet(encode(compare), pool).has_value(); };
  CHECK(fits({1, {{0, 1}, {15, 1}}}));
  CHECK_FALSE(fits({1, {{1, 1}, {0, 1}}}));
  CHECK_FALSE(fits({1, {{1, 1}, {1, 1}}}));
  CHECK_FALSE(fits({1, {{16, 1}}}));
  CHECK_FALSE(fits({0, {{1, 1}}}));
  CHECK(fits({2, {{255, 1}}}));
  CHECK_FALSE(fits({3, {{0, 1}}}));
  CHECK_FALSE(fits({255, {}}));
}

TEST_CASE("bounds of records are in order") {
  ProfilePool pool;
  CHECK(decode_packet(encode(Records{true, {3}, {3}}), pool));
  CHECK_FALSE(decode_packet(encode(Records{true, {4}, {3}}), pool));
  std::string odd = encode(Records{true, {3}, {3}});
  odd[1] = 2;
  CHECK_FALSE(decode_packet(odd, pool));
}

TEST_CASE("a ping request names whom to ask") {
  ProfilePool pool;
  CHECK(decode_packet(encode(PingRequest{1, {1}, endpoint(1)}), pool));
  CHECK_FALSE(decode_packet(encode(PingRequest{1, {}, endpoint(1)}), pool));
  CHECK_FALSE(decode_packet(encode(PingRequest{1, {1}, Endpoint{}}), pool));
}

TEST_CASE("a declared count costs nothing") {
  ProfilePool pool;
  std::string bytes("\x06\x02", 2);
  ByteWriter(bytes).varint(most);
  CHECK_FALSE(decode_packet(bytes, pool));
  std::string update("\x05", 1);
  ByteWriter(update).varint(most);
  CHECK_FALSE(decode_packet(update, pool));
}

TEST_CASE("a packet holds so many updates and no more") {
  ProfilePool pool;
  const std::string update = encode_brief_update(member(pool, 1, 0, 0, MemberState::dead), {});
  std::vector<std::string> many(updates_per_packet_max, update);
  CHECK(decode_packet(with_updates(encode(News{}), many), pool));
  many.push_back(update);
  CHECK_FALSE(decode_packet(with_updates(encode(News{}), many), pool));
}

TEST_CASE("an update of no known form is refused") {
  ProfilePool pool;
  for (const std::string& update :
       {std::string(), std::string("\x02"), std::string("\xff"), std::string("\0", 1), std::string("\x01")}) {
    CHECK_FALSE(decode_packet(with_updates(encode(News{}), {update}), pool));
  }
  const std::string brief = encode_brief_update(member(pool, 1, 0, 0, MemberState::dead), {});
  CHECK_FALSE(decode_packet(with_updates(encode(News{}), {brief + "x"}), pool));
  std::string nobody = brief;
  std::fill(nobody.begin() + 1, nobody.begin() + 9, '\0');
  CHECK_FALSE(decode_packet(with_updates(encode(News{}), {nobody}), pool));
}

TEST_CASE("a packet that was refused leaves nothing in the pool") {
  ProfilePool pool;
  std::string bytes;
  {
    ProfilePool elsewhere;
    bytes = with_updates(encode(News{}), {encode_update(member(elsewhere, 1, 0, 0, MemberState::alive))});
  }
  CHECK_FALSE(decode_packet(bytes + "x", pool));
  CHECK(pool.size() == 0);
}
