#include <algorithm>
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "crdt/clock.h"
#include "crdt/register_row.h"
#include "crdt/row_body.h"
#include "crdt/row_key.h"
#include "crdt/stamp.h"

using namespace knit;
using namespace std::chrono_literals;

namespace {

HashKeys test_keys() {
  HashKeys keys;
  keys.position.fill(1);
  keys.digest.fill(2);
  return keys;
}

constexpr ActorId a{0xa};
constexpr ActorId b{0xb};

Sibling value(Dot dot, std::uint64_t stamp, std::string bytes, Expiry expiry = {}) {
  return {dot, {stamp}, expiry, Content::value, std::move(bytes)};
}

Sibling tombstone(Dot dot, std::uint64_t stamp) { return {dot, {stamp}, {}, Content::tombstone, ""}; }

RegisterRow row_of(Sibling sibling) {
  RegisterRow row;
  row.write(std::move(sibling));
  return row;
}

std::string encoded(const auto& thing) {
  std::string bytes;
  ByteWriter out(bytes);
  thing.encode(out);
  return bytes;
}

template <class T>
bool decodes(const std::string& bytes) {
  ByteReader in(bytes);
  T::decode(in);
  return in.done();
}

template <class T>
T decoded(const std::string& bytes) {
  ByteReader in(bytes);
  T thing = T::decode(in);
  REQUIRE(in.done());
  return thing;
}

std::string actor_bytes(ActorId actor) {
  std::string bytes;
  ByteWriter(bytes).u64(actor.value);
  return bytes;
}

// A row whose only sibling lost its bytes after it expired: only the store makes these.
RegisterRow dropped(const Sibling& sibling) {
  std::string bytes;
  ByteWriter out(bytes);
  out.varint(1);
  out.u64(sibling.dot.actor.value);
  out.varint(sibling.dot.sequence);
  out.u64(sibling.stamp.value);
  out.varint(sibling.expiry.millis + 1);
  out.u8(static_cast<std::uint8_t>(Content::dropped));
  out.varint(0);  // Dots in the context.
  out.varint(0);  // Components.
  return decoded<RegisterRow>(bytes);
}

}  // namespace

TEST_CASE("a write supersedes what its node holds, and only that") {
  RegisterRow mine = row_of(value({a, 1}, 10, "one"));
  RegisterRow theirs = row_of(value({b, 1}, 11, "other"));
  mine.write(value({a, 2}, 12, "two"));
  CHECK(mine.merge(theirs));
  REQUIRE(mine.siblings().size() == 2);
  CHECK(mine.winner()->value == "two");
  theirs.merge(row_of(value({a, 1}, 10, "one")));
  theirs.merge(mine);
  CHECK(theirs == mine);
}

TEST_CASE("the last write wins by stamp, then by actor, then by sequence") {
  RegisterRow row = row_of(value({b, 1}, 10, "older"));
  row.merge(row_of(value({a, 1}, 11, "newer")));
  CHECK(row.winner()->value == "newer");
  row.merge(row_of(value({b, 2}, 11, "same stamp, greater actor")));
  CHECK(row.winner()->value == "same stamp, greater actor");
  row.merge(row_of(value({b, 3}, 11, "greater sequence")));
  CHECK(row.winner()->value == "greater sequence");
}

TEST_CASE("a delete that wins hides the row, one that loses does not") {
  RegisterRow row = row_of(value({a, 1}, 10, "v"));
  row.merge(row_of(tombstone({b, 1}, 9)));
  CHECK(row.visible({0}) != nullptr);
  row.merge(row_of(tombstone({b, 2}, 11)));
  CHECK(row.visible({0}) == nullptr);
  CHECK(row.winner()->content == Content::tombstone);
}

TEST_CASE("a deleted value does not come back from a node that missed the delete") {
  RegisterRow row = row_of(value({a, 1}, 10, "v"));
  const RegisterRow stale = row;
  row.write(tombstone({b, 1}, 11));
  CHECK_FALSE(row.merge(stale));
  CHECK(row.siblings().size() == 1);
}

