#include <catch2/catch.hpp>
#include <random>

#include "node/in_stream.h"
#include "node/out_stream.h"
#include "node/stream_payload.h"
#include "unit/host.h"
#include "unit/node_pair.h"

using namespace knit;
using namespace std::chrono_literals;
using test::Host;

namespace {

// What a receiver does with a batch.
void take(Host& host, std::string_view bytes) {
  const auto payload = decode_stream_payload(bytes);
  REQUIRE(payload);
  if (payload->clear) REQUIRE(host.store->merge_clear(*payload->clear, test::now));
  for (const auto& item : payload->items) {
    if (item.body.empty()) {
      REQUIRE(host.store->note_streamed(item.row_key, item.dot));
    } else {
      REQUIRE(host.store->merge_streamed(item.row_key, item.body, item.dot, test::now));
    }
  }
  REQUIRE(host.store->cover_streamed(payload->covered));
}

OutStream::Copy copy;

// A writer's log read to a reader.
struct Streaming {
  explicit Streaming(StreamOptions options = {}) : writer(1), reader(2), stream(options) { begin(); }

  void begin() {
    stream.on_clock(reader.store->clock(), true);
    stream.begin(writer.store->identity().actor, *writer.store);
  }
  // Sends all there is. Answers how many rows that took.
  std::size_t run() {
    std::size_t rows = 0;
    while (stream.waiting(*writer.store, time) == OutStream::Waiting::work) {
      const auto batch = stream.next(*writer.store, time, copy);
      if (batch.payload.empty()) continue;
      rows += batch.rows;
      take(reader, batch.payload);
      REQUIRE(stream.on_ack(stream.epoch(), batch.number, time));
    }
    return rows;
  }
  bool same() const {
    return writer.root() == reader.root() && writer.store->clock() == reader.store->clock() &&
           stream.peer_clock() == reader.store->clock();
  }

  Millis time{1000};
  Host writer;
  Host reader;
  OutStream stream;
};

std::size_t logged(const Host& host, ActorId actor) {
  std::size_t entries = 0;
  REQUIRE(host.store->visit_log(actor, 0, [&](std::uint64_t, std::string_view) { return ++entries > 0; }));
  return entries;
}

StreamOptions tiny() {
  StreamOptions options;
  options.batch_bytes = 200;
  options.entries_per_batch = 7;
  return options;
}

}  // namespace

TEST_CASE("a row travels once, however often it was overwritten") {
  Streaming streaming(tiny());
  for (int i = 0; i < 1000; ++i) streaming.writer.set("key" + std::to_string(i % 10), std::to_string(i));
  CHECK(streaming.run() == 10);
  CHECK(streaming.same());
  CHECK(streaming.reader.get("key3") == "993");
  CHECK(logged(streaming.reader, streaming.writer.store->identity().actor) == 10);
}

TEST_CASE("older writes are covered only when the row that replaced them has arrived") {
  Streaming streaming(tiny());
  const ActorId actor = streaming.writer.store->identity().actor;
  for (int i = 0; i < 50; ++i) streaming.writer.set("hot", std::to_string(i));
  for (int i = 0; i < 50; ++i) streaming.writer.set("key" + std::to_string(i), "v");
  streaming.writer.set("hot", "last");
  while (streaming.reader.get("hot") == "(nil)") {
    CHECK_FALSE(streaming.reader.store->clock().covers({actor, 1}));
    const auto batch = streaming.stream.next(*streaming.writer.store, streaming.time, copy);
    if (!batch.payload.empty()) take(streaming.reader, batch.payload);
  }
  CHECK(streaming.reader.get("hot") == "last");
}

