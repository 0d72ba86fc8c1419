#include "gossip/packet.h"

#include <limits>

namespace knit {

namespace {

enum class Kind : std::uint8_t { ping = 1, ack, ping_request, nack, news, compare, records };
enum class Form : std::uint8_t { record = 0, brief = 1 };

constexpr std::uint8_t depth_max = 2;

void put(Heads heads, ByteWriter& out) {
  out.u64(heads.members);
  out.u64(heads.state);
}

void put(const Ping& m, ByteWriter& out) {
  out.u8(static_cast<std::uint8_t>(Kind::ping));
  out.u32(m.sequence);
  out.u64(m.target.value);
  put(m.heads, out);
}

void put(const Ack& m, ByteWriter& out) {
  out.u8(static_cast<std::uint8_t>(Kind::ack));
  out.u32(m.sequence);
  put(m.heads, out);
}

void put(const PingRequest& m, ByteWriter& out) {
  out.u8(static_cast<std::uint8_t>(Kind::ping_request));
  out.u32(m.sequence);
  out.u64(m.target.value);
  m.endpoint.encode(out);
}

void put(const Nack& m, ByteWriter& out) {
  out.u8(static_cast<std::uint8_t>(Kind::nack));
  out.u32(m.sequence);
}

void put(const News&, ByteWriter& out) { out.u8(static_cast<std::uint8_t>(Kind::news)); }

void put(const Compare& m, ByteWriter& out) {
  out.u8(static_cast<std::uint8_t>(Kind::compare));
  out.u8(m.depth);
  out.varint(m.parts.size());
  for (const Compare::Part& part : m.parts) {
    out.u8(part.prefix);
    out.u32(part.digest);
  }
}

void put(const Records& m, ByteWriter& out) {
  out.u8(static_cast<std::uint8_t>(Kind::records));
  out.u8(m.reply ? 1 : 0);
  out.u64(m.low.value);
  out.u64(m.high.value);
}

Heads read_heads(ByteReader& in) {
  Heads heads;
  heads.members = in.u64();
  heads.state = in.u64();
  return heads;
}

Compare read_compare(ByteReader& in) {
  Compare out;
  out.depth = in.u8();
  if (out.depth > depth_max) in.fail();
  const std::size_t most = std::size_t{1} << (4 * std::min(out.depth, depth_max));
  for (std::size_t left = in.count(5, most); left > 0; --left) {
    const std::uint8_t prefix = in.u8();
    const bool ascends = out.parts.empty() || out.parts.back().prefix < prefix;
    if (!ascends || prefix >= most) in.fail();
    out.parts.push_back({prefix, in.u32()});
  }
  return out;
}

Records read_records(ByteReader& in) {
  Records out;
  const std::uint8_t reply = in.u8();
  out.reply = reply == 1;
  out.low.value = in.u64();
  out.high.value = in.u64();
  if (reply > 1 || out.low > out.high) in.fail();
  return out;
}

PacketBody read_body(ByteReader& in) {
  switch (static_cast<Kind>(in.u8())) {
    case Kind::ping: {
      const std::uint32_t sequence = in.u32();
      const NodeId target{in.u64()};
      return Ping{sequence, target, read_heads(in)};
    }
    case Kind::ack: {
      const std::uint32_t sequence = in.u32();
      return Ack{sequence, read_heads(in)};
    }
    case Kind::ping_request: {
      const std::uint32_t sequence = in.u32();
      const NodeId target{in.u64()};
      if (target.value == 0) in.fail();  // Whoever is there would vouch for it.
      return PingRequest{sequence, target, Endpoint::decode(in)};
    }
    case Kind::nack: return Nack{in.u32()};
    case Kind::news: return News{};
    case Kind::compare: return read_compare(in);
    case Kind::records: return read_records(in);
  }
  in.fail();
  return News{};
}

Member read_brief(ByteReader& in) {
  Member member;
  member.id.value = in.u64();
  member.generation.value = in.varint();
  const std::uint64_t incarnation = in.varint();
  const std::uint8_t state = in.u8();
  const bool fits = incarnation <= std::numeric_limits<std::uint32_t>::max();
  if (!fits || state > static_cast<std::uint8_t>(MemberState::forgotten) || member.id.value == 0) in.fail();
  member.incarnation.value = static_cast<std::uint32_t>(incarnation);
  member.state = static_cast<MemberState>(state);
  return member;
}

bool read_update(std::string_view bytes, ProfilePool& pool, Update& out) {
  ByteReader in(bytes);
  const std::uint8_t form = in.u8();
  if (form > static_cast<std::uint8_t>(Form::brief)) return false;
  out.brief = form == static_cast<std::uint8_t>(Form::brief);
  out.member = out.brief ? read_brief(in) : decode_member(in, pool);
  if (out.brief && out.member.state == MemberState::suspect) out.accuser.value = in.u64();
  return in.done();
}

}  // namespace

std::string encode(const PacketBody& body) {
  std::string bytes;
  ByteWriter out(bytes);
  std::visit([&](const auto& each) { put(each, out); }, body);
  return bytes;
}

std::string encode_update(const Member& member) {
  std::string bytes;
  ByteWriter out(bytes);
  out.u8(static_cast<std::uint8_t>(Form::record));
  encode(member, out);
  return bytes;
}

std::string encode_brief_update(const Member& member, NodeId accuser) {
  std::string bytes;
  ByteWriter out(bytes);
  out.u8(static_cast<std::uint8_t>(Form::brief));
  out.u64(member.id.value);
  out.varint(member.generation.value);
  out.varint(member.incarnation.value);
  out.u8(static_cast<std::uint8_t>(member.state));
  if (member.state == MemberState::suspect) out.u64(accuser.value);
  return bytes;
}

Result<Packet> decode_packet(std::string_view bytes, ProfilePool& pool) {
  ByteReader in(bytes);
  Packet packet{read_body(in), {}};
  while (in.ok() && in.left() > 0) {
    if (packet.updates.size() >= updates_per_packet_max)
      return fail(ErrorCode::bad_input, "too many updates");
    const std::string_view update = in.bytes();
    packet.updates.emplace_back();
    if (!in.ok() || !read_update(update, pool, packet.updates.back())) {
      return fail(ErrorCode::bad_input, "a packet with an update that cannot be understood");
    }
  }
  if (!in.done()) return fail(ErrorCode::bad_input, "a packet that cannot be understood");
  return packet;
}

}  // namespace knit
