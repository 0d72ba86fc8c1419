#include "node/wire.h"

#define MSGPACK_NO_BOOST
#include <msgpack.hpp>

#include "base/bytes.h"
#include "base/check.h"

namespace knit {

namespace {

enum class Kind : std::uint64_t {
  hello = 0,
  status = 1,
  exchange_open = 2,
  exchange_turn = 3,
  exchange_end = 4,
  gossip = 5,
  stream_batch = 6,
  stream_ack = 7,
  join_request = 8,
  welcome = 9,
  keys = 10,
  row_request = 11,
  row_reply = 12,
  row_repair = 13
};

constexpr std::size_t fields_max = 24;
constexpr std::size_t text_bytes_max = 1024;
constexpr std::size_t depth_max = 2;

using Packer = msgpack::packer<msgpack::sbuffer>;

void pack_binary(Packer& out, std::string_view bytes) {
  out.pack_bin(static_cast<std::uint32_t>(bytes.size()));
  out.pack_bin_body(bytes.data(), static_cast<std::uint32_t>(bytes.size()));
}

// All of a binary field but its bytes.
void pack_head_of(Packer& out, std::string_view payload) {
  out.pack_bin(static_cast<std::uint32_t>(payload.size()));
}

template <class M>
std::string_view payload_of(const M& m) {
  if constexpr (requires { m.payload; }) return m.payload;
  return {};
}

std::string packed_root(Uint128 root) {
  std::string bytes;
  ByteWriter(bytes).u128(root);
  return bytes;
}

void begin(Packer& out, Kind kind, std::uint32_t fields) {
  check(fields < fields_max, "peers take as many fields");
  out.pack_array(fields + 1);
  out.pack(static_cast<std::uint64_t>(kind));
}

void pack(Packer& out, const Hello& m) {
  begin(out, Kind::hello, 9);
  out.pack(m.protocol_min).pack(m.protocol_max);
  pack_binary(out, m.cluster_id);
  out.pack(m.node.value).pack(m.actor.value).pack(m.boot);
  out.pack(m.name).pack(m.address).pack(m.version);
}

void pack(Packer& out, const Status& m) {
  begin(out, Kind::status, 20);
  pack_binary(out, packed_root(m.root));
  out.pack(m.tree_complete).pack(m.keys).pack(m.clock_whole);
  pack_binary(out, m.clock);
  pack_binary(out, m.floor);
  pack_binary(out, m.purged);
  out.pack(m.batches).pack(m.turns).pack(m.rows).pack(m.floor_number).pack(m.fenced_at).pack(m.time.millis);
  out.pack(m.expired.millis).pack(m.floor_expired.millis).pack(m.purged_expired.millis).pack(m.passes);
  out.pack(m.meeting).pack(m.meeting_heard);
  pack_binary(out, m.lags);
}

void pack(Packer& out, const Gossip& m) {
  begin(out, Kind::gossip, 1);
  pack_head_of(out, m.payload);
}

void pack(Packer& out, const Keys& m) {
  begin(out, Kind::keys, 1);
  pack_head_of(out, m.payload);
}

void pack(Packer& out, const JoinRequest& m) {
  begin(out, Kind::join_request, 4);
  out.pack(m.protocol_min).pack(m.protocol_max).pack(m.name).pack(m.version);
}

void pack(Packer& out, const Welcome& m) {
  begin(out, Kind::welcome, 4);
  out.pack(m.cluster_name);
  pack_binary(out, m.cluster_id);
  pack_binary(out, m.position_key);
  pack_binary(out, m.digest_key);
}

void pack(Packer& out, const StreamBatch& m) {
  begin(out, Kind::stream_batch, 4);
  out.pack(m.epoch).pack(m.number);
  pack_binary(out, m.seen);
  pack_head_of(out, m.payload);
}

void pack(Packer& out, const StreamAck& m) {
  begin(out, Kind::stream_ack, 3);
  out.pack(m.epoch).pack(m.number).pack(m.accepted);
}

void pack_exchange(Packer& out, Kind kind, std::uint64_t session, std::string_view payload) {
  begin(out, kind, 2);
  out.pack(session);
  pack_head_of(out, payload);
}

void pack(Packer& out, const ExchangeOpen& m) {
  pack_exchange(out, Kind::exchange_open, m.session, m.payload);
}
void pack(Packer& out, const ExchangeTurn& m) {
  pack_exchange(out, Kind::exchange_turn, m.session, m.payload);
}

void pack(Packer& out, const ExchangeEnd& m) {
  begin(out, Kind::exchange_end, 2);
  out.pack(m.session).pack(m.reason);
}

void pack(Packer& out, const RowRequest& m) {
  begin(out, Kind::row_request, 2);
  out.pack(m.read);
  pack_binary(out, m.row_key);
}

void pack(Packer& out, const RowReply& m) {
  begin(out, Kind::row_reply, 5);
  out.pack(m.read).pack(static_cast<std::uint64_t>(m.state));
  pack_binary(out, m.clear);
  pack_binary(out, m.row_key);
  pack_head_of(out, m.payload);
}

void pack(Packer& out, const RowRepair& m) {
  begin(out, Kind::row_repair, 3);
  pack_binary(out, m.clear);
  pack_binary(out, m.row_key);
  pack_head_of(out, m.payload);
}

// Takes the fields of an array one by one; bad for good after the first that is not as expected.
class Fields {
 public:
  explicit Fields(const msgpack::object& object) {
    if (object.type != msgpack::type::ARRAY) return;
    next_ = object.via.array.ptr;
    end_ = next_ + object.via.array.size;
    ok_ = true;
  }

