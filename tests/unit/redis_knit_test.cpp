// The KNIT command: what a node tells of its peers, of lags and hints, and of what a repair would do.
#include <catch2/catch.hpp>
#include <string>

#include "crdt/row_body.h"
#include "crdt/row_key.h"
#include "daemon/redis/knit_commands.h"
#include "daemon/redis/repair_forecast.h"
#include "unit/redis_talk.h"

using namespace knit;
using namespace std::chrono_literals;
using test::Door;
using test::Talk;

namespace {

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

// A RESP2 reply on one line: what it holds, without types and lengths.
std::string plain(const std::string& reply) {
  std::string out;
  for (std::size_t at = 0; at < reply.size();) {
    const std::size_t end = reply.find("\r\n", at);
    const char type = reply[at];
    if (type == ':') out += reply.substr(at + 1, end - at - 1) + ' ';
    at = end + 2;
    if (type != '$') continue;
    const std::size_t next = reply.find("\r\n", at);
    out += reply.substr(at, next - at) + ' ';
    at = next + 2;
  }
  return out;
}

PeerStatus peer(std::uint64_t node, std::string name) {
  PeerStatus status;
  status.node = {node};
  status.name = std::move(name);
  status.address = "127.0.0.9:7399";
  status.reachable = true;
  return status;
}

NodeStatus alpha_with(std::vector<PeerStatus> peers) {
  NodeStatus status;
  status.node = {1};
  status.name = "alpha";
  status.peers = std::move(peers);
  return status;
}

std::string status_text(const NodeStatus& status) {
  Door door;
  std::string out;
  write_status(Reply(out, 2), door.node, status, {});
  return plain(out);
}

std::string lags_text(const NodeStatus& status) {
  std::string out;
  write_lags(Reply(out, 2), status);
  return plain(out);
}

std::string hints_text(const NodeStatus& status) {
  std::string out;
  write_hints(Reply(out, 2), status);
  return plain(out);
}

MemberStatus member(std::uint64_t node, std::string name, MemberState state) {
  MemberStatus status;
  status.node = {node};
  status.profile = {std::move(name), *parse_endpoint("127.0.0.9:7399"), 4, 5, "1.2.3", {}};
  status.state = state;
  status.since = {5000};
  status.generation = {8};
  status.incarnation = {9};
  return status;
}

std::string members_text(const std::vector<MemberStatus>& members, const NodeStatus& status) {
  std::string out;
  write_members(Reply(out, 2), members, status);
  return plain(out);
}

// Two replicas of one row.
struct Sides {
  RegisterRow mine;
  RegisterRow theirs;
  std::uint64_t sequence = 0;

  void write(RegisterRow& row, std::uint64_t actor, std::uint64_t stamp, std::string value) {
    row.write({{{actor}, ++sequence}, {stamp}, {}, Content::value, std::move(value)});
  }

  static RowSummary summary(const RegisterRow& row) {
    const Sibling* winner = row.winner();
    RowSummary side{row.version(), row.greatest_stamp(), Content::value, 0};
    if (winner != nullptr) side.content = winner->content;
    if (winner != nullptr) side.value_bytes = winner->value.size();
    return side;
  }
  Difference difference(const std::string& key = "k") const {
    Difference difference;
    difference.row_key = string_row_key(key, {});
    difference.key = key;
    if (!mine.empty()) difference.mine = summary(mine);
    if (!theirs.empty()) difference.theirs = summary(theirs);
    return difference;
  }
};

using Winner = RepairForecast::Winner;

// As merkle/ ships it: row key and body, each with its length.
std::size_t bytes_on_the_wire(const std::string& key, const RegisterRow& row) {
  std::string bytes;
  ByteWriter out(bytes);
  out.bytes(string_row_key(key, {}));
  out.bytes(encode_body(body_name(key), row));
  return bytes.size();
}

}  // namespace

