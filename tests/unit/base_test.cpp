#include <catch2/catch.hpp>

#include "base/bytes.h"

using namespace knit;

TEST_CASE("what a writer wrote a reader reads") {
  std::string bytes;
  ByteWriter out(bytes);
  out.u8(7);
  out.u16(0x1234);
  out.u64(~std::uint64_t{0});
  out.u128(Uint128{1} << 100);
  out.varint(300);
  out.bytes("knit");
  out.truncated(0x010203, 2);
  ByteReader in(bytes);
  CHECK(in.u8() == 7);
  CHECK(in.u16() == 0x1234);
  CHECK(in.u64() == ~std::uint64_t{0});
  CHECK((in.u128() == (Uint128{1} << 100)));
  CHECK(in.varint() == 300);
  CHECK(in.bytes() == "knit");
  CHECK((in.truncated(2) == 0x0203));
  CHECK(in.done());
}

TEST_CASE("a reader that is asked for more than there is stays bad") {
  ByteReader in("ab");
  CHECK(in.u64() == 0);
  CHECK_FALSE(in.ok());
  CHECK(in.u8() == 0);
  CHECK_FALSE(in.done());
}

TEST_CASE("a varint that does not fit into 64 bits is bad") {
  const std::string eleven(11, '\xff');
  ByteReader in(eleven);
  CHECK(in.varint() == 0);
  CHECK_FALSE(in.ok());
}

TEST_CASE("a count that the bytes cannot hold is bad, before anything is reserved") {
  std::string bytes;
  ByteWriter(bytes).varint(std::uint64_t{1} << 40);
  ByteReader in(bytes);
  CHECK(in.count(1, ~std::size_t{0}) == 0);
  CHECK_FALSE(in.ok());
}

TEST_CASE("hex goes there and back, and refuses what is not hex") {
  std::string bytes;
  CHECK(from_hex(to_hex(std::string("\x00\xff\x10", 3)), bytes));
  CHECK(bytes == std::string("\x00\xff\x10", 3));
  CHECK_FALSE(from_hex("abc", bytes));
  CHECK_FALSE(from_hex("zz", bytes));
}
