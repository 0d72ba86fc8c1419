#include "daemon/http/metrics.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "daemon/http/site.h"
#include "unit/redis_talk.h"

using namespace knit;
using namespace std::chrono_literals;

namespace {

PeerStatus peer_called(std::string name, std::uint64_t id) {
  PeerStatus peer;
  peer.node = {id};
  peer.name = std::move(name);
  peer.address = "127.0.0." + std::to_string(id) + ":7399";
  return peer;
}

// Every family has a sample.
MetricsSource full_source() {
  MetricsSource source;
  source.version = "1.2.3";
  source.node.node = {1};
  source.node.name = "alpha";
  source.node.cluster = "home";
  PeerStatus peer = peer_called("beta", 2);
  peer.reachable = true;
  peer.since = peer.last_equal = {5000};
  peer.round_trip = 2ms;
  peer.clock_ahead = -250;
  peer.stream.rows_sent = 7;
  peer.backlog = Backlog{.writes = 11, .own_writes = 4, .lag = 1500ms, .since = {}, .drains_in = 250ms};
  peer.exchange_progress = 0.25;
  peer.exchange_duration = 3000ms;
  source.node.peers = {peer};
  source.node.lags = {{.writer = {1}, .reader = {2}, .writes = 4, .time = 1500ms}};
  source.node.log.oldest = WallTime{4000};
  source.node.stale_reads = {.count = 2, .last_age = 10ms, .most_age = 20ms};
  source.scrub = {.on = true, .progress = 0.5, .last = ScrubReport{.ended = {9000}, .rows = 10}};
  source.clients.by_command = {{.name = "get", .calls = 3, .failed = 1, .rejected = 0, .seconds = 0.5}};
  source.clients.errors = {{"ERR", 1}};
  source.gossip.members = {{MemberState::alive, 2}, {MemberState::dead, 1}};
  return source;
}

GossipCounts no_gossip() { return {}; }

std::string text_of(const MetricsSource& source) { return metrics_text(metric_families(source)); }

bool says(const std::string& text, const std::string& line) {
  return text.find("\n" + line + "\n") != std::string::npos;
}

const char* type_name(prometheus::MetricType type) {
  switch (type) {
    case prometheus::MetricType::Counter: return "counter";
    case prometheus::MetricType::Gauge: return "gauge";
    case prometheus::MetricType::Histogram: return "histogram";
    case prometheus::MetricType::Summary: return "summary";
    case prometheus::MetricType::Untyped: return "untyped";
  }
  return "";
}

std::string label_names(const prometheus::MetricFamily& family) {
  std::string out;
  for (const auto& label : family.metric.at(0).label) out += (out.empty() ? "" : " ") + label.name;
  return out;
}

// As the page has it.
std::string table_row(const prometheus::MetricFamily& family) {
  std::string labels = label_names(family);
  if (!labels.empty()) labels += " ";
  return "| `" + family.name + "` | " + type_name(family.type) + " | " + labels + "| " + family.help + " |";
}

std::set<std::string> documented_rows() {
  std::ifstream page(KNIT_METRICS_PAGE);
  REQUIRE(page);
  const std::regex row("^\\| `knit_[a-z_]+` \\|.*$");
  std::set<std::string> rows;
  for (std::string line; std::getline(page, line);) {
    if (std::regex_match(line, row)) CHECK(rows.insert(line).second);
  }
  return rows;
}

// What follows the peer label's name in lines of this metric.
std::vector<std::string> peers_of(const std::string& text) {
  const std::string begin = "knit_peer_reachable{peer=\"";
  std::vector<std::string> out;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(begin)) out.push_back(line.substr(begin.size(), line.rfind('"') - begin.size()));
  }
  return out;
}

}  // namespace

TEST_CASE("the page of metrics lists what is exported: name, type, labels, meaning") {
  std::set<std::string> documented = documented_rows();
  for (const auto& family : metric_families(full_source())) {
    INFO(family.name);
    REQUIRE_FALSE(family.metric.empty());
    INFO("expected in the page: " << table_row(family));
    CHECK(documented.erase(table_row(family)) == 1);
  }
  CHECK(documented == std::set<std::string>{});  // Not exported.
}