TEST_CASE("a row travels for an earlier write too when the peer has the later one from elsewhere") {
  Host writer(1);
  writer.set("k", "v");
  writer.set("other", "v");
  writer.set("k", "later");
  const ActorId actor = writer.store->identity().actor;
  OutStream stream{StreamOptions{}};
  Clock told;
  told.add({actor, 3});
  stream.on_clock(told, true);
  stream.begin(actor, *writer.store);
  const std::string bytes(stream.next(*writer.store, 1ms, copy).payload);
  const auto payload = decode_stream_payload(bytes);
  REQUIRE(payload);
  REQUIRE(payload->items.size() == 2);
  CHECK(payload->items[0].row_key == string_row_key("k", writer.store->hash_keys()));
}

TEST_CASE("writes of every kind come through a stream, in any mix") {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    INFO("seed " << seed);
    std::mt19937_64 random(seed);
    Streaming streaming(seed % 2 == 0 ? tiny() : StreamOptions{});
    Host& writer = streaming.writer;
    for (int round = 0; round < 20; ++round) {
      for (std::uint64_t i = random() % 40; i > 0; --i) {
        const std::string key = "key" + std::to_string(random() % 8);
        switch (random() % 8) {
          case 0: REQUIRE(writer.keyspace->remove(key, test::now)); break;
          case 1:
            REQUIRE(writer.keyspace->set_expiry(key, Expiry{test::now.millis + 1000 + random() % 9000},
                                                test::now));
            break;
          case 2: (void)writer.keyspace->add(key, 3, test::now); break;
          case 3:
            if (random() % 10 == 0) REQUIRE(writer.keyspace->clear(test::now));
            break;
          default: writer.set(key, std::to_string(random() % 100));
        }
        if (random() % 10 == 0) writer.commit();
        if (random() % 20 == 0) writer.work();
      }
      streaming.run();
      writer.work();
      streaming.reader.work();
      REQUIRE(streaming.same());
      REQUIRE(streaming.reader.proven());
    }
  }
}

TEST_CASE("a batch that is here in part brings the rest of its rows all the same") {
  Host writer(1), reader(2);
  writer.set("k", "v");
  const ActorId actor = writer.store->identity().actor;
  const std::string row_key = string_row_key("k", writer.store->hash_keys());
  const std::string old(writer.store->body_of(row_key).value());
  REQUIRE(reader.store->merge_streamed(row_key, old, {actor, 1}, test::now));
  REQUIRE(writer.keyspace->set_expiry("k", Expiry{test::now.millis + 5000}, test::now));
  OutStream stream{StreamOptions{}};
  stream.on_clock({}, true);
  stream.begin(actor, *writer.store);
  InStream in;
  REQUIRE(in.receive({stream.epoch(), 1, {}, stream.next(*writer.store, 1ms, copy).payload}, {}));
  std::size_t items = 100;
  InStream::Counts counts;
  const auto done = in.step(*reader.store, true, items, test::now, counts);
  REQUIRE(done);
  CHECK((*done)->accepted);
  CHECK(reader.root() == writer.root());
  CHECK(reader.store->clock() == writer.store->clock());
}

TEST_CASE("a batch is taken in pieces, and acknowledged at its end") {
  Host writer(1), reader(2);
  for (int i = 0; i < 10; ++i) writer.set("key" + std::to_string(i), "v");
  OutStream stream{StreamOptions{}};
  stream.on_clock({}, true);
  stream.begin(writer.store->identity().actor, *writer.store);
  const std::string payload(stream.next(*writer.store, 1ms, copy).payload);
  InStream in;
  REQUIRE(in.receive({1, 1, {}, payload}, {}));
  InStream::Counts counts;
  for (int i = 0; i < 3; ++i) {
    std::size_t items = 3;
    REQUIRE_FALSE(in.step(*reader.store, true, items, test::now, counts).value());
    CHECK(items == 0);
  }
  std::size_t items = 3;
  CHECK(in.step(*reader.store, true, items, test::now, counts).value()->accepted);
  CHECK(counts.rows == 10);
  CHECK_FALSE(in.busy());
  CHECK(reader.root() == writer.root());
}