TEST_CASE("KNIT LAG names each pair of known nodes, and says -1 where it knows nothing") {
  NodeStatus status = alpha_with({peer(2, "beta"), PeerStatus{}});
  status.lags = {{{1}, {2}, 12, 35ms}};
  CHECK(lags_text(status) ==
        "writer 0000000000000001 writer_name alpha reader 0000000000000002 reader_name beta writes 12 "
        "time_ms 35 "
        "writer 0000000000000002 writer_name beta reader 0000000000000001 reader_name alpha writes -1 "
        "time_ms -1 ");
}

TEST_CASE("who lacks nothing is 0 ms behind, whatever is known of times") {
  NodeStatus status = alpha_with({peer(2, "beta")});
  status.lags = {{{1}, {2}, 0, std::nullopt}, {{2}, {1}, 5, std::nullopt}};
  CHECK(contains(lags_text(status), "reader_name beta writes 0 time_ms 0 "));
  CHECK(contains(lags_text(status), "reader_name alpha writes 5 time_ms -1 "));
}

TEST_CASE("a node without peers answers KNIT LAG with nothing, and KNIT HINTS with its log") {
  Door door;
  Talk talk(door);
  CHECK(talk("KNIT LAG") == "*0\r\n");
  CHECK(plain(talk("KNIT HINTS")).starts_with("bytes "));
  CHECK(talk("KNIT HINTS").ends_with("$5\r\npeers\r\n*0\r\n"));
}

TEST_CASE("KNIT HINTS tells what waits for each peer") {
  PeerStatus beta = peer(2, "beta");
  beta.backlog = Backlog{12, 7, 350ms, WallTime{1'700'000'000'000}, true, 1500ms};
  PeerStatus gamma = peer(3, "gamma");
  gamma.reachable = false;
  NodeStatus status = alpha_with({beta, gamma});
  status.log = {1000, 5000, WallTime{1'600'000'000'000}};
  CHECK(hints_text(status) ==
        "bytes 1000 bytes_max 5000 oldest_ms 1600000000000 peers "
        "peer 0000000000000002 name beta address 127.0.0.9:7399 reachable 1 writes 12 own_writes 7 "
        "since_ms 1700000000000 lag_ms 350 trimmed 1 drains_in_ms 1500 "
        "peer 0000000000000003 name gamma address 127.0.0.9:7399 reachable 0 writes -1 own_writes -1 "
        "since_ms 0 lag_ms -1 trimmed 0 drains_in_ms -1 ");
}

TEST_CASE("KNIT STATUS tells lags in both directions, and what streams did") {
  PeerStatus beta = peer(2, "beta");
  beta.backlog = Backlog{12, 7, 350ms, std::nullopt, false, std::nullopt};
  beta.stream = {1, 2, 3, 4, 5, 6, 7};
  NodeStatus status = alpha_with({beta, peer(3, "gamma")});
  status.lags = {{{2}, {1}, 4, 80ms}, {{1}, {2}, 99, 99ms}};
  status.stale_reads = {3, 30ms, 1200ms};
  const std::string text = status_text(status);
  CHECK(contains(text, "lag_writes 12 lag_ms 350 behind_writes 4 behind_ms 80 trimmed 0 "));
  CHECK(contains(text, "lag_writes -1 lag_ms -1 behind_writes -1 behind_ms -1 trimmed 0 "));
  CHECK(contains(text,
                 "stream_batches_sent 1 stream_rows_sent 2 stream_bytes_sent 3 stream_batches_received 4 "
                 "stream_rows_received 5 stream_rows_changed 6 stream_bytes_received 7 "));
  CHECK(contains(text, "stale_reads 3 stale_read_last_ms 30 stale_read_most_ms 1200 "));
}

