#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <set>

#include "crdt/row_body.h"
#include "node/scrub.h"
#include "store/log_extent.h"
#include "unit/host.h"

using namespace knit;
using test::Host;
using test::now;
using test::VirtualDisk;

namespace {

constexpr WallTime later{now.millis + 100'000};

}  // namespace

TEST_CASE("a write is readable at once and may be shown once it is synced") {
  Host host(1);
  host.commit();
  host.set("k", "v");
  CHECK(host.get("k") == "v");
  CHECK(host.keyspace->seen() > host.store->synced());
  host.commit();
  CHECK(host.get("k") == "v");
  CHECK(host.keyspace->seen() <= host.store->synced());
}

TEST_CASE("what was committed is there after a restart, what was not is not") {
  Host host(1);
  host.set("kept", "v");
  host.commit();
  const Uint128 root = host.root();
  const Clock clock = host.store->clock();
  host.set("lost", "v");
  host.open();
  CHECK(host.get("kept") == "v");
  CHECK(host.get("lost") == "(nil)");
  CHECK((host.root() == root));
  CHECK(host.store->clock() == clock);
  CHECK(host.keyspace->size(now) == 1);
}

TEST_CASE("a journal without room undoes what nobody has seen, dots too") {
  Host host(1);
  host.set("k", "old");
  host.commit();
  host.set("synced", "v");
  REQUIRE(host.journal.sync());
  const Uint128 root = host.root();
  const Clock clock = host.store->clock();
  host.disk.full = host.journal.full = true;
  host.set("k", "new");
  host.set("other", "new");
  CHECK(host.commit() == Store::CommitOutcome::postponed);
  host.work();
  CHECK(host.get("k") == "old");
  CHECK(host.get("other") == "(nil)");
  CHECK(host.get("synced") == "v");
  CHECK((host.root() == root));
  CHECK(host.store->clock() == clock);
  CHECK(host.keyspace->set("k", "x", {}, now).error().code == ErrorCode::disk_full);
  host.disk.full = host.journal.full = false;
  host.store->refresh_space();
  host.set("k", "again");
  CHECK(host.commit() == Store::CommitOutcome::committed);
  CHECK(host.proven());
}

TEST_CASE("the reserve of the disk is for deletes and for what peers send") {
  Host host(1), peer(2);
  peer.set("theirs", "v");
  host.set("k", "v");
  host.commit();
  host.options.disk_reserve_bytes = 100'000;
  host.open();
  host.disk.bytes_left = 60'000;
  host.store->refresh_space();
  CHECK(host.keyspace->set("k", "x", {}, now).error().code == ErrorCode::disk_full);
  CHECK(host.keyspace->remove("k", now).value());
  host.take_rows_of(peer);
  CHECK(host.get("theirs") == "v");
  host.disk.bytes_left = 10'000;
  host.store->refresh_space();
  CHECK(host.keyspace->remove("theirs", now).error().code == ErrorCode::disk_full);
}

TEST_CASE("at its quota a store refuses values, with a reserve for deletes and for what peers send") {
  Host host(1), peer(2);
  peer.set("theirs", "v");
  host.set("k", "v");
  host.commit();
  host.options.bytes_max = 1'000'000;
  host.options.disk_reserve_bytes = 100'000;
  host.open();
  host.set("k", "there is room");
  host.disk.used = 940'000;
  host.store->refresh_space();
  const auto refused = host.keyspace->set("k", "x", {}, now);
  REQUIRE(!refused);
  CHECK(refused.error().code == ErrorCode::disk_full);
  CHECK(refused.error().message.find("store.max_bytes") != std::string::npos);
  CHECK(host.get("k") == "there is room");
  CHECK(host.keyspace->remove("k", now).value());
  host.take_rows_of(peer);
  CHECK(host.get("theirs") == "v");
  host.disk.used = 2'000'000;
  host.store->refresh_space();
  CHECK(host.keyspace->remove("theirs", now).error().code == ErrorCode::disk_full);
}

TEST_CASE("reads do not wait for a clear that was undone") {
  Host host(1);
  host.set("k", "v");
  host.commit();
  REQUIRE(host.keyspace->clear(now));
  host.commit();  // Not swept: no work was done.
  host.set("k", "again");
  host.commit();
  for (int i = 0; i < 10; ++i) host.set("other", "v");
  host.journal.full = true;
  REQUIRE(host.keyspace->clear(now));
  host.commit();
  CHECK(host.get("k") == "again");
  CHECK(host.keyspace->seen() <= host.store->synced());
}

TEST_CASE("a clear that could not be read again is refused and changes nothing") {
  Host host(1);
  Clock gaps;
  for (std::uint64_t i = 1; i <= Clock::ranges_max; ++i) gaps.add({{999}, 2 * i});
  host.set("k", "v");
  REQUIRE(host.store->merge_clear(gaps, now));
  const Clock clock = host.store->clock();
  CHECK(host.keyspace->clear(now).error().code == ErrorCode::refused);
  CHECK(host.store->clock() == clock);
  CHECK(host.get("k") == "v");
  host.commit();
  host.open();
  CHECK(host.get("k") == "v");
}

TEST_CASE("a failed disk is told apart from a full one") {
  Host host(1);
  host.set("k", "v");
  REQUIRE(host.store->start_commit());
  CHECK(host.store->on_committed(fail(ErrorCode::io, "fdatasync failed")) == Store::CommitOutcome::broken);
}

TEST_CASE("a clear hides everything at once and leaves no row behind") {
  Host host(1);
  for (int i = 0; i < 50; ++i) host.set("key" + std::to_string(i), "v");
  host.commit();
  REQUIRE(host.keyspace->clear(now));
  CHECK(host.get("key7") == "(nil)");
  CHECK(host.keyspace->size(now) == 0);
  host.set("after", "v");
  host.work();
  host.commit();
  std::size_t rows = 0;
  REQUIRE(host.disk.scan(Table::rows, {}, [&](std::string_view, std::string_view) { return ++rows > 0; }));
  CHECK(rows == 1);
  CHECK(host.get("after") == "v");
  CHECK(host.proven());
  host.open();
  CHECK(host.keyspace->size(now) == 1);
}

TEST_CASE("a row that a clear covered is not revived by a peer that has it still") {
  Host a(1), b(2);
  a.set("k", "v");
  b.take_rows_of(a);
  REQUIRE(b.store->join_clock(a.store->clock(), now));
  REQUIRE(a.keyspace->clear(now));
  a.work();
  a.take_rows_of(b);
  CHECK(a.get("k") == "(nil)");
  REQUIRE(b.store->merge_clear(a.store->clear(), now));
  b.work();
  CHECK(b.get("k") == "(nil)");
  CHECK((a.root() == b.root()));
}

TEST_CASE("a clear covers what is shown, also what came without its clock") {
  Host a(1), b(2);
  b.set("k", "from b");
  a.take_rows_of(b);
  REQUIRE(a.keyspace->clear(now));
  CHECK(a.get("k") == "(nil)");
  a.work();
  a.take_rows_of(b);
  CHECK(a.get("k") == "(nil)");
}

TEST_CASE("a cleared row still supersedes what the clear did not cover") {
  Host a(1), b(2), c(3);
  c.set("k", "from c");
  b.take_rows_of(c);
  b.set("k", "from b");
  a.take_rows_of(b);  // The write of c is known to the row of b alone.
  REQUIRE(a.keyspace->clear(now));
  a.work();
  a.commit();
  CHECK(a.get("k") == "(nil)");
  CHECK(a.keyspace->size(now) == 0);
  a.take_rows_of(c);
  CHECK(a.get("k") == "(nil)");
  a.set("k", "again");
  CHECK(a.get("k") == "again");
  CHECK(a.proven());
}

TEST_CASE("a row of a peer must be one that this cluster's keys name") {
  Host a(1), b(2);
  a.set("k", "v");
  std::string row_key = string_row_key("k", a.store->hash_keys());
  const std::string body = encode_body({}, a.store->read("k")->row);
  CHECK(b.store->merge_row(row_key, body, now).value());
  CHECK_FALSE(b.store->merge_row(row_key, body, now).value());
  CHECK(b.store->merge_row(row_key, body.substr(1), now).error().code == ErrorCode::bad_input);
  row_key[0] = static_cast<char>(row_key[0] ^ 1);
  CHECK(b.store->merge_row(row_key, body, now).error().code == ErrorCode::bad_input);
  CHECK(b.store->merge_row(clear_row_key(), body, now).error().code == ErrorCode::bad_input);
}

TEST_CASE("a store does not start with what it keeps of itself damaged, and says so") {
  Host host(1);
  host.set("k", "v");
  REQUIRE(host.store->clear_all(now));
  host.set("k", "v");
  host.commit();
  host.store.reset();
  const auto sound = host.disk.of(Table::meta);
  auto& meta = host.disk.of(Table::meta);
  const auto refusal = [&] {
    const auto opened = Store::open(host.disk, host.journal, host.options);
    return opened ? "" : opened.error().code == ErrorCode::corrupt ? opened.error().message : "another error";
  };
  CHECK(sound.size() == 5);
  for (const auto& [name, value] : sound) {
    const std::string said = "the data directory's " + name + " is damaged; ";
    for (std::size_t bit = 0; bit < value.size() * 8; ++bit) {
      meta.at(name)[bit / 8] ^= static_cast<char>(1 << bit % 8);
      CHECK(refusal().starts_with(said));
      meta.at(name) = value;
    }
    meta.at(name).clear();
    CHECK(refusal().starts_with(said));
    meta.erase(name);
    meta.emplace(name + "x", value);  // As if its name was hit.
    CHECK(refusal().starts_with("the data directory's "));
    meta.erase(name + "x");
    if (name != "clear" && name != "log") CHECK(refusal().starts_with(said));
    meta = sound;
  }
  meta.at("clear") = meta.at("clock");
  CHECK(refusal().starts_with("the data directory's clear is damaged; "));
  meta.clear();
  CHECK(refusal().starts_with("the data directory's identity is damaged; "));
  meta = sound;
  host.open();
  CHECK(host.get("k") == "v");
}

TEST_CASE("a damaged row is found, stands outside the tree, and is replaced by a peer's") {
  Host a(1), b(2);
  for (int i = 0; i < 30; ++i) a.set("key" + std::to_string(i), "v");
  a.commit();
  b.take_rows_of(a);
  a.disk.damage_row(7);
  Store::Verification verification;
  while (verification.next) REQUIRE(a.store->verify_step(verification, 100));
  CHECK(verification.damaged_rows == 1);
  CHECK(verification.damaged_keys.size() == 1);
  CHECK(a.keyspace->get(verification.damaged_keys[0], now).error().code == ErrorCode::corrupt);
  a.work();
  CHECK((a.root() != b.root()));
  a.take_rows_of(b);
  a.commit();
  CHECK((a.root() == b.root()));
  CHECK(a.proven());
}

TEST_CASE("a damaged row can be overwritten and deleted, and goes when nobody shows anything there") {
  Host host(1);
  host.set("k", "v");
  host.commit();
  const auto damage = [&] {
    host.disk.damage_row(7);
    host.open();
    REQUIRE(host.store->has_damage());
    REQUIRE(host.keyspace->get("k", now).error().code == ErrorCode::corrupt);
  };
  damage();
  host.set("k", "again");
  CHECK(host.get("k") == "again");
  CHECK(host.proven());
  host.commit();
  damage();
  CHECK(host.keyspace->remove("k", now).value());
  CHECK(host.get("k") == "(nil)");
  host.commit();
  damage();
  host.store->forget_damaged();
  CHECK(host.get("k") == "(nil)");
  CHECK_FALSE(host.store->has_damage());
  CHECK(host.proven());
}

TEST_CASE("a restored copy takes a fresh actor and issues anew what it wrote meanwhile") {
  Host host(1), peer(2);
  host.set("old", "v");
  host.commit();
  const VirtualDisk backup = host.disk;
  host.set("k", "before the restore");
  host.commit();
  peer.take_rows_of(host);
  REQUIRE(peer.store->join_clock(host.store->clock(), now));

  host.store.reset();
  host.disk = backup;
  host.open();
  host.set("k", "after the restore");
  host.set("k", "after the restore, again");
  const Dot reused = host.store->read("k")->row.winner()->dot;
  REQUIRE(host.store->reincarnate({777}, later));
  CHECK(host.store->identity().actor == ActorId{777});
  CHECK(host.store->read("k")->row.winner()->dot.actor == ActorId{777});
  CHECK_FALSE(host.store->clock().covers(reused));
  CHECK(host.proven());
  host.take_rows_of(peer);
  peer.take_rows_of(host);
  CHECK(host.store->read("k")->row.siblings().size() == 2);
  CHECK(host.store->read("k")->row == peer.store->read("k")->row);
  host.commit();
  host.open();
  CHECK(host.store->identity().actor == ActorId{777});
}

TEST_CASE("the log is bounded, and tells from where it is complete") {
  Host host(1);
  host.options.log = {64 * 100, Millis{1'000'000}};
  host.open();
  for (int i = 0; i < 350; ++i) host.set("k", std::to_string(i));
  host.store->trim_log(now);
  host.commit();
  const ActorId actor = host.store->identity().actor;
  std::uint64_t first = 0, last = 0;
  REQUIRE(host.store->visit_log(actor, 0, [&](std::uint64_t sequence, std::string_view) {
    first = first == 0 ? sequence : first;
    last = sequence;
    return true;
  }));
  CHECK(last == 350);
  CHECK(host.store->log().bytes() <= 6400);
  CHECK(first == host.store->log().complete_from(actor) + 1);
  CHECK(first > 100);
  host.open();
  CHECK(first == host.store->log().complete_from(actor) + 1);
}

TEST_CASE("an old part of the log is forgotten") {
  Host host(1);
  host.set("k", "1");
  host.store->trim_log({now.millis + 86'000'000});
  CHECK(host.store->log().oldest());
  host.store->trim_log({now.millis + 86'400'001});
  CHECK_FALSE(host.store->log().oldest());
  CHECK(host.store->log().complete_from(host.store->identity().actor) == 1);
}

TEST_CASE("what an exchange brings without entries of the log cannot be streamed on") {
  Host writer(1), reader(2);
  for (int i = 0; i < 5; ++i) writer.set("k", std::to_string(i));
  const ActorId actor = writer.store->identity().actor;
  reader.take_rows_of(writer);
  CHECK(reader.store->log().complete_from(actor) == 0);  // The last write alone is covered, and logged.
  REQUIRE(reader.store->join_clock(writer.store->clock(), now));
  CHECK(reader.store->log().complete_from(actor) == 5);
  reader.commit();
  reader.open();
  CHECK(reader.store->log().complete_from(actor) == 5);
}

TEST_CASE("a streamed row covers its dot and is logged, and a covered range is not missed") {
  Host writer(1), reader(2);
  for (int i = 0; i < 3; ++i) writer.set("k", std::to_string(i));
  const ActorId actor = writer.store->identity().actor;
  const std::string row_key = string_row_key("k", writer.store->hash_keys());
  const std::string body(writer.store->body_of(row_key).value());
  REQUIRE(reader.store->merge_streamed(row_key, body, {actor, 3}, now));
  CHECK(reader.store->clock().highest(actor) == 3);
  CHECK(reader.store->clock().base(actor) == 0);
  Clock covered;
  covered.add(actor, {1, 3});
  REQUIRE(reader.store->cover_streamed(covered));
  for (const bool reopened : {false, true}) {
    INFO(reopened);
    if (reopened) {
      REQUIRE(reader.journal.sync());
      reader.open();
    }
    CHECK(reader.store->clock().base(actor) == 3);
    CHECK(reader.store->log().complete_from(actor) == 0);
    std::vector<std::uint64_t> logged;
    REQUIRE(reader.store->visit_log(actor, 0, [&](std::uint64_t sequence, std::string_view key) {
      CHECK(key == row_key);
      logged.push_back(sequence);
      return true;
    }));
    CHECK(logged == std::vector<std::uint64_t>{3});
    CHECK(reader.get("k") == "2");
  }
}

TEST_CASE("a read that did not see an earlier write is counted as stale when that comes") {
  Host writer(1), reader(2);
  REQUIRE(writer.keyspace->set("k", "new", {}, {now.millis - 40}));
  CHECK(reader.get("k") == "(nil)");
  CHECK(reader.get("other") == "(nil)");
  reader.take_rows_of(writer);
  CHECK(reader.store->stale_reads().count == 1);
  CHECK(reader.store->stale_reads().most_age == Millis{40});
  reader.take_rows_of(writer);
  CHECK(reader.store->stale_reads().count == 1);
}

TEST_CASE("the number of keys follows writes, deletes and expiry") {
  Host host(1);
  for (int i = 0; i < 20; ++i)
    host.set("key" + std::to_string(i), "v", i < 5 ? Expiry{now.millis + 5000} : Expiry{});
  CHECK(host.keyspace->size(now) == 20);
  CHECK(host.keyspace->size({now.millis + 6000}) == 15);
  REQUIRE(host.keyspace->remove("key1", now));
  REQUIRE(host.keyspace->remove("key10", now));
  CHECK(host.keyspace->size({now.millis + 7000}) == 14);
  host.commit();
  host.open();
  CHECK(host.keyspace->size({now.millis + 7000}) == 14);
}

TEST_CASE("a scan shows each key once, wherever it lies") {
  Host host(1);
  std::set<std::string> expected;
  const auto add = [&](int from, int to) {
    for (int i = from; i < to; ++i) {
      host.set("key" + std::to_string(i), "v");
      expected.insert("key" + std::to_string(i));
    }
  };
  add(0, 40);
  host.commit();
  add(40, 80);
  REQUIRE(host.store->start_commit());
  add(80, 120);
  host.set(std::string(1000, 'x'), "v");
  expected.insert(std::string(1000, 'x'));
  REQUIRE(host.keyspace->remove("key3", now));
  expected.erase("key3");
  std::set<std::string> shown;
  std::uint64_t cursor = 0;
  do {
    const auto page = host.keyspace->scan(cursor, 7, now);
    REQUIRE(page);
    for (const std::string& key : page->keys) CHECK(shown.insert(key).second);
    cursor = page->next;
  } while (cursor != 0);
  CHECK(shown == expected);
  REQUIRE(host.store->on_committed(host.disk.finish_commit()) == Store::CommitOutcome::committed);
}

TEST_CASE("data of another cluster, or of a newer version, is refused") {
  Host host(1);
  host.commit();
  StoreOptions other = host.options;
  other.cluster.id = std::string(16, 'd');
  CHECK(Store::open(host.disk, host.journal, other).error().code == ErrorCode::refused);
  other = host.options;
  other.cluster.hash_keys.digest[3] = 9;
  CHECK(Store::open(host.disk, host.journal, other).error().code == ErrorCode::refused);

  std::string newer;
  ByteWriter(newer).u64(checksum("\x03", checksum("identity")));
  host.disk.of(Table::meta).at("identity") = newer + "\x03";
  CHECK(Store::open(host.disk, host.journal, host.options).error().code == ErrorCode::wrong_format);
}

TEST_CASE("whatever is written, committed and restarted, the store reads like a map and its tree holds") {
  const std::uint64_t seed = GENERATE(1, 2, 3, 4, 5, 6);
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  Host host(1);
  std::map<std::string, std::string> applied, durable, writing;
  for (int step = 0; step < 1500; ++step) {
    const std::string key = "key" + std::to_string(random() % 60);
    switch (random() % 12) {
      case 0:
        REQUIRE(host.keyspace->remove(key, now));
        applied.erase(key);
        break;
      case 1:
        if (host.store->start_commit()) writing = applied;
        break;
      case 2:
        if (host.store->committing()) {
          REQUIRE(host.store->on_committed(host.disk.finish_commit()) == Store::CommitOutcome::committed);
          durable = writing;
        }
        break;
      case 3:
        if (random() % 10 != 0) break;
        host.disk.crash(false);
        host.open();
        applied = durable;
        break;
      case 4:
        if (random() % 20 != 0) break;
        REQUIRE(host.keyspace->clear(now));
        applied.clear();
        break;
      case 5: REQUIRE(host.store->work(3, test::now)); break;
      default: host.set(key, std::to_string(step)); applied[key] = std::to_string(step);
    }
    const auto expected = applied.find(key);
    CHECK(host.get(key) == (expected == applied.end() ? "(nil)" : expected->second));
    CHECK(host.keyspace->size(now) <= applied.size());
  }
  host.work();
  CHECK(host.keyspace->size(now) == applied.size());
  CHECK(host.proven());
}

TEST_CASE("rows were lost until all peers agree, also when others replaced them and after a restart") {
  Host host(1);
  host.set("k", "v");
  host.commit();
  host.disk.damage_row(7);
  host.open();
  host.set("k", "again");
  REQUIRE(host.journal.sync());
  host.open();  // The journal's row replaces the damaged one before anybody has seen that.
  CHECK(host.store->has_damage());
  host.commit();
  host.open();
  CHECK(host.store->has_damage());
  host.store->forget_damaged();
  CHECK_FALSE(host.store->has_damage());
  host.commit();
  host.open();
  CHECK_FALSE(host.store->has_damage());
  CHECK(host.get("k") == "again");
}

TEST_CASE("a sweep that an undo interrupts begins anew") {
  Host host(1);
  for (int i = 0; i < 100; ++i) host.set("key" + std::to_string(i), "v");
  host.commit();
  REQUIRE(host.keyspace->clear(now));
  host.commit();
  while (!host.store->tree().complete()) REQUIRE(host.store->work(100, test::now));
  REQUIRE(host.store->work(50, test::now));
  host.journal.full = true;
  host.set("k", "v");
  host.commit();
  host.work();
  std::size_t rows = 0;
  REQUIRE(host.store->visit_rows(Range::all(), {}, [&](const RowView&) { return ++rows > 0; }));
  CHECK(rows == 0);
  CHECK(host.proven());
}

TEST_CASE("a clock joined behind a damaged record is not believed") {
  Host host(1), peer(2);
  peer.set("k", "v");
  host.take_rows_of(peer);
  Clock theirs;
  theirs.add({{200}, 1});
  theirs.add({{300}, 1});
  REQUIRE(host.store->join_clock(theirs, now));
  REQUIRE(host.journal.sync());
  REQUIRE(host.journal.damage(0));
  host.options.fresh.actor = {101};
  host.open();
  CHECK(host.get("k") == "(nil)");
  CHECK_FALSE(host.store->clock().covers(theirs));
  CHECK(host.store->took_fresh_actor());
}

TEST_CASE("what could not be read of the journal once is never replayed") {
  Host host(1);
  host.set("k", "lost");
  REQUIRE(host.journal.sync());
  REQUIRE(host.journal.damage(0));
  test::VirtualJournal mended = host.journal;
  REQUIRE(mended.damage(0));  // The same bit: it can be read again.
  host.options.fresh.actor = {101};
  host.open();
  REQUIRE(host.store->must_commit_first());
  host.journal = mended;
  host.options.fresh.actor = {102};
  host.open();
  CHECK(host.store->replayed() == 0);
  CHECK(host.get("k") == "(nil)");
}

TEST_CASE("what a FLUSHALL has emptied is passed a few rows at a time") {
  Host host(1);
  for (int i = 0; i < 3000; ++i) host.set("key" + std::to_string(i), "v");
  host.commit();
  REQUIRE(host.keyspace->clear(test::now));
  const auto page = host.keyspace->scan(0, 10, test::now);
  REQUIRE(page);
  CHECK(page->keys.empty());
  CHECK(page->next != 0);
  REQUIRE(host.store->work(5, test::now));
  CHECK_FALSE(host.store->tree().complete());  // Else one step has passed all rows.
  host.work();
  CHECK(host.store->tree().total().count == 0);
  CHECK(host.keyspace->scan(0, 10, test::now)->next == 0);
}

TEST_CASE("no write makes the clock longer than it may be read") {
  Host host(1);
  Clock full;
  for (std::uint64_t actor = 1000; full.entries().size() < Clock::actors_max; ++actor)
    full.add({ActorId{actor}, 1});
  REQUIRE(host.store->join_clock(full, test::now));
  const auto written = host.keyspace->set("k", "v", {}, test::now);
  REQUIRE_FALSE(written);
  CHECK(written.error().code == ErrorCode::refused);
  CHECK_FALSE(host.keyspace->add("n", 1, test::now));
  CHECK(host.store->clock().within_limits());
  host.commit();
  host.open();
}

TEST_CASE("a log that grows faster than it is trimmed can be read again") {
  LogExtent log({1 << 20, Millis{3'600'000}});
  for (std::uint64_t sequence = 1; sequence <= 10'000; ++sequence)
    log.note({ActorId{1}, sequence}, 100'000, test::now);
  std::string bytes;
  ByteWriter out(bytes);
  log.encode(out);
  ByteReader in(bytes);
  LogExtent again({1 << 20, Millis{3'600'000}});
  REQUIRE(again.decode(in));
  CHECK(again.bytes() == log.bytes());
}

TEST_CASE("the last dot that there is can be replayed") {
  Host host(1);
  RegisterRow row;
  row.write(Sibling{Dot{ActorId{7}, ~std::uint64_t{0}}, Stamp::at(test::now), {}, Content::value, "v"});
  const std::string row_key = string_row_key("k", host.store->hash_keys());
  REQUIRE(host.store->merge_row(row_key, encode_body({}, row), test::now));
  REQUIRE(host.journal.sync());
  host.open();
  CHECK(host.get("k") == "v");
}

TEST_CASE("a scrub looks at all rows once in its interval, a few at a time") {
  Host host(1);
  for (int i = 0; i < 100; ++i) host.set("key" + std::to_string(i), "v");
  host.commit();
  Scrub scrub(Millis(1000));
  std::optional<ScrubReport> report;
  for (int tick = 0; tick < 10; ++tick) {
    const auto ended = scrub.on_tick(*host.store, {now, Millis(5000 + 100 * tick)}, 4096);
    REQUIRE(ended);
    CHECK(!*ended);
    CHECK(scrub.progress() == Approx(0.1 * tick));
  }
  report = *scrub.on_tick(*host.store, {now, Millis(6000)}, 4096);
  REQUIRE(report);
  CHECK(report->rows == 100);
  CHECK(report->damaged_rows == 0);
  CHECK(report->wrong_leaves == 0);
  CHECK(report->ended == now);
  CHECK(scrub.last().has_value());
}

TEST_CASE("a scrub looks at no more rows in a tick than it may") {
  Host host(1);
  for (int i = 0; i < 500; ++i) host.set("key" + std::to_string(i), "v");
  Scrub scrub(Millis(1000));
  REQUIRE(scrub.on_tick(*host.store, {now, Millis(0)}, 50));
  int ticks = 0;
  while (!scrub.last()) {
    REQUIRE(scrub.on_tick(*host.store, {now, Millis(5000)}, 50));
    ++ticks;
  }
  CHECK(ticks >= 5);
  CHECK(scrub.last()->rows == 500);
}

TEST_CASE("a scrub finds rows that rotted and rows that are lost, and has the tree built anew") {
  Host host(1);
  for (int i = 0; i < 100; ++i) host.set("key" + std::to_string(i), "v");
  host.commit();
  const Uint128 root = host.root();
  host.disk.damage_row(3);
  host.disk.lose_row(50);
  Scrub scrub(Millis(1));
  REQUIRE(scrub.on_tick(*host.store, {now, Millis(0)}, 4096));
  for (int tick = 1; !scrub.last(); ++tick) {
    host.work();
    REQUIRE(scrub.on_tick(*host.store, {now, Millis(10 * tick)}, 4096));
  }
  CHECK(scrub.last()->damaged_rows == 1);
  CHECK(scrub.last()->wrong_leaves >= 1);
  CHECK(host.store->has_work());
  host.work();
  CHECK(host.store->damaged_rows() == 1);
  CHECK(host.store->tree().total().count == 98);
  CHECK((host.root() != root));
}