TEST_CASE("after a batch that is missing nothing more of its epoch is taken") {
  Host writer(1), reader(2);
  writer.set("k", "v");
  OutStream stream{StreamOptions{}};
  stream.on_clock({}, true);
  stream.begin(writer.store->identity().actor, *writer.store);
  const std::string payload(stream.next(*writer.store, 1ms, copy).payload);
  InStream in;
  InStream::Counts counts;
  const auto accepts = [&](std::uint64_t epoch, std::uint64_t number) {
    REQUIRE(in.receive({epoch, number, {}, payload}, {}));
    std::size_t items = 100;
    return in.step(*reader.store, true, items, test::now, counts).value()->accepted;
  };
  CHECK(accepts(1, 1));
  CHECK_FALSE(accepts(1, 3));
  CHECK_FALSE(accepts(1, 2));
  CHECK_FALSE(accepts(2, 2));
  CHECK(accepts(3, 1));
  CHECK_FALSE(accepts(2, 1));
}

TEST_CASE("a batch that waits is as long as it was sent: it is taken apart when its turn comes") {
  Host reader(2);
  InStream in;
  InStream::Counts counts;
  REQUIRE(in.receive({1, 1, {}, "noise"}, {}));
  std::size_t items = 100;
  CHECK(in.step(*reader.store, true, items, test::now, counts).error().code == ErrorCode::bad_input);
}