TEST_CASE("the end of an exchange is estimated from how it went so far, once that says something") {
  PeerStatus beta = peer(2, "beta");
  beta.exchange_progress = 0.25;
  beta.exchange_duration = 1000ms;
  CHECK(contains(status_text(alpha_with({beta})), "exchange_duration_ms 1000 exchange_ends_in_ms 3000 "));
  for (const double early : {0.0, 0.001, -1.0}) {
    beta.exchange_progress = early;
    CHECK(contains(status_text(alpha_with({beta})), "exchange_duration_ms 1000 exchange_ends_in_ms -1 "));
  }
  CHECK(contains(status_text(alpha_with({peer(2, "beta")})),
                 "exchange_duration_ms -1 exchange_ends_in_ms -1 "));
}

TEST_CASE("INFO replication shows peers and the log, and no replica that a Redis tool would dial") {
  Door door;
  Talk talk(door);
  const std::string info = talk("INFO replication");
  CHECK(contains(info, "connected_slaves:0\r\n"));
  CHECK(contains(info, "repl_backlog_size:"));
  CHECK(contains(info, "knit_peers:0\r\n"));
  CHECK(contains(info, "knit_stale_reads:0\r\n"));
}

TEST_CASE("a row that one side lacks travels to it") {
  Sides sides;
  sides.write(sides.mine, 1, 100, "value");
  const RepairForecast expected = forecast(sides.difference());
  CHECK(expected.winner == Winner::mine);
  CHECK(expected.send_bytes == bytes_on_the_wire("k", sides.mine));
  CHECK(expected.receive_bytes == 0);
}

TEST_CASE("a later write that saw the earlier one wins, and only its row travels") {
  Sides sides;
  sides.write(sides.mine, 1, 100, "old");
  sides.theirs = sides.mine;
  sides.write(sides.theirs, 2, 200, std::string(1000, 'x'));
  const RepairForecast expected = forecast(sides.difference(std::string(600, 'k')));
  CHECK(expected.winner == Winner::theirs);
  CHECK_FALSE(expected.sends);
  CHECK(expected.receive_bytes == bytes_on_the_wire(std::string(600, 'k'), sides.theirs));
  std::swap(sides.mine, sides.theirs);
  const RepairForecast swapped = forecast(sides.difference());
  CHECK(swapped.winner == Winner::mine);
  CHECK(swapped.send_bytes == bytes_on_the_wire("k", sides.mine));
  CHECK_FALSE(swapped.receives);
}

TEST_CASE("of concurrent writes the later one wins, and both rows travel") {
  Sides sides;
  sides.write(sides.mine, 1, 201, "mine");
  sides.write(sides.theirs, 2, 200, "theirs");
  const RepairForecast expected = forecast(sides.difference());
  CHECK(expected.winner == Winner::mine);
  CHECK(expected.sends);
  CHECK(expected.receives);
  std::swap(sides.mine, sides.theirs);
  CHECK(forecast(sides.difference()).winner == Winner::theirs);
}

TEST_CASE("what a forecast says is what a merge does") {
  for (std::uint64_t stamps = 0; stamps < 4; stamps++) {
    Sides sides;
    sides.write(sides.mine, 1, 100, "first");
    sides.theirs = sides.mine;
    sides.write(sides.mine, 3, 200 + stamps / 2, "mine");
    sides.write(sides.theirs, 2, 200 + stamps % 2, "theirs");
    const Winner winner = forecast(sides.difference()).winner;
    RegisterRow merged = sides.mine;
    merged.merge(sides.theirs);
    CHECK(std::string(name_of(winner)) == merged.winner()->value);
  }
}

TEST_CASE("a row that lacks a lost sibling or a later expiry shows the equal value") {
  Sides sides;
  sides.write(sides.theirs, 2, 100, "lost");
  sides.write(sides.mine, 1, 200, "won");
  const RegisterRow won = sides.mine;
  sides.mine.merge(sides.theirs);
  sides.theirs = won;
  RepairForecast expected = forecast(sides.difference());
  CHECK(expected.winner == Winner::equal);
  CHECK(expected.sends);
  CHECK_FALSE(expected.receives);

  Sides expiries;
  expiries.mine.write({{{1}, 900}, {100}, Expiry{5000}, Content::value, "v"});
  expiries.theirs = expiries.mine;
  expiries.theirs.raise_expiry(Expiry{6000});
  expected = forecast(expiries.difference());
  CHECK(expected.winner == Winner::equal);
  CHECK_FALSE(expected.sends);
  CHECK(expected.receives);
}