TEST_CASE("a value is visible until its expiry, which may be put off") {
  RegisterRow row = row_of(value({a, 1}, 10, "v", {1000}));
  const RegisterRow before = row;
  CHECK(row.visible({999}) != nullptr);
  CHECK(row.visible({1000}) == nullptr);
  row.raise_expiry({2000});
  CHECK(row.visible({1999}) != nullptr);
  CHECK_FALSE(row.merge(before));
  CHECK(row.winner()->expiry == Expiry{2000});
  row.raise_expiry({});
  CHECK(row.visible({~std::uint64_t{0} - 1}) != nullptr);
}

TEST_CASE("bytes beat bytes given up, and the digest is the same for both") {
  const Sibling sibling = value({a, 1}, 10, "v", {1000});
  RegisterRow lost = dropped(sibling);
  RegisterRow kept = row_of(sibling);
  CHECK((lost.digest("k", test_keys()) == kept.digest("k", test_keys())));
  CHECK(lost.visible({0}) == nullptr);
  CHECK_FALSE(kept.merge(lost));
  CHECK(lost.merge(kept));
  CHECK(lost == kept);
}

TEST_CASE("a clear hides what it covers and leaves what it does not") {
  RegisterRow row = row_of(value({a, 1}, 10, "v"));
  const RegisterRow before = row;
  row.merge(row_of(value({b, 5}, 9, "other")));
  Clock covered;
  covered.add({a, 1});
  CHECK(row.apply_clear(covered));
  CHECK_FALSE(row.apply_clear(covered));
  CHECK(row.siblings().size() == 1);
  CHECK(row.winner()->value == "other");
  covered.add({b, 5});
  CHECK(row.apply_clear(covered));
  CHECK(row.siblings().empty());
}

TEST_CASE("a cleared sibling stays while its row has superseded what the clear does not cover") {
  RegisterRow row = row_of(value({a, 1}, 10, "old"));
  const RegisterRow old = row;
  row.write(value({b, 1}, 11, "new"));
  Clock covered;
  covered.add({b, 1});
  CHECK(row.apply_clear(covered));
  CHECK(row.siblings().size() == 1);
  CHECK(row.winner() == nullptr);
  CHECK(row.visible({0}) == nullptr);
  CHECK(row.greatest_stamp() == Stamp{11});
  CHECK_FALSE(row.merge(old));
  CHECK(decoded<RegisterRow>(encoded(row)) == row);
  covered.add({a, 1});
  CHECK(row.apply_clear(covered));
  CHECK(row.siblings().empty());
}

TEST_CASE("above the limit of siblings the lowest are superseded for good") {
  RegisterRow row;
  for (std::uint64_t i = 1; i <= siblings_max + 10; ++i) row.merge(row_of(value({{i}, 1}, 1000 - i, "v")));
  CHECK(row.siblings().size() == siblings_max);
  CHECK(row.winner()->dot.actor == ActorId{1});
  CHECK_FALSE(row.merge(row_of(value({{siblings_max + 5}, 1}, 1000 - siblings_max - 5, "v"))));
  CHECK(decodes<RegisterRow>(encoded(row)));
}

TEST_CASE("above the limit of bytes the lowest sibling is superseded, the winner stays") {
  RegisterRow row = row_of(value({a, 1}, 10, std::string(value_bytes_max, 'o')));
  row.merge(row_of(value({b, 1}, 11, "w")));
  REQUIRE(row.siblings().size() == 1);
  CHECK(row.winner()->value == "w");
  CHECK(row.context().covers({a, 1}));
}

TEST_CASE("a reissued sibling keeps stamp and value, and what it shadowed is forgotten") {
  RegisterRow row = row_of(value({b, 3}, 8, "t"));
  row.write(value({b, 4}, 10, "v"));
  CHECK(row.reissue(b, 2, {{1}, 1}));
  REQUIRE(row.siblings().size() == 1);
  CHECK(row.siblings()[0].dot == Dot{{1}, 1});
  CHECK(row.siblings()[0].stamp == Stamp{10});
  CHECK(row.siblings()[0].value == "v");
  CHECK_FALSE(row.context().covers({b, 3}));
  CHECK_FALSE(row.reissue(b, 2, {{1}, 2}));
}

