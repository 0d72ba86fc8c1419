// Writing and reading of packed bytes: big-endian fixed numbers, LEB128 varints, length-prefixed
// strings. Used by every format of ours, on disk and on the wire.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace knit {

__extension__ using Uint128 = unsigned __int128;

// Appends to a string that the caller owns.
class ByteWriter {
 public:
  explicit ByteWriter(std::string& out) : out_(out) {}

  void u8(std::uint8_t value);
  void u16(std::uint16_t value);  // Big endian, like all fixed numbers here.
  void u32(std::uint32_t value);
  void u64(std::uint64_t value);
  void u128(Uint128 value);
  void varint(std::uint64_t value);              // LEB128: 7 bits a byte, low first, 1 to 10 bytes.
  void raw(std::string_view bytes);              // Without a length.
  void bytes(std::string_view bytes);            // Varint length, then the bytes.
  void truncated(Uint128 value, unsigned size);  // The low `size` bytes, big endian. size <= 16.

 private:
  std::string& out_;
};

// Reads hostile bytes. A read past the end, or a malformed varint, makes the reader bad for good
// and answers zero or empty: read a whole structure, then ask ok() or done() once.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : rest_(bytes) {}

  std::uint8_t u8() { return fixed<std::uint8_t>(); }
  std::uint16_t u16() { return fixed<std::uint16_t>(); }
  std::uint32_t u32() { return fixed<std::uint32_t>(); }
  std::uint64_t u64() { return fixed<std::uint64_t>(); }
  Uint128 u128() {
    if (rest_.size() < sizeof(Uint128)) fail();
    const Uint128 high = u64();
    return (high << 64) | u64();
  }
  std::uint64_t varint() {
    const auto first = rest_.empty() ? 0x80U : static_cast<unsigned char>(rest_.front());
    if ((first & 0x80) != 0) return long_varint();
    rest_.remove_prefix(1);
    return first;
  }
  std::string_view raw(std::size_t size) {
    if (size > rest_.size()) {
      fail();
      return {};
    }
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }
  std::string_view bytes() { return raw(varint()); }  // Varint length, then the bytes; a view into the input.
  Uint128 truncated(unsigned size);

  // A varint that counts items of at least `item_bytes` bytes each (at least 1). Bad if more are
  // declared than the rest can hold, or more than `most`: so a count may be used to reserve.
  std::size_t count(std::size_t item_bytes, std::size_t most);

  void fail() {
    ok_ = false;
    rest_ = {};
  }
  bool ok() const { return ok_; }
  bool done() const { return ok_ && rest_.empty(); }  // All was read, and nothing was bad.
  std::size_t left() const { return rest_.size(); }

 private:
  template <class T>
  T fixed() {
    if (rest_.size() < sizeof(T)) {
      fail();
      return 0;
    }
    const T value = load<T>(&rest_.front(), std::make_index_sequence<sizeof(T)>());
    rest_.remove_prefix(sizeof(T));
    return value;
  }
  // Without a loop: compilers see one load and a byte swap in it.
  template <class T, std::size_t... I>
  static T load(const char* bytes, std::index_sequence<I...>) {
    return static_cast<T>(
        (... | static_cast<T>(T{static_cast<unsigned char>(bytes[I])} << (8 * (sizeof(T) - 1 - I)))));
  }
  std::uint64_t long_varint();

  std::string_view rest_;
  bool ok_ = true;
};

std::string to_hex(std::string_view bytes);
// Bytes of a hex string of either case; false if `hex` is not one, `out` is then unspecified.
bool from_hex(std::string_view hex, std::string& out);

}  // namespace knit