TEST_CASE("concurrent increments are summed") {
  Sides sides;
  REQUIRE(sides.mine.increment({{{1}, 901}, {100}, *Decimal::parse("1")}, test::now) ==
          RegisterRow::Incremented::done);
  REQUIRE(sides.theirs.increment({{{2}, 902}, {100}, *Decimal::parse("2")}, test::now) ==
          RegisterRow::Incremented::done);
  const RepairForecast expected = forecast(sides.difference());
  CHECK(expected.winner == Winner::both);
  CHECK(expected.send_bytes == bytes_on_the_wire("k", sides.mine));
}

TEST_CASE("KNIT DIFF tells of each difference who would win, and sums up what would travel") {
  Sides sides;
  sides.write(sides.mine, 1, 201, "mine");
  sides.write(sides.theirs, 2, 200, "theirs");
  const RepairForecast one = forecast(sides.difference());
  JobDone done;
  done.differences = {sides.difference("a"), sides.difference("b")};
  done.differences_found = 2;
  std::string out;
  write_diff(Reply(out, 2), done, 1);
  const std::string sent = std::to_string(one.send_bytes);
  const std::string got = std::to_string(one.receive_bytes);
  CHECK(contains(plain(out), "winner mine kept both send_bytes " + sent + " receive_bytes " + got + ' '));
  CHECK(contains(plain(out), "listed 1 "));
  CHECK(contains(plain(out), "forecast_of 2 send_rows 2 send_bytes " + std::to_string(2 * one.send_bytes) +
                                 " receive_rows 2 receive_bytes " + std::to_string(2 * one.receive_bytes) +
                                 ' '));
}

TEST_CASE("KNIT REPAIR DRYRUN is asked of one peer, as KNIT DIFF is") {
  Door door;
  Talk talk(door);
  const std::string unknown = talk("KNIT DIFF nobody");
  CHECK(contains(unknown, "no peer is called nobody"));
  CHECK(talk("KNIT REPAIR nobody DRYRUN") == unknown);
  CHECK(talk("KNIT REPAIR nobody DRYRUN LIMIT 5") == unknown);
  CHECK(talk("KNIT REPAIR nobody DRYRUN LIMIT x") == "-ERR value is not an integer or out of range\r\n");
  CHECK(talk("KNIT REPAIR ALL DRYRUN") == "-ERR syntax error\r\n");
  CHECK(talk("KNIT REPAIR nobody NOW") == "-ERR syntax error\r\n");
}

TEST_CASE(
    "KNIT MEMBERS tells of each member who it is, what it is taken for, and what is known of its data") {
  PeerStatus known = peer(2, "beta");
  known.equal = true;
  known.root = 5;
  MemberStatus beta = member(2, "beta", MemberState::alive);
  beta.round_trip = 3ms;
  beta.profile.tags = {{"rack", "7"}, {"zone", "eu1"}};
  CHECK(members_text({beta}, alpha_with({known})) ==
        "node 0000000000000002 name beta address 127.0.0.9:7399 version 1.2.3 state alive since_ms 5000 "
        "round_trip_us 3000 root 00000000000000000000000000000005 equal 1 self 0 reachable 1 protocol_min 4 "
        "protocol_max 5 generation 8 incarnation 9 tags rack 7 zone eu1 ");
}

TEST_CASE("a member that was never met is a member, and nothing is known of its data") {
  const std::string text =
      members_text({member(3, "gamma", MemberState::dead)}, alpha_with({peer(2, "beta")}));
  CHECK(contains(text, "name gamma "));
  CHECK(contains(text,
                 "state dead since_ms 5000 round_trip_us -1 root 00000000000000000000000000000000 "
                 "equal 0 self 0 reachable 0 "));
}

