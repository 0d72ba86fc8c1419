#include "gossip/member.h"

#include <array>
#include <limits>
#include <tuple>

#include "base/hash.h"

namespace knit {

namespace {

constexpr std::size_t head_bytes_max = 8 + 10 + 5 + 1;

template <class T>
std::optional<T> successor(T number) {
  if (number.value == std::numeric_limits<decltype(number.value)>::max()) return std::nullopt;
  return T{number.value + 1};
}

void encode_head(const Member& member, ByteWriter& out) {
  out.u64(member.id.value);
  out.varint(member.generation.value);
  out.varint(member.incarnation.value);
  out.u8(static_cast<std::uint8_t>(member.state));
}

}  // namespace

std::optional<Generation> Generation::next() const { return successor(*this); }
std::optional<Incarnation> Incarnation::next() const { return successor(*this); }

std::string_view name(MemberState state) {
  switch (state) {
    case MemberState::alive: return "alive";
    case MemberState::suspect: return "suspect";
    case MemberState::dead: return "dead";
    case MemberState::left: return "left";
    case MemberState::forgotten: return "forgotten";
  }
  return "";
}

bool supersedes(const Member& a, const Member& b) {
  const auto rank = [](const Member& m) {
    const bool forgotten = m.state == MemberState::forgotten;
    if (forgotten) return std::tuple(m.generation, true, Incarnation{}, m.state, std::uint64_t{0});
    return std::tuple(m.generation, false, m.incarnation, m.state, m.profile.hash());
  };
  return rank(a) > rank(b);
}

void encode(const Member& member, ByteWriter& out) {
  encode_head(member, out);
  out.bytes(member.profile.encoded());
}

std::size_t encoded_bytes(const Member& member) {
  return head_bytes_max + 2 + member.profile.encoded().size();
}

Member decode_member(ByteReader& in, ProfilePool& pool) {
  Member member;
  member.id.value = in.u64();
  member.generation.value = in.varint();
  const std::uint64_t incarnation = in.varint();
  const std::uint8_t state = in.u8();
  const bool fits = incarnation <= std::numeric_limits<std::uint32_t>::max();
  if (!fits || state > static_cast<std::uint8_t>(MemberState::forgotten)) in.fail();
  const std::string_view bytes = in.bytes();
  if (!in.ok()) return {};
  auto profile = pool.take(bytes);
  if (!profile || member.id.value == 0) {
    in.fail();
    return {};
  }
  member.incarnation.value = static_cast<std::uint32_t>(incarnation);
  member.state = static_cast<MemberState>(state);
  member.profile = std::move(*profile);
  return member;
}

std::uint64_t digest_of(const Member& member) {
  std::array<std::uint64_t, 4> words{member.id.value, member.generation.value,
                                     static_cast<std::uint64_t>(member.state), 0};
  if (member.state != MemberState::forgotten) {
    words[2] |= std::uint64_t{member.incarnation.value} << 8;
    words[3] = member.profile.hash();
  }
  return checksum({reinterpret_cast<const char*>(words.data()), sizeof words});
}

}  // namespace knit