  std::uint64_t number() {
    const auto* field = take(msgpack::type::POSITIVE_INTEGER);
    return field == nullptr ? 0 : field->via.u64;
  }
  bool boolean() {
    const auto* field = take(msgpack::type::BOOLEAN);
    return field != nullptr && field->via.boolean;
  }
  std::string_view binary() {
    const auto* field = take(msgpack::type::BIN);
    return field == nullptr ? std::string_view{} : std::string_view(field->via.bin.ptr, field->via.bin.size);
  }
  std::string text() {
    const auto* field = take(msgpack::type::STR);
    return field == nullptr ? std::string{} : std::string(field->via.str.ptr, field->via.str.size);
  }
  void require(bool fact) { ok_ = ok_ && fact; }
  bool done() const { return ok_ && next_ == end_; }

 private:
  const msgpack::object* take(msgpack::type::object_type type) {
    if (!ok_ || next_ == end_ || next_->type != type) {
      ok_ = false;
      return nullptr;
    }
    return next_++;
  }

  const msgpack::object* next_ = nullptr;
  const msgpack::object* end_ = nullptr;
  bool ok_ = false;
};

Message read_hello(Fields& in) {
  Hello m;
  m.protocol_min = in.number();
  m.protocol_max = in.number();
  m.cluster_id = in.binary();
  m.node = {in.number()};
  m.actor = {in.number()};
  m.boot = in.number();
  m.name = in.text();
  m.address = in.text();
  m.version = in.text();
  return m;
}

template <class M>
Message read_payload(Fields& in) {
  return M{in.binary()};
}

Message read_join_request(Fields& in) {
  JoinRequest m;
  m.protocol_min = in.number();
  m.protocol_max = in.number();
  m.name = in.text();
  m.version = in.text();
  return m;
}

Message read_welcome(Fields& in) {
  Welcome m;
  m.cluster_name = in.text();
  m.cluster_id = in.binary();
  m.position_key = in.binary();
  m.digest_key = in.binary();
  return m;
}

Message read_status(Fields& in) {
  Status m;
  const std::string_view root = in.binary();
  in.require(root.size() == sizeof(m.root));
  m.root = ByteReader(root).u128();
  m.tree_complete = in.boolean();
  m.keys = in.number();
  m.clock_whole = in.boolean();
  m.clock = in.binary();
  m.floor = in.binary();
  m.purged = in.binary();
  m.batches = in.number();
  m.turns = in.number();
  m.rows = in.number();
  m.floor_number = in.number();
  in.require(m.floor_number != 0);
  m.fenced_at = in.number();
  m.time = {in.number()};
  m.expired = {in.number()};
  m.floor_expired = {in.number()};
  m.purged_expired = {in.number()};
  m.passes = in.boolean();
  m.meeting = in.number();
  m.meeting_heard = in.number();
  m.lags = in.binary();
  return m;
}

Message read_batch(Fields& in) {
  StreamBatch m;
  m.epoch = in.number();
  m.number = in.number();
  m.seen = in.binary();
  m.payload = in.binary();
  return m;
}

Message read_ack(Fields& in) {
  StreamAck m;
  m.epoch = in.number();
  m.number = in.number();
  m.accepted = in.boolean();
  return m;
}

template <class M>
Message read_exchange(Fields& in) {
  M m;
  m.session = in.number();
  m.payload = in.binary();
  return m;
}

Message read_end(Fields& in) {
  ExchangeEnd m;
  m.session = in.number();
  m.reason = in.text();
  return m;
}

Message read_row_request(Fields& in) {
  RowRequest m;
  m.read = in.number();
  m.row_key = in.binary();
  return m;
}

Message read_row_reply(Fields& in) {
  RowReply m;
  m.read = in.number();
  const std::uint64_t state = in.number();
  in.require(state <= static_cast<std::uint64_t>(RowReply::State::refused));
  m.state = static_cast<RowReply::State>(state);
  m.clear = in.binary();
  m.row_key = in.binary();
  m.payload = in.binary();
  return m;
}

Message read_row_repair(Fields& in) {
  RowRepair m;
  m.clear = in.binary();
  m.row_key = in.binary();
  m.payload = in.binary();
  return m;
}

Result<Message> read(const msgpack::object& object) {
  Fields in(object);
  const std::uint64_t kind = in.number();
  in.require(kind <= static_cast<std::uint64_t>(Kind::row_repair));
  Message message = [&]() -> Message {
    switch (static_cast<Kind>(kind)) {
      case Kind::hello: return read_hello(in);
      case Kind::status: return read_status(in);
      case Kind::exchange_open: return read_exchange<ExchangeOpen>(in);
      case Kind::exchange_turn: return read_exchange<ExchangeTurn>(in);
      case Kind::exchange_end: return read_end(in);
      case Kind::gossip: return read_payload<Gossip>(in);
      case Kind::stream_batch: return read_batch(in);
      case Kind::stream_ack: return read_ack(in);
      case Kind::join_request: return read_join_request(in);
      case Kind::welcome: return read_welcome(in);
      case Kind::keys: return read_payload<Keys>(in);
      case Kind::row_request: return read_row_request(in);
      case Kind::row_reply: return read_row_reply(in);
      case Kind::row_repair: return read_row_repair(in);
    }
    return ExchangeEnd{};
  }();
  if (!in.done()) return fail(ErrorCode::bad_input, "a message with wrong fields");
  return message;
}

}  // namespace

// A payload is the last field, and may be long: it is copied once.
std::string encode(const Message& message) {
  msgpack::sbuffer buffer;
  Packer out(buffer);
  const std::string_view payload = std::visit(
      [&](const auto& m) {
        pack(out, m);
        return payload_of(m);
      },
      message);
  std::string bytes;
  bytes.reserve(buffer.size() + payload.size());
  bytes.append(buffer.data(), buffer.size());
  bytes.append(payload);
  return bytes;
}

Result<Message> decode_message(std::string_view bytes) {
  const msgpack::unpack_limit limit(fields_max, 0, text_bytes_max, exchange_message_bytes_max, 0, depth_max);
  const auto by_reference = [](msgpack::type::object_type, std::size_t, void*) { return true; };
  try {
    std::size_t offset = 0;
    msgpack::object_handle handle;
    bool referenced = false;
    msgpack::unpack(handle, bytes.data(), bytes.size(), offset, referenced, by_reference, nullptr, limit);
    if (offset != bytes.size()) return fail(ErrorCode::bad_input, "bytes after the end of a message");
    return read(handle.get());
  } catch (const std::exception&) {  // msgpack throws on hostile bytes, and on nothing else.
    return fail(ErrorCode::bad_input, "not a msgpack message within the limits");
  }
}

}  // namespace knit
