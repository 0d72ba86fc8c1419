#include "node/wire.h"

#include <catch2/catch.hpp>
#include <random>

using namespace knit;

namespace {

Status some_status() {
  Status status;
  status.root = (Uint128{3} << 100) + 9;
  status.tree_complete = true;
  status.keys = 70000;
  status.clock_whole = true;
  status.clock = "clock";
  status.purged_expired = {1'700'000'000'000};
  status.passes = true;
  status.lags = "lags";
  return status;
}

Hello some_hello() {
  Hello hello;
  hello.cluster_id = std::string(16, 'c');
  hello.node = {1};
  hello.name = "alpha";
  hello.address = "[::1]:7399";
  return hello;
}

}  // namespace

TEST_CASE("messages come back from their bytes") {
  const auto hello = decode_message(encode(some_hello()));
  REQUIRE(hello);
  CHECK(std::get<Hello>(*hello).address == "[::1]:7399");
  const std::string told = encode(some_status());
  const auto status = decode_message(told);
  REQUIRE(status);
  CHECK((std::get<Status>(*status).root == some_status().root));
  CHECK(std::get<Status>(*status).keys == 70000);
  CHECK(std::get<Status>(*status).clock == "clock");
  CHECK(std::get<Status>(*status).purged_expired == some_status().purged_expired);
  CHECK(std::get<Status>(*status).passes);
  const std::string bulk(100'000, 'b');
  const std::string bytes = encode(ExchangeTurn{9, bulk});
  const auto turn = decode_message(bytes);
  REQUIRE(turn);
  CHECK(std::get<ExchangeTurn>(*turn).payload == bulk);
  const std::string shown = encode(RowReply{7, RowReply::State::damaged, "clear", "row", bulk});
  const auto reply = decode_message(shown);
  REQUIRE(reply);
  CHECK(std::get<RowReply>(*reply).state == RowReply::State::damaged);
  CHECK(std::get<RowReply>(*reply).row_key == "row");
  CHECK(std::get<RowReply>(*reply).payload == bulk);
}

TEST_CASE("bytes after the end of a message are refused") {
  CHECK(decode_message(encode(some_status()) + "x").error().code == ErrorCode::bad_input);
}

TEST_CASE("a declared size costs nothing") {
  for (const std::string bomb :
       {"\xdd\xff\xff\xff\xff", "\xdf\xff\xff\xff\xff", "\xc6\xff\xff\xff\xff", "\xdb\xff\xff\xff\xff",
        "\xc9\xff\xff\xff\xff\x01", "\x92\x91\x91\x91\x91\x91\x91\x01"}) {
    CHECK(decode_message(bomb).error().code == ErrorCode::bad_input);
  }
}

TEST_CASE("no truncation and no flipped bit of a message does harm") {
  for (const std::string& bytes :
       {encode(some_hello()), encode(some_status()), encode(ExchangeOpen{3, "payload"}),
        encode(StreamBatch{1, 2, "seen", "payload"}), encode(StreamAck{1, 2, true}), encode(Gossip{"news"}),
        encode(JoinRequest{}), encode(Welcome{})}) {
    for (std::size_t size = 0; size < bytes.size(); ++size)
      CHECK_FALSE(decode_message(bytes.substr(0, size)));
    for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
      std::string flipped = bytes;
      flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
      (void)decode_message(flipped).has_value();
    }
  }
  std::mt19937_64 random(1);
  for (int i = 0; i < 20'000; ++i) {
    std::string noise(random() % 40, '\0');
    for (char& c : noise) c = static_cast<char>(random());
    (void)decode_message(noise).has_value();
  }
}