TEST_CASE("a row comes back from its bytes, with and without values") {
  RegisterRow row = row_of(value({b, 300}, 1 << 20, std::string("bi\0nary", 7), {12345}));
  row.merge(row_of(tombstone({a, 1}, 9)));
  row.write(value({b, 301}, 1 << 21, ""));
  row.merge(row_of(value({{1}, 1}, 5, "x")));
  CHECK(decoded<RegisterRow>(encoded(row)) == row);
  const std::string bytes = encoded(row);
  ByteReader in(bytes);
  CHECK(RegisterRow::decode_version(in) == row.version());
  CHECK(in.done());
}

TEST_CASE("a row that is cut anywhere, or goes on, is not a row") {
  RegisterRow row = row_of(value({a, 1}, 10, "value", {99}));
  row.write(value({a, 2}, 11, "other"));
  const std::string bytes = encoded(row);
  for (std::size_t size = 0; size < bytes.size(); ++size)
    CHECK_FALSE(decodes<RegisterRow>(bytes.substr(0, size)));
  CHECK_FALSE(decodes<RegisterRow>(bytes + '\0'));
}

TEST_CASE("a row whose siblings are not ascending is not a row") {
  const std::string one = encoded(row_of(value({a, 1}, 10, "v"))).substr(1);
  const std::string sibling = one.substr(0, one.size() - 2);
  const std::string two(1, '\2');
  const std::string no_context(2, '\0');  // And no components.
  CHECK_FALSE(decodes<RegisterRow>(two + sibling + sibling + no_context));
  const std::string other = encoded(row_of(value({b, 1}, 10, "v"))).substr(1, sibling.size());
  CHECK(decodes<RegisterRow>(two + sibling + other + no_context));
  CHECK_FALSE(decodes<RegisterRow>(two + other + sibling + no_context));
}

TEST_CASE("a body carries the name of a key that is too long for its row key") {
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{459}, std::size_t{460}, std::size_t{461}, std::size_t{100'000}}) {
    const std::string key(size, 'k');
    const RegisterRow row = row_of(value({a, 1}, 10, "v"));
    const std::string row_key = string_row_key(key, test_keys());
    const std::string body = encode_body(body_name(key), row);
    const auto checked = check_row(row_key, body, test_keys());
    REQUIRE(checked.has_value());
    CHECK(checked->body.row == row);
    CHECK(checked->body.name.empty() == (size <= inline_key_bytes_max));
    CHECK((key_of(row_key, checked->body.name) == key));
    CHECK(decode_body_version(body)->live == row.version().live);
  }
}

TEST_CASE("a row from a peer must stand under the row key of its name") {
  const std::string body = encode_body("", row_of(value({a, 1}, 10, "v")));
  const std::string long_key(461, 'k');
  const std::string long_body = encode_body(long_key, row_of(value({a, 1}, 10, "v")));
  std::string moved = string_row_key("key", test_keys());
  moved[0] = static_cast<char>(moved[0] ^ 1);
  CHECK(check_row(moved, body, test_keys()).error().code == ErrorCode::bad_input);
  CHECK_FALSE(check_row(string_row_key("key", test_keys()), encode_body("key", {}), test_keys()).has_value());
  CHECK_FALSE(check_row(string_row_key(long_key, test_keys()), body, test_keys()).has_value());
  CHECK_FALSE(check_row(string_row_key(long_key + "k", test_keys()), long_body, test_keys()).has_value());
  CHECK_FALSE(check_row(clear_row_key(), body, test_keys()).has_value());
  CHECK_FALSE(check_row(string_row_key("key", test_keys()), body + "x", test_keys()).has_value());
  HashKeys others = test_keys();
  others.position.fill(9);
  CHECK_FALSE(check_row(string_row_key("key", test_keys()), body, others).has_value());
}

