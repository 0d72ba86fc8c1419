// A packet from anybody in the cluster: decoding it, and what a member makes of it. Two bytes in front choose
// who sent it, how, and how much time has passed.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "gossip/swim.h"

using namespace knit;

namespace {

constexpr std::size_t members_max = 8;
constexpr NodeId self{0x0100000000000001};

Endpoint endpoint(std::uint8_t number) {
  Endpoint out;
  out.ip = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, number};
  out.port = 7400;
  return out;
}

Profile profile(std::uint8_t number) {
  Profile out;
  out.name = "node";
  out.endpoint = endpoint(number);
  return out;
}

Member member(ProfilePool& pool, std::uint8_t number, MemberState state) {
  Member out;
  out.id = {(std::uint64_t{number} << 56) | number};
  out.profile = pool.take(profile(number));
  out.state = state;
  return out;
}

void expect_same_bytes(std::string_view bytes, const Packet& packet) {
  std::string again = encode(packet.body);
  ByteWriter out(again);
  for (const Update& update : packet.updates) {
    out.bytes(update.brief ? encode_brief_update(update.member, update.accuser)
                           : encode_update(update.member));
  }
  check(again == bytes, "what decodes has one form");
}

void expect_whole(const MemberList& members) {
  std::uint64_t sum = 0;
  members.visit([&](const Member& each) { sum += digest_of(each); });
  check(sum == members.digest(), "a digest is the sum over the list");
  check(members.size() <= members_max, "a list has a limit");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  ProfilePool pool;
  if (const auto packet = decode_packet(bytes, pool)) expect_same_bytes(bytes, *packet);

  SwimOptions options;
  options.members_max = members_max;
  options.updates_max = 4;
  Now now{{1'000'000}, Millis{10'000}};
  Swim swim(options, pool, self, Generation{1}, profile(1), data[0], now);
  swim.restore({member(pool, 2, MemberState::alive), member(pool, 3, MemberState::dead),
                member(pool, 4, MemberState::left)});
  SwimOutbox out;
  swim.on_link_up({(std::uint64_t{2} << 56) | 2}, now, out);
  for (int twice = 0; twice < 2; ++twice) {
    const std::uint8_t number = data[0] % 6;
    const Swim::Source from{
        {(std::uint64_t{number} << 56) | number}, endpoint(number), (data[0] & 0x80) != 0};
    swim.on_packet(from, bytes, now, out);
    now.steady += Millis{data[1] * 8};
    swim.on_tick(now, out);
    check(swim.next_tick() > now.steady, "a tick has an end");
  }
  expect_whole(swim.members());
  check(swim.self().is_present(), "nobody else makes a node leave");
  check(swim.queue_length() <= options.updates_max, "news that waits has a limit");
  return 0;
}