TEST_CASE("metrics follow Prometheus's rules for names") {
  std::set<std::string> seen;
  for (const auto& family : metric_families(full_source())) {
    INFO(family.name);
    CHECK(seen.insert(family.name).second);
    CHECK(family.name.starts_with("knit_"));
    CHECK(family.name.ends_with("_total") == (family.type == prometheus::MetricType::Counter));
    CHECK_FALSE(family.help.empty());
    for (const char* unit : {"_ms", "_millis", "_milliseconds", "_micros", "_kb"}) {
      CHECK(family.name.find(unit) == std::string::npos);
    }
  }
}

TEST_CASE("metrics are in base units") {
  const std::string text = text_of(full_source());
  CHECK(says(text, "knit_peer_round_trip_seconds{peer=\"beta\"} 0.002"));
  CHECK(says(text, "knit_peer_clock_ahead_seconds{peer=\"beta\"} -0.25"));
  CHECK(says(text, "knit_peer_last_equal_timestamp_seconds{peer=\"beta\"} 5"));
  CHECK(says(text, "knit_lag_seconds{writer=\"alpha\",reader=\"beta\"} 1.5"));
  CHECK(says(text, "knit_peer_backlog_drain_seconds{peer=\"beta\"} 0.25"));
  CHECK(says(text, "knit_command_duration_seconds_total{command=\"get\"} 0.5"));
}

TEST_CASE("what is unknown has no sample") {
  const std::string text = text_of({});
  CHECK(text.find("knit_scrub_last_rows") == std::string::npos);
  CHECK(text.find("knit_stale_read_last_age_seconds") == std::string::npos);
  CHECK(text.find("knit_peer_") == std::string::npos);
  CHECK(says(text, "knit_stale_reads_total 0"));
  CHECK(says(text, "knit_keys 0"));
}

TEST_CASE("delays are a cumulative histogram of seconds") {
  MetricsSource source;
  source.node.stream_delays.add(1);      // Milliseconds: on a bound.
  source.node.stream_delays.add(3, 2);   // Between two.
  source.node.stream_delays.add(20000);  // Above the last one.
  const std::string text = text_of(source);
  const std::string name = "knit_replication_delay_seconds";
  CHECK(says(text, name + "_bucket{le=\"0.001\"} 1"));
  CHECK(says(text, name + "_bucket{le=\"0.002\"} 1"));
  CHECK(says(text, name + "_bucket{le=\"0.005\"} 3"));
  CHECK(says(text, name + "_bucket{le=\"10\"} 3"));
  CHECK(says(text, name + "_bucket{le=\"+Inf\"} 4"));
  CHECK(says(text, name + "_count 4"));
  CHECK(text.find(name + "_sum 20.007") != std::string::npos);
}

TEST_CASE("no two peers have one label, whatever they are called") {
  MetricsSource source;
  source.node.name = "alpha";
  PeerStatus unmet = peer_called("", 9);
  unmet.node = {};
  source.node.peers = {unmet, peer_called("alpha", 3), peer_called("beta", 4), peer_called("twin", 5),
                       peer_called("twin", 6)};
  const auto peers = peers_of(text_of(source));
  CHECK(peers == std::vector<std::string>{"127.0.0.9:7399", "alpha 0000000000000003", "beta",
                                          "twin 0000000000000005", "twin 0000000000000006"});
}

TEST_CASE("a peer's name cannot break the text") {
  MetricsSource source;
  source.node.peers = {peer_called("a\"b\\c\nd\xff\x01", 2), peer_called(std::string(5000, 'x'), 3)};
  const auto peers = peers_of(text_of(source));
  REQUIRE(peers.size() == 2);
  CHECK(peers[0] == "a\\\"b\\\\c_d__");
  CHECK(peers[1].size() <= 128);
}

TEST_CASE("with very many peers only some are told one by one") {
  MetricsSource source;
  for (std::uint64_t id = 1; id <= 1000; id++) {
    source.node.peers.push_back(peer_called("n" + std::to_string(id), id));
  }
  const std::string text = text_of(source);
  CHECK(peers_of(text).size() == metrics_peers_max);
  CHECK(says(text, "knit_peers 1000"));
}

