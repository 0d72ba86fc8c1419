#include "gossip/datagram_header.h"

#include "base/bytes.h"

namespace knit {

namespace {

constexpr std::uint8_t sealed_forms = 0x50;
constexpr std::uint8_t plain_forms = 0x58;
constexpr unsigned counter_bytes = 6;

}  // namespace

std::size_t header_bytes(DatagramForm form) {
  return form == DatagramForm::short_data ? short_header_bytes : long_header_bytes;
}

void encode(const DatagramHeader& header, std::string& out) {
  const bool is_short = header.form == DatagramForm::short_data;
  const auto form = static_cast<std::uint8_t>(header.form);
  ByteWriter writer(out);
  writer.u8(static_cast<std::uint8_t>((header.sealed ? sealed_forms : plain_forms) + form));
  if (is_short) {
    writer.u8(static_cast<std::uint8_t>(header.key));
    writer.u64(header.sender.value);
    writer.truncated(header.counter, counter_bytes);
    return;
  }
  writer.u8(header.version);
  writer.u16(header.cluster_tag);
  writer.u32(header.key);
  writer.u64(header.sender.value);
  writer.u64(header.generation);
  writer.truncated(header.counter, counter_bytes);
  writer.u64(header.receiver_generation);
}

std::optional<DatagramHeader> decode_datagram_header(std::string_view datagram) {
  ByteReader in(datagram);
  const std::uint8_t first = in.u8();
  DatagramHeader header;
  header.sealed = first < plain_forms;
  const auto form = static_cast<std::uint8_t>(first - (header.sealed ? sealed_forms : plain_forms));
  if (form >= datagram_forms) return std::nullopt;
  header.form = DatagramForm{form};
  if (header.form == DatagramForm::short_data) {
    header.key = in.u8();
    header.sender.value = in.u64();
    header.counter = static_cast<std::uint64_t>(in.truncated(counter_bytes));
  } else {
    header.version = in.u8();
    header.cluster_tag = in.u16();
    header.key = in.u32();
    header.sender.value = in.u64();
    header.generation = in.u64();
    header.counter = static_cast<std::uint64_t>(in.truncated(counter_bytes));
    header.receiver_generation = in.u64();
  }
  return in.ok() ? std::optional(header) : std::nullopt;
}

}  // namespace knit