TEST_CASE("KNIT MEMBERS of a node that is alone shows itself") {
  Door door;
  door.start_membership({{"zone", "eu1"}});
  Talk talk(door);
  const std::string text = plain(talk("KNIT MEMBERS"));
  CHECK(contains(text, "name alpha address 127.0.0.1:7399 version 1.2.3 state alive "));
  CHECK(contains(text, "round_trip_us 0 "));
  CHECK(contains(text, "self 1 reachable 1 protocol_min 4 protocol_max 5 generation 7 incarnation 0 "));
  CHECK(text.ends_with("tags zone eu1 "));
}

TEST_CASE("KNIT TAGS sets the tags that are named, and removes one whose value is empty") {
  Door door;
  door.start_membership({{"zone", "eu1"}});
  Talk talk(door);
  CHECK(talk("KNIT TAGS rack=7 note=a=b") == "+OK\r\n");
  CHECK(plain(talk("KNIT TAGS")) == "note a=b rack 7 zone eu1 ");
  CHECK(talk("KNIT TAGS zone= note= missing=") == "+OK\r\n");
  CHECK(plain(talk("KNIT TAGS")) == "rack 7 ");
  CHECK(contains(plain(talk("KNIT MEMBERS")), "tags rack 7 "));
}

TEST_CASE("KNIT TAGS that are refused change nothing") {
  Door door;
  door.start_membership({{"zone", "eu1"}});
  Talk talk(door);
  CHECK(talk("KNIT TAGS rack") == "-ERR expected name=value, or name=\r\n");
  CHECK(talk("KNIT TAGS rack=7 =7") == "-ERR expected name=value, or name=\r\n");
  CHECK(talk("KNIT TAGS a=1 b=1 c=1 d=1 e=1 f=1 g=1 h=1").starts_with("-ERR at most 8 tags"));
  CHECK(plain(talk("KNIT TAGS")) == "zone eu1 ");
}

TEST_CASE("KNIT JOIN takes an address, and lists those where nobody was met yet") {
  Door door;
  Talk talk(door);
  CHECK(talk("KNIT JOIN") == "*0\r\n");
  CHECK(talk("KNIT JOIN 127.0.0.5:7399") == "+OK\r\n");
  CHECK(talk("KNIT JOIN 127.0.0.5:7399") == "+OK\r\n");
  CHECK(plain(talk("KNIT JOIN")) == "127.0.0.5:7399 ");
  CHECK(talk("KNIT JOIN beta:7399") == "-ERR expected ip:port\r\n");
  CHECK(talk("KNIT JOIN 127.0.0.5:7399 now") == "-ERR syntax error\r\n");
  CHECK(door.node.wanted_links().contains("127.0.0.5:7399"));
}

TEST_CASE("at most 64 addresses are tried") {
  Door door;
  Talk talk(door);
  for (int port = 1; port <= 64; port++) {
    REQUIRE(talk("KNIT JOIN 127.0.0.5:" + std::to_string(port)) == "+OK\r\n");
  }
  CHECK(talk("KNIT JOIN 127.0.0.5:65") == "-ERR 64 addresses are tried already; see KNIT JOIN\r\n");
}

TEST_CASE("KNIT LEAVE is answered before this node goes") {
  Door door;
  Talk talk(door);
  CHECK(talk("KNIT LEAVE") == "+OK\r\n");
  CHECK(door.server.leave_wanted);
  CHECK_FALSE(door.stopped);
}

TEST_CASE("KNIT FORGET refuses this node, and whoever is no member") {
  Door door;
  Talk talk(door);
  CHECK(talk("KNIT FORGET beta") == "-ERR this node has no membership\r\n");
  door.start_membership();
  CHECK(talk("KNIT FORGET beta") == "-ERR no member is called beta; see KNIT MEMBERS\r\n");
  CHECK(talk("KNIT FORGET alpha") == "-ERR a node does not forget itself; let it leave\r\n");
}