TEST_CASE("every key has a row key that fits and comes apart again") {
  const std::string binary("\0\xff\n\r", 4);
  for (const std::string& key : {std::string(), binary, std::string(459, 'k'), std::string(460, 'k'),
                                 std::string(461, 'k'), std::string(100'000, 'k')}) {
    const std::string row_key = string_row_key(key, test_keys());
    CHECK(row_key.size() <= row_key_bytes_max - 8 - 32);  // Room for an element's hash and digest.
    const auto parts = parse_row_key(row_key);
    REQUIRE(parts.has_value());
    CHECK(parts->kind == RowKind::string);
    CHECK(parts->inline_name == (key.size() <= inline_key_bytes_max));
    CHECK((!parts->inline_name || parts->name == key));
    CHECK(names(*parts, key, test_keys()));
    CHECK_FALSE(names(*parts, key + "x", test_keys()));
    CHECK(parts->position == position_of(row_key));
  }
}

TEST_CASE("a row key that is cut, goes on or has an unknown kind is refused") {
  const std::string row_key = string_row_key("some key", test_keys());
  for (std::size_t size = 0; size < row_key.size(); ++size)
    CHECK_FALSE(parse_row_key(row_key.substr(0, size)));
  CHECK_FALSE(parse_row_key(row_key + "x"));
  std::string unknown = row_key;
  unknown.back() = '\x7f';
  CHECK_FALSE(parse_row_key(unknown));
}

TEST_CASE("rows lie in the order of their positions") {
  std::vector<std::string> row_keys;
  for (int i = 0; i < 500; ++i) row_keys.push_back(string_row_key(std::to_string(i), test_keys()));
  std::sort(row_keys.begin(), row_keys.end());
  for (std::size_t i = 1; i < row_keys.size(); ++i) {
    CHECK(position_of(row_keys[i - 1]) < position_of(row_keys[i]));
    CHECK(first_row_key_at(position_of(row_keys[i])) <= row_keys[i]);
    CHECK(first_row_key_at(position_of(row_keys[i])) > row_keys[i - 1]);
  }
}

TEST_CASE("a version vector refuses actors out of order and sequence zero") {
  const std::string one = actor_bytes(a) + '\1';
  const std::string two = actor_bytes(b) + '\1';
  CHECK(decodes<VersionVector>('\2' + one + two));
  CHECK_FALSE(decodes<VersionVector>('\2' + two + one));
  CHECK_FALSE(decodes<VersionVector>('\2' + one + one));
  CHECK_FALSE(decodes<VersionVector>('\1' + actor_bytes(a) + '\0'));
  CHECK_FALSE(decodes<VersionVector>('\2' + one));
}

TEST_CASE("a clock refuses bytes that another form would be shorter for") {
  const auto clock = [](std::initializer_list<int> numbers) {
    std::string bytes = '\1' + actor_bytes(a);
    for (const int number : numbers) bytes.push_back(static_cast<char>(number));
    return bytes;
  };
  CHECK(decodes<Clock>(clock({3, 1, 2, 0})));        // 1-3 and 5
  CHECK_FALSE(decodes<Clock>(clock({3, 1, 1, 0})));  // 4 belongs to the base
  CHECK_FALSE(decodes<Clock>(clock({3, 1, 0, 0})));  // 3 again
  CHECK_FALSE(decodes<Clock>(clock({0, 0})));        // covers nothing
  CHECK_FALSE(decodes<Clock>(clock({3, 1})));        // a range is missing
  CHECK_FALSE(decodes<Clock>('\2' + clock({3, 0}).substr(1) + clock({3, 0}).substr(1)));
}

TEST_CASE("sequences at the maximum neither wrap nor break a clock") {
  constexpr std::uint64_t top = ~std::uint64_t{0};
  Clock clock;
  clock.add({a, top});
  clock.add({a, top - 1});
  clock.add({a, 1});
  CHECK(clock.base(a) == 1);
  CHECK(clock.highest(a) == top);
  CHECK_FALSE(clock.covers(Dot{a, top - 2}));
  CHECK(decoded<Clock>(encoded(clock)) == clock);
}

TEST_CASE("what a clock lacks does not wrap") {
  Clock theirs;
  theirs.add({1}, {1, std::uint64_t{1} << 63});
  theirs.add({2}, {1, std::uint64_t{1} << 63});
  CHECK(Clock{}.lacks(theirs) == ~std::uint64_t{0});
}

TEST_CASE("stamps of one clock rise, also when time stands still or goes back") {
  HybridClock clock(1000ms);
  Stamp last;
  for (const std::uint64_t now : {5000, 5000, 4000, 5001, 0}) {
    const Stamp issued = clock.issue({now}, {});
    CHECK(issued > last);
    last = issued;
  }
  CHECK(last.time() == WallTime{5001});
}

TEST_CASE("a write is stamped above what it supersedes, which does not become our time") {
  HybridClock clock(1000ms);
  const Stamp poisoned = Stamp::at({1'000'000});
  CHECK(clock.issue({5000}, poisoned) == poisoned.next());
  CHECK(clock.last() <= Stamp::at({6000}));
}

TEST_CASE("a remote stamp moves the clock by no more than it may be ahead") {
  HybridClock clock(1000ms);
  clock.observe(Stamp::at({5500}), {5000});
  CHECK(clock.last() == Stamp::at({5500}));
  clock.observe(Stamp::at({9000}), {5000});
  CHECK(clock.last() == Stamp::at({6000}));
  clock.observe(Stamp::at({1}), {5000});
  CHECK(clock.last() == Stamp::at({6000}));
}

TEST_CASE("stamps stay at the maximum when they are there") {
  constexpr Stamp top{~std::uint64_t{0}};
  CHECK(top.next() == top);
  HybridClock clock(1000ms, top);
  CHECK(clock.issue({5000}, top) == top);
  CHECK(Stamp::at({~std::uint64_t{0}}).time() == WallTime{(std::uint64_t{1} << 48) - 1});
}

TEST_CASE("a number has one encoding") {
  ByteReader in(std::string_view("\x80\x00", 2));
  CHECK(in.varint() == 0);
  CHECK_FALSE(in.ok());
}

TEST_CASE("an expiry of zero stays one, and never stays never") {
  RegisterRow row = row_of(value({a, 1}, 10, "v", {0}));
  row.merge(row_of(value({b, 1}, 11, "w")));
  const RegisterRow back = decoded<RegisterRow>(encoded(row));
  CHECK(back == row);
  CHECK(back.siblings()[0].expiry == Expiry{0});
  CHECK(back.siblings()[1].expiry.never());
}

TEST_CASE("what is joined beyond the limits says so") {
  VersionVector vector;
  Clock clock;
  for (std::uint64_t i = 1; i <= VersionVector::actors_max; ++i) vector.add({{i}, 1});
  for (std::uint64_t i = 1; i <= Clock::ranges_max; ++i) clock.add({a, i * 2});
  CHECK(vector.within_limits());
  CHECK(clock.within_limits());
  vector.add({{0}, 1});
  clock.add({b, 2});
  CHECK_FALSE(vector.within_limits());
  CHECK_FALSE(clock.within_limits());
}

TEST_CASE("the clock of a node does not wrap when the host's clock is at its end") {
  HybridClock clock(Millis(500));
  const WallTime end{~std::uint64_t{0}};
  clock.observe({~std::uint64_t{0} - 5}, end);
  CHECK(clock.last() >= Stamp::at(end));
}

namespace {

Clock up_to(ActorId actor, std::uint64_t sequence) {
  Clock clock;
  clock.add(actor, {1, sequence});
  return clock;
}

}  // namespace

TEST_CASE("a deleted row may vanish once all that it tells lies at or below the floor") {
  RegisterRow row = row_of(value({a, 1}, 1, "v"));
  CHECK_FALSE(row.is_spent({}));
  row.write(tombstone({b, 1}, 2));
  CHECK(row.is_spent({}));
  CHECK(row.above(up_to(a, 1)) == Dot{b, 1});
  CHECK(row.above(up_to(b, 1)) == Dot{a, 1});  // In the context.
  Clock floor = up_to(a, 1);
  floor.join(up_to(b, 1));
  CHECK(row.above(floor) == std::nullopt);
}

TEST_CASE("a context goes once the whole row lies at or below the floor") {
  RegisterRow row = row_of(value({a, 1}, 1, "v"));
  row.write(value({b, 1}, 2, "w"));
  CHECK_FALSE(row.context_may_go(up_to(a, 1)));  // The sibling lies above.
  CHECK_FALSE(row.context_may_go(up_to(b, 1)));
  Clock floor = up_to(a, 1);
  floor.join(up_to(b, 1));
  CHECK(row.context_may_go(floor));
  row.forget_context();
  CHECK_FALSE(row.context_may_go(floor));
}

TEST_CASE("a context that may go leaves with a merge what the other row has told") {
  RegisterRow mine = row_of(value({a, 2}, 2, "v"));
  mine.write(value({b, 2}, 3, "w"));
  const VersionVector before = mine.context();
  RegisterRow theirs = row_of(value({b, 2}, 3, "w"));
  theirs.write(value({a, 3}, 4, "x"));
  REQUIRE(mine.merge(theirs));
  mine.forget_context(before, theirs);
  CHECK(mine == theirs);
}

TEST_CASE("a context stays while what a clear has left, or a component that was reset, goes by it") {
  Clock floor = up_to(a, 9);
  floor.join(up_to(b, 9));
  RegisterRow counter;
  REQUIRE(counter.increment({{b, 1}, {{}}, *Decimal::parse("3")}, {}) == RegisterRow::Incremented::done);
  counter.write(value({a, 1}, 1, "v"));
  counter.write(value({a, 2}, 2, "w"));
  CHECK_FALSE(counter.context_may_go(floor));
  RegisterRow cleared = row_of(value({a, 1}, 1, "v"));
  cleared.write(value({b, 1}, 2, "w"));
  REQUIRE(cleared.apply_clear(up_to(b, 1)));  // It does not cover the context.
  CHECK_FALSE(cleared.context_may_go(floor));
}

TEST_CASE("a row is spent when all that it showed has expired, or was reset") {
  Sibling expires = value({a, 1}, 1, "v");
  expires.expiry = {1000};
  RegisterRow row = row_of(expires);
  CHECK_FALSE(row.is_spent({999}));
  CHECK(row.is_spent({1000}));
  CHECK(row.increment({{b, 1}, {{}}, *Decimal::parse("3")}, {500}) == RegisterRow::Incremented::done);
  CHECK_FALSE(row.is_spent({999}));  // The increment expires with the key.
  CHECK(row.is_spent({1000}));
  CHECK(row.above(up_to(a, 1)) == Dot{b, 1});
  RegisterRow counter;
  CHECK(counter.increment({{b, 1}, {{}}, *Decimal::parse("3")}, {500}) == RegisterRow::Incremented::done);
  CHECK_FALSE(counter.is_spent({~std::uint64_t{0} - 1}));
  counter.write(tombstone({a, 1}, 2));
  CHECK(counter.is_spent({}));
}

TEST_CASE("a tombstone below the floor gives way to a write that was made where it was purged") {
  const RegisterRow written = row_of(value({b, 2}, 1, "later"));  // An older stamp, and no context.
  for (const bool below : {false, true}) {
    RegisterRow deleted = row_of(tombstone({a, 1}, 9));
    RegisterRow other = written;
    CHECK(deleted.settle_spent(other, below ? up_to(a, 1) : Clock{}, {}) == below);
    deleted.merge(other);
    CHECK((deleted.winner()->content == Content::value) == below);
    CHECK(deleted.context().covers(Dot{a, 1}) == below);
  }
  RegisterRow alive = row_of(value({a, 1}, 9, "v"));  // A value never does.
  RegisterRow other = written;
  CHECK_FALSE(alive.settle_spent(other, up_to(a, 1), {}));
}

TEST_CASE("an expired value below the line gives way to increments that were made where it was purged") {
  Sibling expires = value({a, 1}, 9, "40");
  expires.expiry = {1000};
  for (const std::uint64_t expired : {999u, 1000u}) {
    RegisterRow old = row_of(expires);
    RegisterRow counted;
    CHECK(counted.increment({{b, 2}, {{}}, *Decimal::parse("2")}, {2000}) == RegisterRow::Incremented::done);
    CHECK(old.settle_spent(counted, up_to(a, 1), {expired}) == (expired == 1000));
    old.merge(counted);
    CHECK(old.shown({2000})->text() == "2");
  }
}

TEST_CASE("who rejoins drops what the fence covers and the peer does not know") {
  const auto kept = [](const RegisterRow& theirs, const Clock& fence) {
    RegisterRow row = row_of(value({a, 1}, 1, "v"));
    return !row.keep_what_is_in(theirs.version(), fence) && !row.empty();
  };
  CHECK_FALSE(kept({}, up_to(a, 1)));
  CHECK(kept({}, up_to(b, 1)));                                    // Above the fence.
  CHECK(kept(row_of(value({a, 1}, 1, "v")), up_to(a, 1)));         // The peer has it.
  CHECK(kept(RegisterRow::unreadable(up_to(a, 1)), up_to(a, 1)));  // It may have had it.
}