TEST_CASE("lag is told of pairs that this node is one of") {
  MetricsSource source = full_source();
  source.node.peers.push_back(peer_called("gamma", 3));
  source.node.lags = {{.writer = {1}, .reader = {2}, .writes = 4, .time = {}},
                      {.writer = {2}, .reader = {3}, .writes = 5, .time = {}},
                      {.writer = {3}, .reader = {1}, .writes = 6, .time = 7ms},
                      {.writer = {77}, .reader = {1}, .writes = 8, .time = {}}};
  const std::string text = text_of(source);
  CHECK(says(text, "knit_lag_writes{writer=\"alpha\",reader=\"beta\"} 4"));
  CHECK(says(text, "knit_lag_writes{writer=\"gamma\",reader=\"alpha\"} 6"));
  CHECK(says(text, "knit_lag_seconds{writer=\"gamma\",reader=\"alpha\"} 0.007"));
  CHECK(text.find("knit_lag_writes{writer=\"beta\"") == std::string::npos);
  CHECK(text.find("knit_lag_seconds{writer=\"alpha\"") == std::string::npos);
}

TEST_CASE("what clients do is observed") {
  test::Door door;
  test::Talk talk(door);
  talk("SET key value");
  talk("GET key");
  talk("GET other");
  talk("INCR key");
  talk("GET");
  const MetricsSource source = observe(door.server, {}, door.now);
  CHECK(source.node.keys == 1);
  CHECK(source.clients.connected == 1);
  CHECK(source.clients.commands == 4);
  CHECK(source.clients.hits == 1);
  CHECK(source.clients.misses == 1);
  CHECK(source.clients.errors == std::map<std::string, std::uint64_t>{{"ERR", 2}});
  REQUIRE(source.clients.by_command.size() == 3);
  const CommandFigures& get = source.clients.by_command[0];
  CHECK(get.name == "get");
  CHECK(get.calls == 2);
  CHECK(get.rejected == 1);
  CHECK(get.seconds == Approx(2e-6));
  CHECK(source.clients.by_command[1].failed == 1);
  CHECK(source.store.commits > 0);
  CHECK(source.store.unsynced_changes == 0);
  CHECK(source.process.resident_bytes > 0);
  CHECK(source.process.cpu_seconds > 0);
}

TEST_CASE("members are counted by state, and this node is one of them") {
  test::Door door;
  door.start_membership();
  const std::string text = text_of(observe(door.server, {}, door.now));
  CHECK(says(text, "knit_members{state=\"alive\"} 1"));
  CHECK(says(text, "knit_members{state=\"dead\"} 0"));
  CHECK(says(text, "knit_gossip_health_score 0"));
}

TEST_CASE("what the socket of gossip has counted is told, what was dropped by its reason") {
  test::Door door;
  GossipCounts counts;
  counts.packets_sent = 3;
  counts.bytes_received = 500;
  counts.sealing.challenged = 4;
  counts.sealing.dropped[static_cast<std::size_t>(DropReason::replayed)] = 2;
  const std::string text = text_of(observe(door.server, counts, door.now));
  CHECK(says(text, "knit_gossip_packets_total{direction=\"sent\"} 3"));
  CHECK(says(text, "knit_gossip_bytes_total{direction=\"received\"} 500"));
  CHECK(says(text, "knit_gossip_challenges_total{direction=\"sent\"} 4"));
  CHECK(says(text, "knit_gossip_dropped_total{reason=\"replayed\"} 2"));
  CHECK(says(text, "knit_gossip_dropped_total{reason=\"forged\"} 0"));
}

TEST_CASE("metrics are collected once for all who ask in one moment") {
  test::Door door;
  test::Talk talk(door);
  Site site(door.server, [&] { return door.now; }, [] { return std::string(); }, no_gossip);
  const std::string before = site.answer("/metrics").body;
  talk("SET key value");
  CHECK(site.answer("/metrics").body == before);
  door.now.steady += 1ms;
  CHECK(says(site.answer("/metrics").body, "knit_keys 1"));
}

TEST_CASE("health is 503 and the reason while this node does not serve all") {
  test::Door door;
  std::string trouble;
  Site site(door.server, [&] { return door.now; }, [&] { return trouble; }, no_gossip);
  CHECK(site.answer("/health").status == HttpStatus::ok);
  trouble = "the disk is full";
  CHECK(site.answer("/health").status == HttpStatus::unavailable);
  CHECK(site.answer("/health").body == "the disk is full\n");
  CHECK(site.answer("/").body.find("/metrics") != std::string::npos);
  CHECK(site.answer("/metricsx").status == HttpStatus::not_found);
}
