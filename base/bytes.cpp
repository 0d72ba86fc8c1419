#include "base/bytes.h"

#include <array>
#include <bit>
#include <cstring>

#include "base/check.h"

namespace knit {

namespace {

std::uint16_t swapped(std::uint16_t value) { return __builtin_bswap16(value); }
std::uint32_t swapped(std::uint32_t value) { return __builtin_bswap32(value); }
std::uint64_t swapped(std::uint64_t value) { return __builtin_bswap64(value); }

template <class T>
void put_big_endian(std::string& out, T value) {
  if constexpr (std::endian::native == std::endian::little) value = swapped(value);
  std::array<char, sizeof(T)> bytes;
  std::memcpy(bytes.data(), &value, sizeof value);
  out.append(bytes.data(), bytes.size());
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

void ByteWriter::u8(std::uint8_t value) { out_.push_back(static_cast<char>(value)); }
void ByteWriter::u16(std::uint16_t value) { put_big_endian(out_, value); }
void ByteWriter::u32(std::uint32_t value) { put_big_endian(out_, value); }
void ByteWriter::u64(std::uint64_t value) { put_big_endian(out_, value); }
void ByteWriter::u128(Uint128 value) {
  u64(static_cast<std::uint64_t>(value >> 64));
  u64(static_cast<std::uint64_t>(value));
}

void ByteWriter::varint(std::uint64_t value) {
  while (value >= 0x80) {
    out_.push_back(static_cast<char>((value & 0x7f) | 0x80));
    value >>= 7;
  }
  out_.push_back(static_cast<char>(value));
}

void ByteWriter::raw(std::string_view bytes) { out_.append(bytes); }

void ByteWriter::bytes(std::string_view bytes) {
  varint(bytes.size());
  raw(bytes);
}

void ByteWriter::truncated(Uint128 value, unsigned size) {
  check(size <= 16, "a 128-bit number has at most 16 bytes");
  for (unsigned i = size; i-- > 0;) u8(static_cast<std::uint8_t>(value >> (8 * i)));
}

std::uint64_t ByteReader::long_varint() {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    const std::uint8_t byte = u8();
    if (shift == 63 && byte > 1) break;  // Would not fit into 64 bits.
    value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) != 0) continue;
    if (byte == 0 && shift != 0) break;  // Longer than it need be: a number has one encoding.
    return ok_ ? value : 0;
  }
  fail();
  return 0;
}

Uint128 ByteReader::truncated(unsigned size) {
  check(size <= 16, "a 128-bit number has at most 16 bytes");
  Uint128 value = 0;
  for (const char byte : raw(size)) value = (value << 8) | static_cast<unsigned char>(byte);
  return value;
}

std::size_t ByteReader::count(std::size_t item_bytes, std::size_t most) {
  const std::uint64_t declared = varint();
  if (declared > most || declared > rest_.size() / item_bytes) {
    fail();
    return 0;
  }
  return static_cast<std::size_t>(declared);
}

std::string to_hex(std::string_view bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char byte : bytes) {
    const auto value = static_cast<unsigned char>(byte);
    out.push_back(digits[value >> 4]);
    out.push_back(digits[value & 0xf]);
  }
  return out;
}

bool from_hex(std::string_view hex, std::string& out) {
  out.clear();
  if (hex.size() % 2 != 0) return false;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    const int high = hex_digit(hex[i]);
    const int low = hex_digit(hex[i + 1]);
    if (high < 0 || low < 0) return false;
    out.push_back(static_cast<char>(high * 16 + low));
  }
  return true;
}

}  // namespace knit