TEST_CASE("no more batches wait than credit allows, be they empty") {
  InStream in;
  std::uint64_t number = 1;
  while (number < 1'000'000 && in.receive({1, number, {}, ""}, {})) ++number;
  CHECK(number < 200'000);
}

TEST_CASE("who has too much to commit takes nothing more from peers before it has") {
  NodeOptions options = test::streaming_to(8);
  options.pending_bytes_max = 1;
  test::Pair pair(options);
  pair.link({1}, pair.a, pair.b);
  pair.run(10);
  pair.b.host.set("mine", "v");
  for (const char* key : {"first", "second"}) {  // One of them may come through, so that the clock moves.
    pair.a.host.set(key, "v");
    Outbox out;
    pair.a.node->push(pair.now(), out);
    pair.a.take(out);
    while (pair.deliver(pair.a, pair.b)) {
    }
  }
  CHECK(pair.b.host.get("second") == "(nil)");
  pair.b.host.commit();
  pair.run(2);
  CHECK(pair.b.host.get("second") == "v");
}

TEST_CASE("what waits is counted as it is kept, with the clocks that came with it") {
  Clock clock;
  for (std::uint64_t actor = 1; actor <= Clock::actors_max; ++actor) clock.add(ActorId{actor}, {1, actor});
  std::string seen;
  ByteWriter out(seen);
  clock.encode(out);
  InStream in;
  std::uint64_t number = 1;
  while (number < 1000 && in.receive({1, number, seen, ""}, {})) ++number;
  CHECK(number < 100);
}

TEST_CASE("a batch of more items than the limit is refused") {
  const auto batch_of = [](std::size_t items) {
    StreamPayloadWriter out;
    out.begin_part({1});
    for (std::size_t i = 1; i <= items; ++i) out.add(i, std::string(11, 'k'), {});
    return out.finish(true);
  };
  CHECK(decode_stream_payload(batch_of(stream_items_max))->items.size() == stream_items_max);
  CHECK(decode_stream_payload(batch_of(stream_items_max + 1)).error().code == ErrorCode::bad_input);
}

TEST_CASE("a relay passes on what it got, as the writer would have") {
  Streaming first(tiny());
  for (int i = 0; i < 200; ++i) first.writer.set("key" + std::to_string(i % 17), std::to_string(i));
  first.run();
  Host third(3);
  OutStream relay(tiny());
  relay.on_clock(third.store->clock(), true);
  relay.begin(first.writer.store->identity().actor, *first.reader.store);
  while (relay.waiting(*first.reader.store, 1ms) == OutStream::Waiting::work) {
    const auto batch = relay.next(*first.reader.store, 1ms, copy);
    if (batch.payload.empty()) continue;
    take(third, batch.payload);
    REQUIRE(relay.on_ack(relay.epoch(), batch.number, 1ms));
  }
  CHECK(third.root() == first.writer.root());
  CHECK(third.store->clock() == first.writer.store->clock());
}

TEST_CASE("batches that will be refused need nothing, and bring nothing") {
  const auto batch_with = [](ActorId actor) {
    StreamPayloadWriter out;
    out.begin_part(actor);
    out.add(1, std::string(11, 'k'), {});
    return out.finish(false);
  };
  const std::string first = batch_with({1}), second = batch_with({2}), third = batch_with({3});
  InStream in;
  REQUIRE(in.receive({1, 1, {}, first}, {}));
  REQUIRE(in.receive({1, 2, {}, second}, {}));
  REQUIRE(in.receive({1, 4, {}, third}, {}));  // One is missing.
  const auto batches = in.unadmitted(true);
  REQUIRE(batches.size() == 3);
  CHECK(batches[0].brings.covers({{1}, 1}));
  CHECK(batches[1].brings.covers({{2}, 1}));
  CHECK(batches[2].brings.empty());
  for (const InStream::Unadmitted& batch : in.unadmitted(false)) CHECK(batch.brings.empty());
}

TEST_CASE("two peers at the same place get the same batch, others their own") {
  Host writer(1), second(2), third(3), fourth(4);
  const ActorId actor = writer.store->identity().actor;
  for (int i = 0; i < 10; ++i) writer.set("key" + std::to_string(i), "v");
  third.take_rows_of(writer);  // Has all but the claim to it.
  std::size_t rows[3] = {};
  OutStream::Copy shared;
  Host* hosts[3] = {&second, &third, &fourth};
  for (int i = 0; i < 3; ++i) {
    OutStream stream{StreamOptions{}};
    stream.on_clock(hosts[i]->store->clock(), true);
    stream.begin(actor, *writer.store);
    if (stream.waiting(*writer.store, 1ms) != OutStream::Waiting::work) continue;
    const auto batch = stream.next(*writer.store, 1ms, shared);
    rows[i] = batch.rows;
    if (!batch.payload.empty()) take(*hosts[i], batch.payload);
    CHECK(hosts[i]->root() == writer.root());
    CHECK(hosts[i]->store->clock() == writer.store->clock());
  }
  CHECK(rows[0] == 10);
  CHECK(rows[1] == 0);
  CHECK(rows[2] == 10);
  writer.set("key0", "newer");
  OutStream stream{StreamOptions{}};
  stream.on_clock({}, true);
  stream.begin(actor, *writer.store);
  Host fifth(5);
  take(fifth, stream.next(*writer.store, 1ms, shared).payload);
  CHECK(fifth.get("key0") == "newer");
}

TEST_CASE("a row that cannot be read is neither sent nor covered") {
  Streaming streaming;
  for (const char* key : {"a", "b", "c"}) streaming.writer.set(key, "v");
  streaming.writer.commit();
  const ActorId actor = streaming.writer.store->identity().actor;
  const std::string row_key = string_row_key("b", streaming.writer.store->hash_keys());
  streaming.writer.disk.of(Table::rows).at(row_key)[30] ^= 1;
  streaming.run();
  CHECK(streaming.reader.store->clock().covers({actor, 1}));
  CHECK_FALSE(streaming.reader.store->clock().covers({actor, 2}));
  CHECK(streaming.reader.store->clock().covers({actor, 3}));
  CHECK(streaming.stream.waiting(*streaming.writer.store, 2000ms) == OutStream::Waiting::nothing);
}

TEST_CASE("a row that was lost is not covered") {
  Streaming streaming;
  streaming.writer.set("a", "v");
  streaming.writer.commit();
  const ActorId actor = streaming.writer.store->identity().actor;
  streaming.writer.disk.of(Table::rows).clear();
  streaming.run();
  CHECK_FALSE(streaming.reader.store->clock().covers({actor, 1}));
}

TEST_CASE("a row that was purged is covered, with a raised expiry that only the log tells of") {
  Streaming streaming;
  Host& writer = streaming.writer;
  writer.set("a", "v", Expiry{test::now.millis + 1000});
  Host remover(3);
  remover.take_rows_of(writer);
  REQUIRE(remover.keyspace->remove("a", test::now));
  REQUIRE(writer.keyspace->set_expiry("a", Expiry{test::now.millis + 2000}, test::now));
  writer.take_rows_of(remover);
  Line floor;
  floor.clock.add({100}, {1, 1});
  floor.clock.add({300}, {1, 1});
  REQUIRE(writer.store->raise_floor(floor));
  writer.store->purge_to(floor);
  writer.work();
  REQUIRE(writer.store->purged_rows() == 1);
  streaming.run();
  CHECK(streaming.reader.store->clock().covers({{100}, 2}));
}

TEST_CASE("a row that was cleared is covered, with a raised expiry that the clear does not know of") {
  Streaming streaming;
  Host& writer = streaming.writer;
  writer.set("a", "v", Expiry{test::now.millis + 1000});
  Host other(3);
  other.take_rows_of(writer);
  REQUIRE(other.keyspace->clear(test::now));
  REQUIRE(writer.keyspace->set_expiry("a", Expiry{test::now.millis + 2000}, test::now));
  REQUIRE(writer.store->merge_clear(other.store->clear(), test::now));
  writer.work();
  REQUIRE_FALSE(writer.store->clear().covers({{100}, 2}));
  streaming.run();
  CHECK(streaming.reader.store->clock().covers({{100}, 2}));
}

TEST_CASE("batches are compressed when a peer does not keep up, if it pays") {
  for (const bool pays : {true, false}) {
    std::mt19937_64 random(1);
    Streaming streaming;
    for (int i = 0; i < 8000; ++i) {
      std::string value(250, 'v');
      for (char& c : value) c = pays ? 'v' : static_cast<char>(random());
      streaming.writer.set("key" + std::to_string(i), value);
    }
    std::size_t compressed = 0, batches = 0;
    while (streaming.stream.waiting(*streaming.writer.store, 1000ms) == OutStream::Waiting::work) {
      const auto batch = streaming.stream.next(*streaming.writer.store, 1000ms, copy);
      ++batches;
      compressed += static_cast<std::size_t>(batch.payload.front() & 1);
    }
    REQUIRE(batches > 10);
    CHECK((compressed >= batches / 3) == pays);
    CHECK(compressed >= 1);
  }
}

TEST_CASE("a peer that does not acknowledge gets no more than its credit") {
  StreamOptions options;
  options.window_bytes_max = options.window_bytes_min = 64 << 10;
  Streaming streaming(options);
  for (int i = 0; i < 2000; ++i) streaming.writer.set("key" + std::to_string(i), std::string(1000, 'v'));
  std::size_t sent = 0;
  std::vector<std::uint64_t> numbers;
  while (streaming.stream.waiting(*streaming.writer.store, 1000ms) == OutStream::Waiting::work) {
    const auto batch = streaming.stream.next(*streaming.writer.store, 1000ms, copy);
    sent += batch.payload.size();
    numbers.push_back(batch.number);
  }
  CHECK(streaming.stream.waiting(*streaming.writer.store, 1000ms) == OutStream::Waiting::credit);
  CHECK(sent < 3 * options.window_bytes_max);
  REQUIRE_FALSE(streaming.stream.on_ack(streaming.stream.epoch(), numbers.back() + 1, 1000ms));
  for (const std::uint64_t number : numbers)
    REQUIRE(streaming.stream.on_ack(streaming.stream.epoch(), number, 1000ms));
  CHECK(streaming.stream.waiting(*streaming.writer.store, 1000ms) == OutStream::Waiting::work);
}

TEST_CASE("what was in flight on a link that broke is sent again") {
  Streaming streaming;
  streaming.writer.set("a", "v");
  (void)streaming.stream.next(*streaming.writer.store, 1000ms, copy);
  streaming.stream.stop();
  CHECK(streaming.stream.waiting(*streaming.writer.store, 1000ms) == OutStream::Waiting::nothing);
  streaming.begin();
  CHECK(streaming.run() == 1);
  CHECK(streaming.same());
}

TEST_CASE("a part of the log that was trimmed is not streamed, and what is above it is") {
  Host writer(1);
  writer.options.log = {64 * 200, Millis{1'000'000}};
  writer.open();
  for (int i = 0; i < 350; ++i) writer.set("key" + std::to_string(i), "v");
  for (int i = 0; i < 400; ++i) writer.store->trim_log(test::now);
  const ActorId actor = writer.store->identity().actor;
  const std::uint64_t from = writer.store->log().complete_from(actor);
  REQUIRE(from > 10);
  Host reader(2);
  OutStream stream{StreamOptions{}};
  stream.on_clock({}, true);
  stream.begin(actor, *writer.store);
  while (stream.waiting(*writer.store, 1ms) == OutStream::Waiting::work)
    take(reader, stream.next(*writer.store, 1ms, copy).payload);
  CHECK(reader.store->clock().base(actor) == 0);
  CHECK(reader.store->clock().covers({actor, from + 1}));
  CHECK(reader.store->clock().highest(actor) == 350);
}

TEST_CASE("a payload comes back from its bytes, compressed or not") {
  StreamPayloadWriter out;
  out.begin_part({7});
  out.add(3, "row key one", "body");
  out.add(9, "row key one", "body");
  out.add(10, "row key two", std::string(5000, 'x'));
  out.cover({7}, {2, 10});
  Clock clear;
  clear.add({{5}, 1});
  out.set_clear(clear);
  for (const bool compressed : {false, true}) {
    const std::string bytes = out.finish(compressed);
    CHECK((bytes.size() < 1000) == compressed);
    const auto payload = decode_stream_payload(bytes);
    REQUIRE(payload);
    REQUIRE(payload->items.size() == 3);
    CHECK(payload->items[0].body == "body");
    CHECK(payload->items[1].dot == Dot{{7}, 9});
    CHECK(payload->items[1].body.empty());
    CHECK(payload->items[2].body.size() == 5000);
    CHECK(payload->clear == clear);
    CHECK(payload->covered.covers({{7}, 10}));
    for (std::size_t size = 0; size < bytes.size(); ++size)
      CHECK_FALSE(decode_stream_payload(bytes.substr(0, size)));
    for (std::size_t bit = 0; bit < std::min<std::size_t>(bytes.size(), 100) * 8; ++bit) {
      std::string flipped = bytes;
      flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
      (void)decode_stream_payload(flipped).has_value();
    }
  }
}

TEST_CASE("a frame that declares a huge size is refused") {
  std::string frame("\x01\x28\xb5\x2f\xfd\xe0", 6);  // zstd with eight bytes of size.
  frame += std::string("\xff\xff\xff\xff\xff\xff\x00\x00", 8);
  CHECK(decode_stream_payload(frame).error().code == ErrorCode::bad_input);
}

TEST_CASE("clocks tell how much of another one they lack") {
  Clock mine, theirs;
  mine.add({1}, {1, 10});
  mine.add({1}, {20, 30});
  theirs.add({1}, {5, 25});
  theirs.add({2}, {1, 4});
  CHECK(mine.lacks(theirs) == 9 + 4);
  CHECK(theirs.lacks(mine) == 4 + 5);
  CHECK(mine.lacks(mine) == 0);
  CHECK_FALSE(mine.covers(theirs, {1}));
  CHECK(mine.covers(theirs, {3}));
}
