#include "gossip/swim.h"

#include <catch2/catch.hpp>

#include "swim_play.h"

using namespace knit;
using namespace knit::swim_play;
using member_records::most;
using member_records::most_incarnations;

namespace {

Member as(Member member, MemberState state, std::uint32_t incarnation) {
  member.state = state;
  member.incarnation = {incarnation};
  return member;
}

Member in_life(Member member, std::uint64_t generation) {
  member.generation = {generation};
  return member;
}

std::string news(const std::vector<std::string>& updates) {
  std::string bytes = encode(News{});
  ByteWriter out(bytes);
  for (const std::string& update : updates) out.bytes(update);
  return bytes;
}

std::string news_of(const Member& member) { return news({encode_update(member)}); }

std::string accusation(const Member& member, std::uint64_t accuser) {
  return news({encode_brief_update(as(member, MemberState::suspect, member.incarnation.value), {accuser})});
}

Swim::Source from(const Host& host, bool link = false) { return {host.id, host.endpoint, link}; }

template <class Body>
std::vector<Body> sent_by(const SwimOutbox& out, ProfilePool& pool) {
  std::vector<Body> bodies;
  for (const SwimOutput& each : out) {
    const auto* datagram = std::get_if<SendDatagram>(&each);
    const auto* over = std::get_if<SendOverLink>(&each);
    if (datagram == nullptr && over == nullptr) continue;
    const auto packet = decode_packet(datagram != nullptr ? datagram->bytes : over->bytes, pool);
    REQUIRE(packet);
    if (const auto* body = std::get_if<Body>(&packet->body)) bodies.push_back(*body);
  }
  return bodies;
}

bool between(const Sent& sent, std::uint64_t a, std::uint64_t b) {
  return (sent.from.value == a && sent.to.value == b) || (sent.from.value == b && sent.to.value == a);
}

constexpr std::uint64_t nth(std::uint64_t number) { return number << 56 | number; }

SwimOptions without_probes() {
  SwimOptions options;
  options.probe_interval = 1000h;
  return options;
}

// Hosts 1 to `count`, acquainted.
struct Cluster : Play {
  explicit Cluster(std::size_t count, SwimOptions with = {}) {
    options = with;
    for (std::uint64_t id = 1; id <= count; ++id) add(nth(id));
    acquaint();
  }
  Host& host(std::uint64_t number) { return (*this)[nth(number)]; }
  Swim& swim(std::uint64_t number) { return *host(number).swim; }
  MemberState seen(std::uint64_t of, std::uint64_t by) { return state(nth(of), nth(by)); }
  const Member& record(std::uint64_t of, std::uint64_t by) { return *swim(by).members().find({nth(of)}); }
  bool passes_between(const Sent& sent, std::uint64_t a, std::uint64_t b) {
    return between(sent, nth(a), nth(b));
  }
};

}  // namespace

// --- Probing

TEST_CASE("members that answer in time are not suspected") {
  Cluster cluster(4);
  cluster.run(2min);
  for (std::uint64_t i = 1; i <= 4; ++i) {
    const SwimCounters& counters = cluster.swim(i).counters();
    CHECK(counters.probes >= 235);
    CHECK(counters.probes_failed == 0);
    CHECK(counters.suspicions == 0);
    CHECK(counters.stalls == 0);
    CHECK(cluster.swim(i).health_score() == 0);
    CHECK(cluster.host(i).events.empty());
    CHECK_FALSE(cluster.swim(i).has_news());
  }
  CHECK(cluster.swim(1).round_trip({nth(2)}) == 2 * latency);
}

TEST_CASE("at rest a member costs two packets an interval") {
  Cluster cluster(4);
  cluster.run(1min);
  CHECK(cluster.packets_sent <= 4 * 2 * 121);
}

TEST_CASE("each round asks every other member once") {
  Cluster cluster(6);
  std::map<NodeId, int> asked;
  cluster.passes = [&](const Sent& sent, const Packet& packet) {
    if (is<Ping>(packet) && sent.from.value == nth(1)) ++asked[sent.to];
    return true;
  };
  cluster.run(500ms * 5 * 4 + 400ms);
  CHECK(asked.size() == 5);
  for (const auto& [id, times] : asked) CHECK((times == 4 || times == 5 || times == 3));
}

TEST_CASE("a ping that is lost is repeated before others are asked") {
  Cluster cluster(3);
  std::map<NodeId, int> pings;
  int requests = 0;
  cluster.passes = [&](const Sent& sent, const Packet& packet) {
    if (is<PingRequest>(packet)) ++requests;
    return !is<Ping>(packet) || pings[sent.from]++ % 4 == 3;
  };
  cluster.run(20s);
  CHECK(pings[{nth(1)}] > 100);
  CHECK(requests == 0);
  CHECK(cluster.swim(1).counters().probes_failed == 0);
}

TEST_CASE("a member that only others can reach is not suspected") {
  Cluster cluster(3);
  int requests = 0;
  cluster.passes = [&](const Sent& sent, const Packet& packet) {
    if (is<PingRequest>(packet)) ++requests;
    return !cluster.passes_between(sent, 1, 2);
  };
  cluster.run(1min);
  CHECK(requests > 10);
  CHECK(cluster.swim(1).counters().probes_failed == 0);
  CHECK(cluster.seen(2, 1) == MemberState::alive);
  CHECK(cluster.seen(2, 3) == MemberState::alive);
}

TEST_CASE("a member that only its link reaches is not suspected") {
  Cluster cluster(2);
  cluster.link(nth(1), nth(2));
  cluster.passes = [&](const Sent& sent, const Packet&) { return sent.link; };
  cluster.run(1min);
  CHECK(cluster.swim(1).counters().probes > 100);
  CHECK(cluster.swim(1).counters().probes_failed == 0);
  CHECK(cluster.swim(2).counters().probes_failed == 0);
}

TEST_CASE("helpers that hear nothing say so, and the one who asked does not blame itself") {
  const bool nacks_pass = GENERATE(true, false);
  Cluster cluster(4);
  int nacks = 0;
  cluster.host(2).deaf = true;
  cluster.host(2).stopped = true;
  cluster.passes = [&](const Sent& sent, const Packet& packet) {
    if (is<Nack>(packet) && sent.to.value == nth(1)) ++nacks;
    return !is<Nack>(packet) || nacks_pass;
  };
  int worst = 0;
  cluster.run_until(5s, [&] {
    worst = std::max(worst, cluster.swim(1).health_score());
    return cluster.swim(1).counters().probes_failed > 0 && worst > 0;
  });
  CHECK(nacks > 0);
  CHECK((worst == 0) == nacks_pass);
}

TEST_CASE("helpers are asked also by a member whose clock ticks late") {
  Cluster cluster(3);
  cluster.host(2).stopped = true;
  bool pinged = false;
  int requests = 0;
  cluster.passes = [&](const Sent& sent, const Packet& packet) {
    if (is<Ping>(packet) && sent.from.value == nth(1) && sent.to.value == nth(2)) pinged = true;
    if (is<PingRequest>(packet) && sent.from.value == nth(1)) ++requests;
    return true;
  };
  REQUIRE(cluster.run_until(5s, [&] { return pinged; }));
  cluster.run(200ms);
  cluster.host(1).stopped =
      true;  // Over the moment at which others are to be asked, and that of the judgement.
  cluster.run(350ms);
  cluster.host(1).stopped = false;
  REQUIRE(cluster.run_until(1s, [&] { return cluster.swim(1).counters().probes_failed > 0; }));
  CHECK(requests > 0);
}

TEST_CASE("an ack of somebody who was not asked proves nothing") {
  Cluster cluster(2);
  Host& one = cluster.host(1);
  std::optional<std::uint32_t> sequence;
  cluster.passes = [&](const Sent& sent, const Packet& packet) {
    if (is<Ping>(packet) && sent.from == one.id) sequence = std::get<Ping>(packet.body).sequence;
    return !is<Ping>(packet);
  };
  REQUIRE(cluster.run_until(2s, [&] { return sequence.has_value(); }));
  const Ack forged{*sequence, {one.swim->members().digest(), 0}};
  cluster.hear(one, {{99}, cluster.host(2).endpoint, false}, encode(forged));
  REQUIRE(cluster.run_until(2s, [&] { return one.swim->counters().probes_failed > 0; }));
  CHECK(cluster.seen(2, 1) == MemberState::suspect);
}

TEST_CASE("a member that comes and goes does not keep others from being asked") {
  Cluster cluster(4);
  Host& one = cluster.host(1);
  const Member flapping = cluster.swim(4).self();
  for (std::uint32_t incarnation = 0; incarnation < 1000; ++incarnation) {
    cluster.hear(one, from(cluster.host(3)), news_of(as(flapping, MemberState::dead, incarnation)));
    cluster.hear(one, from(cluster.host(3)), news_of(as(flapping, MemberState::alive, incarnation + 1)));
  }
  std::map<NodeId, int> asked;
  cluster.passes = [&](const Sent& sent, const Packet& packet) {
    if (is<Ping>(packet) && sent.from == one.id) ++asked[sent.to];
    return true;
  };
  cluster.run(10s);
  CHECK(asked[{nth(2)}] >= 4);
  CHECK(asked[{nth(3)}] >= 4);
}

// --- Suspicion

TEST_CASE("a member that is gone is suspected, and then dead, in all lists") {
  Cluster cluster(5);
  cluster.run(5s);
  cluster.host(5).stopped = true;
  const Millis gone = cluster.now.steady;
  REQUIRE(cluster.run_until(10s, [&] { return cluster.seen(5, 1) == MemberState::suspect; }));
  REQUIRE(cluster.run_until(30s, [&] { return cluster.seen(5, 1) == MemberState::dead; }));
  CHECK(cluster.now.steady - gone >= 1800ms);
  cluster.run(2s);
  for (std::uint64_t i = 1; i <= 4; ++i) CHECK(cluster.seen(5, i) == MemberState::dead);
  for (std::uint64_t i = 1; i <= 4; ++i) CHECK(cluster.seen(1 + i % 4, i) == MemberState::alive);
  std::vector<MemberState> seen;
  for (const SwimOutput& event : cluster.host(1).events) {
    if (const auto* changed = std::get_if<MemberChanged>(&event)) seen.push_back(changed->after);
  }
  CHECK(seen == std::vector<MemberState>{MemberState::suspect, MemberState::dead});
}

TEST_CASE("who is suspected without cause refutes it") {
  Cluster cluster(3);
  cluster.hear(cluster.host(1), from(cluster.host(3)), accusation(cluster.swim(2).self(), nth(3)));
  CHECK(cluster.seen(2, 1) == MemberState::suspect);
  cluster.run(2s);
  for (std::uint64_t i = 1; i <= 3; ++i) {
    CHECK(cluster.record(2, i).state == MemberState::alive);
    CHECK(cluster.record(2, i).incarnation == Incarnation{1});
    CHECK(cluster.swim(i).counters().deaths == 0);
  }
  CHECK(cluster.swim(2).counters().refutations == 1);
  CHECK(cluster.swim(2).self().generation == Generation{1});
}

TEST_CASE("confirmations shorten a suspicion, each accuser counted once") {
  const std::size_t accusers = GENERATE(1, 2, 4);
  Cluster cluster(6, without_probes());
  for (std::uint64_t i = 2; i <= 6; ++i) cluster.host(i).stopped = true;
  const Millis begun = cluster.now.steady;
  for (std::uint64_t i = 2; i < 2 + accusers; ++i) {
    for (int twice = 0; twice < 2; ++twice) {
      cluster.hear(cluster.host(1), from(cluster.host(i)), accusation(cluster.swim(6).self(), nth(i)));
    }
  }
  REQUIRE(cluster.run_until(20s, [&] { return cluster.seen(6, 1) == MemberState::dead; }));
  const Millis taken = cluster.now.steady - begun;
  const Millis expected = accusers == 1 ? 10800ms : accusers == 2 ? 6300ms : 1800ms;
  CHECK(taken >= expected);
  CHECK(taken <= expected + 20ms);
  CHECK(cluster.swim(1).counters().suspicions == 1);
  CHECK(cluster.swim(1).counters().stalls == 0);
}

TEST_CASE("a suspicion that is confirmed late ends at once") {
  Cluster cluster(6, without_probes());
  for (std::uint64_t i = 2; i <= 6; ++i) cluster.host(i).stopped = true;
  const auto accuse = [&](std::uint64_t accuser) {
    cluster.hear(cluster.host(1), from(cluster.host(accuser)),
                 accusation(cluster.swim(6).self(), nth(accuser)));
  };
  accuse(2);
  cluster.run(10s);
  for (const std::uint64_t accuser : {3, 4, 5}) accuse(accuser);
  cluster.run(10ms);
  CHECK(cluster.seen(6, 1) == MemberState::dead);
  CHECK(cluster.swim(1).counters().stalls == 0);
}

TEST_CASE("a suspect is told so before all else") {
  Cluster cluster(3);
  cluster.hear(cluster.host(1), from(cluster.host(3)), accusation(cluster.swim(2).self(), nth(3)));
  const Member other = member_records::member(cluster.pool, 77, 1, 0, MemberState::alive);
  cluster.hear(cluster.host(1), from(cluster.host(3)), news_of(other));
  bool told = false;
  cluster.passes = [&](const Sent& sent, const Packet& packet) {
    if (!told && sent.from.value == nth(1) && sent.to.value == nth(2)) {
      told = true;
      REQUIRE_FALSE(packet.updates.empty());
      CHECK(packet.updates[0].member.id.value == nth(2));
      CHECK(packet.updates[0].member.state == MemberState::suspect);
    }
    return true;
  };
  cluster.run(2s);
  CHECK(told);
}

TEST_CASE("two profiles of one suspect end up as one") {
  Cluster cluster(3, without_probes());
  for (std::uint64_t i = 2; i <= 3; ++i) cluster.host(i).stopped = true;
  Member one = as(cluster.swim(3).self(), MemberState::suspect, 0);
  Member other = one;
  other.profile = cluster.pool.take(member_records::profile("other"));
  if (supersedes(one, other)) std::swap(one, other);
  cluster.hear(cluster.host(1), from(cluster.host(2)), news_of(one));
  cluster.hear(cluster.host(1), from(cluster.host(2)), news_of(other));
  CHECK(digest_of(cluster.record(3, 1)) == digest_of(other));
}

// --- Coming back

TEST_CASE("the dead are asked again, and come back") {
  Cluster cluster(3);
  cluster.host(2).stopped = true;
  REQUIRE(cluster.run_until(1min, [&] {
    return cluster.seen(2, 1) == MemberState::dead && cluster.seen(2, 3) == MemberState::dead;
  }));
  cluster.run(30s);
  cluster.host(2).stopped = false;
  REQUIRE(cluster.run_until(10s, [&] { return cluster.lists_are_equal(); }));
  CHECK(cluster.seen(2, 1) == MemberState::alive);
  CHECK(cluster.record(2, 1).generation == Generation{1});
  CHECK(cluster.swim(1).counters().false_alarms == 1);
  CHECK(cluster.seen(1, 2) == MemberState::alive);
}

TEST_CASE("both sides of a cut come together when it heals") {
  Cluster cluster(6);
  bool cut = true;
  cluster.passes = [&](const Sent& sent, const Packet&) {
    const bool left = sent.from.value <= nth(3);
    return !cut || left == (sent.to.value <= nth(3));
  };
  cluster.run(1min);
  for (std::uint64_t i = 1; i <= 3; ++i) {
    CHECK(cluster.swim(i).members().count(MemberState::dead) == 3);
    CHECK(cluster.swim(i + 3).members().count(MemberState::dead) == 3);
  }
  cut = false;
  REQUIRE(cluster.run_until(15s, [&] {
    return cluster.lists_are_equal() && cluster.swim(1).members().count(MemberState::alive) == 6;
  }));
  for (std::uint64_t i = 1; i <= 6; ++i) CHECK(cluster.swim(i).self().generation == Generation{1});
}

TEST_CASE("a node that was started anew is the same member in a later life") {
  Cluster cluster(3);
  cluster.host(2).stopped = true;
  cluster.run(1min);
  cluster.host(2).stopped = false;
  cluster.start(cluster.host(2), 2);
  cluster.greet(nth(2), nth(1));
  REQUIRE(cluster.run_until(10s, [&] { return cluster.lists_are_equal(); }));
  for (std::uint64_t i = 1; i <= 3; ++i) {
    CHECK(cluster.swim(i).members().size() == 3);
    CHECK(cluster.record(2, i).generation == Generation{2});
    CHECK(cluster.record(2, i).state == MemberState::alive);
  }
}

TEST_CASE("a node whose clock was ahead in its last life takes a life after that") {
  Cluster cluster(2);
  cluster.start(cluster.host(2), 0);
  cluster.greet(nth(2), nth(1));
  REQUIRE(cluster.run_until(5s, [&] { return cluster.lists_are_equal(); }));
  CHECK(cluster.swim(2).self().generation == Generation{2});
  CHECK(cluster.host(2).count<IdInUse>() == 0);
}

TEST_CASE("a later life is outdone at once also by a clock that has just begun") {
  Play play;
  play.now.steady = Millis{0};
  Host& host = play.add(1);
  play.hear(host, {{2}, member_records::endpoint(2), false}, news_of(in_life(host.swim->self(), 5)));
  CHECK(host.swim->self().generation == Generation{6});
}

TEST_CASE("what is refuted at the greatest incarnation is refuted in a later life") {
  Cluster cluster(2);
  const Member said = as(cluster.swim(1).self(), MemberState::suspect, most_incarnations);
  cluster.hear(cluster.host(1), from(cluster.host(2)), news_of(said));
  CHECK(cluster.swim(1).self().generation == Generation{2});
  CHECK(cluster.swim(1).self().incarnation == Incarnation{0});
  CHECK(cluster.swim(1).self().state == MemberState::alive);
}

TEST_CASE("after the last incarnation of the last life a node goes on as it is") {
  Cluster cluster(2);
  const Member mine = cluster.swim(1).self();
  for (const auto state :
       {MemberState::suspect, MemberState::dead, MemberState::forgotten, MemberState::alive}) {
    const Member said = in_life(as(mine, state, most_incarnations), most);
    cluster.hear(cluster.host(1), from(cluster.host(2)), news_of(said));
    CHECK(digest_of(cluster.swim(1).self()) == digest_of(mine));
  }
  cluster.run(10s);
  CHECK_FALSE(cluster.swim(1).left());
}

TEST_CASE("a second process with the same id is named, and outdone once a second") {
  const bool same_generation = GENERATE(true, false);
  Cluster cluster(2);
  Host& one = cluster.host(1);
  Member clone = one.swim->self();
  clone.profile = cluster.pool.take(member_records::profile("clone", member_records::endpoint(99)));
  std::size_t named = 0;
  for (std::uint32_t round = 0; round < 100; ++round) {
    clone = in_life(as(clone, MemberState::alive, one.swim->self().incarnation.value + 1),
                    one.swim->self().generation.value + (same_generation ? 0 : 1));
    const SwimOutbox out = cluster.hear(one, from(cluster.host(2)), news_of(clone));
    for (const SwimOutput& each : out) {
      if (const auto* in_use = std::get_if<IdInUse>(&each)) {
        ++named;
        CHECK(in_use->at == member_records::endpoint(99));
      }
    }
  }
  CHECK(named == 1);
  CHECK(one.swim->counters().refutations == 1);
  cluster.run(1s);
  clone = in_life(as(clone, MemberState::alive, one.swim->self().incarnation.value + 1),
                  one.swim->self().generation.value + 1);
  cluster.hear(one, from(cluster.host(2)), news_of(clone));
  CHECK(one.swim->counters().refutations == 2);
}

TEST_CASE("a second process with the same id and the same address is named the third time") {
  Cluster cluster(2);
  Host& one = cluster.host(1);
  for (int round = 1; round <= 4; ++round) {
    const Member clone =
        in_life(as(one.swim->self(), MemberState::alive, 0), one.swim->self().generation.value + 1);
    const SwimOutbox out = cluster.hear(one, from(cluster.host(2)), news_of(clone));
    const bool named = std::any_of(
        out.begin(), out.end(), [](const SwimOutput& each) { return std::holds_alternative<IdInUse>(each); });
    CHECK(named == (round >= 3));
    cluster.run(1s);
  }
}

// --- Comparing lists

namespace {

// Two hosts that know each other, and of `count` further members some each, some newer here and some there.
Play two_that_differ(std::size_t count) {
  Play play;
  play.options = without_probes();
  Random random(count);
  std::vector<Member> known[2];
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t id = random() | 1;
    Member member = member_records::member(play.pool, id, 1, 0, MemberState::alive, "m" + std::to_string(i));
    for (auto& list : known) {
      if (random() % 3 == 0) continue;
      member.incarnation.value = static_cast<std::uint32_t>(random() % 3);
      list.push_back(member);
    }
  }
  play.add(nth(1));
  play.add(nth(200));
  play.acquaint();
  play[nth(1)].swim->restore(std::move(known[0]));
  play[nth(200)].swim->restore(std::move(known[1]));
  return play;
}

std::uint64_t digest_of_union(Play& play) {
  MemberList all(1 << 20);
  for (auto& [id, host] : play.hosts()) {
    host.swim->members().visit([&](const Member& member) { all.put(member); });
  }
  return all.digest();
}

}  // namespace

TEST_CASE("comparing over datagrams brings both sides what they lack") {
  const std::size_t count = GENERATE(0, 2, 50, 1000);
  Play play = two_that_differ(count);
  play.passes = [](const Sent&, const Packet& packet) { return !is<News>(packet); };
  const std::uint64_t expected = digest_of_union(play);
  int rounds = 0;
  for (; !play.lists_are_equal() && rounds < 60; ++rounds) {
    play.greet(nth(1), nth(200));
    play.run(1100ms);
  }
  CHECK(play.lists_are_equal());
  CHECK(play[nth(1)].swim->members().digest() == expected);
  CHECK(rounds <= (count <= 2 ? 1 : count == 50 ? 8 : 40));
  CHECK(play.datagram_bytes_most <= play.options.datagram_bytes_max);
}

TEST_CASE("comparing over a new link brings both sides all that they lack at once") {
  const std::size_t count = GENERATE(0, 2, 50, 1000);
  Play play = two_that_differ(count);
  play.passes = [](const Sent& sent, const Packet&) { return sent.link; };
  const std::uint64_t expected = digest_of_union(play);
  play.link(nth(1), nth(200));
  play.run(100ms);
  CHECK(play.lists_are_equal());
  CHECK(play[nth(200)].swim->members().digest() == expected);
}

TEST_CASE("strangers with a link meet although their first comparison was lost") {
  Play play = two_that_differ(0);
  play.passes = [](const Sent&, const Packet&) { return false; };  // That link was replaced by another.
  play.link(nth(1), nth(200));
  play.run(100ms);
  play.passes = [](const Sent& sent, const Packet&) { return sent.link; };
  play.link(nth(1), nth(200));
  play.run(2s);
  CHECK(play.lists_are_equal());
}

TEST_CASE("a comparison begun with datagrams goes on over a link when much differs") {
  Play play = two_that_differ(1000);
  play.link(nth(1), nth(200));
  play.run(100ms);
  Member newcomer = member_records::member(play.pool, 1, 1, 0, MemberState::dead);
  for (std::uint64_t i = 0; i < 256; ++i) {
    newcomer.id = {(i << 56) + 17};
    play.hear(play[nth(1)], from(play[nth(1)]), "");
    play.hear(play[nth(1)], {{5}, member_records::endpoint(5), false}, news_of(newcomer));
  }
  play.run(2s);
  std::size_t over_link = 0;
  play.passes = [&](const Sent& sent, const Packet& packet) {
    if (sent.link) ++over_link;
    return !is<News>(packet);
  };
  play.greet(nth(200), nth(1));
  play.run(100ms);
  CHECK(play.lists_are_equal());
  CHECK(over_link > 0);
}

TEST_CASE("what cannot be made equal does not hide the rest") {
  // A full list lacks what it cannot take in most parts; it must still hear of its members, wherever they
  // are.
  SwimOptions options = without_probes();
  options.members_max = 600;
  Play play;
  play.options = options;
  Random random(1);
  std::vector<Member> members;
  for (std::uint64_t i = 0; i < 598; ++i) {
    members.push_back(member_records::member(play.pool, random() | 1, 1, 0, MemberState::dead));
  }
  play.add(nth(1));
  play.options.members_max = 10'000;
  play.add(nth(200));
  play.acquaint();
  play[nth(1)].swim->restore(members);
  for (Member& member : members) member.incarnation.value = 1;
  play[nth(200)].swim->restore(members);
  for (Member& member : members) member.id.value ^= 0x10;
  play[nth(200)].swim->restore(std::move(members));
  play.passes = [](const Sent&, const Packet& packet) { return !is<News>(packet); };
  for (int rounds = 0; rounds < 500; ++rounds) {
    play.greet(nth(1), nth(200));
    play.run(1100ms);
  }
  std::size_t behind = 0;
  play[nth(1)].swim->members().visit([&](const Member& member) {
    if (member.state == MemberState::dead && member.incarnation.value == 0) ++behind;
  });
  CHECK(play[nth(1)].swim->members().size() == 600);
  CHECK(behind == 0);
}

TEST_CASE("a newcomer is known to all, and knows all, a few seconds after it greeted one") {
  Cluster cluster(20);
  cluster.add(nth(21));
  cluster.greet(nth(21), nth(1));
  REQUIRE(cluster.run_until(10s, [&] { return cluster.lists_are_equal(); }));
  CHECK(cluster.swim(21).members().count(MemberState::alive) == 21);
}

TEST_CASE("a whole list asked for in one datagram is not sent in a flood of them") {
  Play play = two_that_differ(1000);
  Host& one = play[nth(1)];
  const SwimOutbox out = play.hear(one, from(play[nth(200)]), encode(Records{true, NodeId{}, NodeId{most}}));
  CHECK(sent_by<Records>(out, play.pool).size() <= 8);
}

// --- What is said of others

TEST_CASE("a brief update of an incarnation that is not known here changes nothing") {
  Cluster cluster(3, without_probes());
  const std::uint64_t before = cluster.swim(1).members().digest();
  const Member two = cluster.swim(2).self();
  Member unknown = two;
  unknown.id = {4711};
  for (const Member& said :
       {as(two, MemberState::suspect, 1), as(two, MemberState::dead, 1),
        in_life(as(two, MemberState::dead, 0), 2), as(unknown, MemberState::dead, 0),
        in_life(as(two, MemberState::forgotten, 0), 2), as(two, MemberState::alive, 1)}) {
    cluster.hear(cluster.host(1), from(cluster.host(3)), news({encode_brief_update(said, {nth(3)})}));
    CHECK(cluster.swim(1).members().digest() == before);
  }
  CHECK_FALSE(cluster.swim(1).has_news());
}

TEST_CASE("a brief update keeps the profile of its life") {
  Cluster cluster(3, without_probes());
  const Member two = cluster.swim(2).self();
  for (const auto state :
       {MemberState::suspect, MemberState::dead, MemberState::left, MemberState::forgotten}) {
    cluster.hear(cluster.host(1), from(cluster.host(3)),
                 news({encode_brief_update(as(two, state, 0), {nth(3)})}));
    CHECK(cluster.seen(2, 1) == state);
    CHECK(cluster.record(2, 1).profile == two.profile);
  }
}

TEST_CASE("who is present, or is the node itself, or is unknown is not forgotten") {
  Cluster cluster(2);
  const auto forget = [&](std::uint64_t id) {
    return cluster.act(cluster.host(1),
                       [&](Swim& swim, SwimOutbox& out) { return swim.forget({id}, cluster.now, out); });
  };
  CHECK(forget(nth(1)).error().code == ErrorCode::refused);
  CHECK(forget(nth(2)).error().code == ErrorCode::refused);
  CHECK(forget(4711).error().code == ErrorCode::not_found);
  CHECK_FALSE(cluster.swim(1).has_news());
}

TEST_CASE("a forgotten life stays so whatever its incarnation; a later one comes back") {
  Cluster cluster(3);
  cluster.host(3).stopped = true;
  REQUIRE(cluster.run_until(1min, [&] { return cluster.seen(3, 1) == MemberState::dead; }));
  REQUIRE(cluster.act(cluster.host(1),
                      [&](Swim& swim, SwimOutbox& out) { return swim.forget({nth(3)}, cluster.now, out); }));
  REQUIRE(cluster.run_until(5s, [&] { return cluster.seen(3, 2) == MemberState::forgotten; }));
  const Member alive = as(cluster.swim(3).self(), MemberState::alive, most_incarnations);
  cluster.hear(cluster.host(1), from(cluster.host(2)), news_of(alive));
  CHECK(cluster.seen(3, 1) == MemberState::forgotten);
  cluster.hear(cluster.host(1), from(cluster.host(2)), news_of(in_life(alive, 2)));
  CHECK(cluster.seen(3, 1) == MemberState::alive);
}

TEST_CASE("a node that was forgotten while it lives comes back in a later life") {
  Cluster cluster(3);
  const Member two = cluster.swim(2).self();
  cluster.hear(cluster.host(1), from(cluster.host(3)), news_of(as(two, MemberState::forgotten, 0)));
  REQUIRE(cluster.run_until(
      5s, [&] { return cluster.lists_are_equal() && cluster.seen(2, 1) == MemberState::alive; }));
  CHECK(cluster.record(2, 1).generation == Generation{2});
}

// --- What a node says of itself

TEST_CASE("who leaves is left in all lists, is asked no more, and asks no more") {
  Cluster cluster(4);
  cluster.run(1s);
  Host& four = cluster.host(4);
  for (int twice = 0; twice < 2; ++twice) {
    cluster.act(four, [&](Swim& swim, SwimOutbox& out) {
      swim.leave(cluster.now, out);
      return 0;
    });
  }
  CHECK(four.swim->left());
  CHECK(four.swim->has_news());
  REQUIRE(cluster.run_until(2s, [&] { return !four.swim->has_news(); }));
  cluster.run(1s);
  for (std::uint64_t i = 1; i <= 3; ++i) CHECK(cluster.seen(4, i) == MemberState::left);
  std::size_t to_or_from = 0;
  cluster.passes = [&](const Sent& sent, const Packet& packet) {
    if (is<Ping>(packet) && (sent.from == four.id || sent.to == four.id)) ++to_or_from;
    return true;
  };
  cluster.run(20s);
  CHECK(to_or_from == 0);
  CHECK(cluster.swim(1).counters().suspicions == 0);
}

TEST_CASE("who has left asks nobody, also not the dead, and refutes nothing") {
  Cluster cluster(3);
  Host& one = cluster.host(1);
  cluster.hear(one, from(cluster.host(2)), news_of(as(cluster.swim(3).self(), MemberState::dead, 0)));
  cluster.act(one, [&](Swim& swim, SwimOutbox& out) {
    swim.leave(cluster.now, out);
    return 0;
  });
  cluster.host(2).stopped = true;
  cluster.host(3).stopped = true;
  cluster.run(10s);  // Which expects that ticks have an end.
  cluster.hear(one, from(cluster.host(2)), news_of(as(one.swim->self(), MemberState::dead, 7)));
  CHECK(one.swim->left());
  CHECK(one.swim->self().incarnation == Incarnation{0});
  CHECK(one.swim->next_tick() == Millis::max());
}

TEST_CASE("a node that has left comes back in a later life") {
  Cluster cluster(2);
  cluster.act(cluster.host(2), [&](Swim& swim, SwimOutbox& out) {
    swim.leave(cluster.now, out);
    return 0;
  });
  cluster.run(2s);
  REQUIRE(cluster.seen(2, 1) == MemberState::left);
  cluster.start(cluster.host(2), 2);
  cluster.greet(nth(2), nth(1));
  REQUIRE(cluster.run_until(5s, [&] { return cluster.lists_are_equal(); }));
  CHECK(cluster.seen(2, 1) == MemberState::alive);
}

TEST_CASE("tags are told to all, and told once") {
  Cluster cluster(5);
  Host& two = cluster.host(2);
  Profile profile = *two.swim->self().profile;
  profile.tags["zone"] = "eu1";
  const auto set = [&] {
    return cluster.act(
        two, [&](Swim& swim, SwimOutbox& out) { return swim.set_profile(profile, cluster.now, out); });
  };
  REQUIRE(set());
  REQUIRE(set());
  CHECK(two.swim->self().incarnation == Incarnation{1});
  cluster.run(3s);
  for (std::uint64_t i = 1; i <= 5; ++i) CHECK(cluster.record(2, i).profile->tags.at("zone") == "eu1");
}

TEST_CASE("a profile that cannot be told is refused, and nothing is changed") {
  Cluster cluster(2);
  Profile profile = *cluster.swim(1).self().profile;
  profile.tags["zone"] = "two words";
  const auto set = cluster.act(cluster.host(1), [&](Swim& swim, SwimOutbox& out) {
    return swim.set_profile(profile, cluster.now, out);
  });
  CHECK(set.error().code == ErrorCode::refused);
  CHECK(cluster.swim(1).self().incarnation == Incarnation{0});
  CHECK_FALSE(cluster.swim(1).has_news());
}

TEST_CASE("a profile is changed also after the greatest incarnation") {
  Cluster cluster(2);
  Host& one = cluster.host(1);
  cluster.hear(one, from(cluster.host(2)),
               news_of(as(one.swim->self(), MemberState::suspect, most_incarnations - 1)));
  REQUIRE(one.swim->self().incarnation == Incarnation{most_incarnations});
  Profile profile = *one.swim->self().profile;
  profile.tags["zone"] = "eu1";
  REQUIRE(cluster.act(
      one, [&](Swim& swim, SwimOutbox& out) { return swim.set_profile(profile, cluster.now, out); }));
  CHECK(one.swim->self().generation == Generation{2});
  CHECK(one.swim->self().profile->tags.at("zone") == "eu1");
}

TEST_CASE("a state other than ours is told to the owner, of members only") {
  Cluster cluster(2);
  cluster.swim(1).set_state(5);
  const SwimOutbox of_member =
      cluster.hear(cluster.host(1), from(cluster.host(2)), encode(Ping{1, {nth(1)}, {0, 6}}));
  CHECK(std::holds_alternative<StateDiffers>(of_member.back()));
  for (const Ping& ping : {Ping{1, {nth(1)}, {0, 5}}, Ping{1, {nth(2)}, {0, 6}}}) {
    for (const SwimOutput& each : cluster.hear(cluster.host(1), from(cluster.host(2)), encode(ping))) {
      CHECK_FALSE(std::holds_alternative<StateDiffers>(each));
    }
  }
  for (const SwimOutput& each :
       cluster.hear(cluster.host(1), {{99}, {}, false}, encode(Ping{1, {nth(1)}, {0, 6}}))) {
    CHECK_FALSE(std::holds_alternative<StateDiffers>(each));
  }
}

TEST_CASE("restored suspects are members until they were asked") {
  Play play;
  Host& host = play.add(1);
  host.swim->restore({member_records::member(play.pool, 2, 1, 0, MemberState::suspect),
                      member_records::member(play.pool, 3, 1, 0, MemberState::dead),
                      member_records::member(play.pool, 1, 9, 9, MemberState::dead)});
  CHECK(play.state(2, 1) == MemberState::alive);
  CHECK(play.state(3, 1) == MemberState::dead);
  CHECK(host.swim->self().generation == Generation{1});
  REQUIRE(play.run_until(1min, [&] { return play.state(2, 1) == MemberState::dead; }));
}

// --- Time

TEST_CASE("a process that was stopped accuses nobody of its own silence") {
  const Millis stop = GENERATE(2s, 20s, 3600s);
  Cluster cluster(3);
  cluster.run(10100ms);
  for (std::uint64_t i = 1; i <= 3; ++i) cluster.host(i).stopped = true;
  cluster.run(stop);
  for (std::uint64_t i = 1; i <= 3; ++i) cluster.host(i).stopped = false;
  cluster.run(10s);
  for (std::uint64_t i = 1; i <= 3; ++i) {
    CHECK(cluster.swim(i).counters().stalls == 1);
    CHECK(cluster.swim(i).counters().suspicions == 0);
  }
}

TEST_CASE("a suspicion waits while the process was stopped, and not longer") {
  Cluster cluster(2, without_probes());
  cluster.host(2).stopped = true;
  const Millis begun = cluster.now.steady;
  cluster.hear(cluster.host(1), from(cluster.host(2)), accusation(cluster.swim(2).self(), nth(1)));
  cluster.run(1s);
  cluster.host(1).stopped = true;
  cluster.run(1h);
  cluster.host(1).stopped = false;
  cluster.run(1400ms);
  CHECK(cluster.seen(2, 1) == MemberState::suspect);
  REQUIRE(cluster.run_until(3s, [&] { return cluster.seen(2, 1) == MemberState::dead; }));
  CHECK(cluster.now.steady - begun < 1h + 4s);
}

TEST_CASE("a suspicion that began after the process was stopped is not put off by that") {
  Cluster cluster(2);
  cluster.run(3s);
  cluster.host(1).stopped = true;
  cluster.host(2).stopped = true;
  cluster.run(1h);
  // The packets that waited come before the first tick.
  cluster.hear(cluster.host(1), from(cluster.host(2)), accusation(cluster.swim(2).self(), nth(1)));
  cluster.host(1).stopped = false;
  cluster.run(10s);
  CHECK(cluster.seen(2, 1) == MemberState::dead);
}

TEST_CASE("news after a quiet time is no stall") {
  Cluster cluster(3, without_probes());
  cluster.run(1min);
  cluster.hear(cluster.host(1), from(cluster.host(2)),
               news_of(as(cluster.swim(3).self(), MemberState::dead, 0)));
  cluster.run(100ms);
  CHECK(cluster.swim(1).counters().stalls == 0);
  CHECK(cluster.swim(1).health_score() == 0);
}

// --- Limits, and hostile packets

TEST_CASE("news that waits is bounded, and a full list goes on") {
  SwimOptions options = without_probes();
  options.updates_max = 10;
  options.members_max = 50;
  Cluster cluster(2, options);
  Random random(1);
  for (int i = 0; i < 200; ++i) {
    const Member other = member_records::member(cluster.pool, random() | 1, 1, 0, MemberState::alive);
    cluster.hear(cluster.host(1), from(cluster.host(2)), news_of(other));
    CHECK(cluster.swim(1).queue_length() <= 10);
  }
  CHECK(cluster.swim(1).members().size() == 50);
  cluster.hear(cluster.host(1), from(cluster.host(2)),
               news_of(as(cluster.swim(2).self(), MemberState::dead, 0)));
  CHECK(cluster.seen(2, 1) == MemberState::dead);
}

TEST_CASE("bytes that are no packet change nothing and are counted") {
  Cluster cluster(3);
  Host& one = cluster.host(1);
  const std::uint64_t before = one.swim->members().digest();
  const std::string good = news_of(as(cluster.swim(2).self(), MemberState::dead, 0));
  std::size_t bad = 0;
  for (std::size_t size = 0; size < good.size(); ++size) {
    if (size == 1) continue;  // No updates: a packet.
    CHECK(cluster.hear(one, from(cluster.host(3)), good.substr(0, size)).empty());
    CHECK(one.swim->counters().bad_packets == ++bad);
  }
  CHECK(cluster.hear(one, from(cluster.host(3)), good + good).empty());
  CHECK(one.swim->members().digest() == before);
  CHECK_FALSE(one.swim->has_news());
}

TEST_CASE("a packet of our own id is not heard") {
  Cluster cluster(2);
  const std::uint64_t before = cluster.swim(1).members().digest();
  CHECK(cluster
            .hear(cluster.host(1), from(cluster.host(1)),
                  news_of(as(cluster.swim(2).self(), MemberState::dead, 0)))
            .empty());
  CHECK(cluster.swim(1).members().digest() == before);
}

TEST_CASE("a ping meant for another node is not answered") {
  Cluster cluster(2);
  const auto answers = [&](NodeId target) {
    const SwimOutbox out = cluster.hear(cluster.host(1), from(cluster.host(2)), encode(Ping{1, target, {}}));
    return sent_by<Ack>(out, cluster.pool).size();
  };
  CHECK(answers({nth(1)}) == 1);
  CHECK(answers({}) == 1);
  CHECK(answers({nth(2)}) == 0);
  CHECK(answers({99}) == 0);
}

TEST_CASE("what a packet names is sent a ping when that is asked for, and else nothing") {
  Cluster cluster(3, without_probes());
  Random random(1);
  const Endpoint named = member_records::endpoint(5000);
  const PacketBody bodies[] = {Ping{1, {nth(1)}, {1, 1}},       Ack{1, {1, 1}},
                               PingRequest{1, {nth(3)}, named}, Nack{1},
                               Records{true, {}, {most}},       Compare{2, {{0, 1}, {9, 1}}}};
  for (const PacketBody& body : bodies) {
    const SwimOutbox out = cluster.hear(cluster.host(1), from(cluster.host(2)), encode(body));
    for (const SwimOutput& each : out) {
      const auto* datagram = std::get_if<SendDatagram>(&each);
      if (datagram == nullptr || datagram->to == cluster.host(2).endpoint) continue;
      CHECK(std::holds_alternative<PingRequest>(body));
      CHECK(datagram->to == named);
      CHECK(is<Ping>(*decode_packet(datagram->bytes, cluster.pool)));
    }
  }
}

TEST_CASE("ping requests wait in a bounded number, and are answered each") {
  Cluster cluster(3, without_probes());
  Host& one = cluster.host(1);
  std::size_t pings = 0;
  for (std::uint32_t i = 0; i < 1000; ++i) {
    const PingRequest request{i, {99}, member_records::endpoint(5000)};
    pings += sent_by<Ping>(cluster.hear(one, from(cluster.host(2)), encode(request)), cluster.pool).size();
  }
  CHECK(pings == 256);
  std::size_t nacks = 0;
  cluster.passes = [&](const Sent&, const Packet& packet) {
    if (is<Nack>(packet)) ++nacks;
    return true;
  };
  cluster.run(1s);
  CHECK(nacks == 256);
}

TEST_CASE("a ping request that came over a link is answered there") {
  Cluster cluster(3, without_probes());
  Host& one = cluster.host(1);
  const PingRequest request{7, {nth(3)}, cluster.host(3).endpoint};
  const SwimOutbox asked = cluster.hear(one, {{nth(2)}, {}, true}, encode(request));
  const auto pings = sent_by<Ping>(asked, cluster.pool);
  REQUIRE(pings.size() == 1);
  SECTION("with an ack") {
    const Ack ack{pings[0].sequence, {one.swim->members().digest(), 0}};
    const SwimOutbox out = cluster.hear(one, from(cluster.host(3)), encode(ack));
    REQUIRE(out.size() == 1);
    CHECK(std::get<SendOverLink>(out[0]).to == NodeId{nth(2)});
    CHECK(sent_by<Ack>(out, cluster.pool)[0].sequence == 7);
  }
  SECTION("with a nack") {
    SwimOutbox out;
    cluster.now.steady += 1s;
    one.swim->on_tick(cluster.now, out);
    CHECK(out.size() <= 1);
    for (const SwimOutput& each : out) CHECK(std::get<SendOverLink>(each).to == NodeId{nth(2)});
  }
}

TEST_CASE("whatever decodes keeps a list whole") {
  SwimOptions options;
  options.members_max = 40;
  options.updates_max = 16;
  Cluster cluster(4, options);
  Host& one = cluster.host(1);
  Random random(7);
  for (int round = 0; round < 20'000; ++round) {
    std::vector<std::string> updates;
    for (std::uint64_t i = random() % 4; i > 0; --i) {
      const std::uint64_t id = random() % 8 == 0 ? random() | 1 : nth(1 + random() % 6);
      const Member said = member_records::random_member(cluster.pool, random, id);
      updates.push_back(random() % 2 == 0 ? encode_update(said) : encode_brief_update(said, {random() % 9}));
    }
    const PacketBody bodies[] = {News{}, Ping{static_cast<std::uint32_t>(random()), {}, {random(), random()}},
                                 Ack{static_cast<std::uint32_t>(random()), {random(), random()}},
                                 Compare{2, {{static_cast<std::uint8_t>(random()), 1}}},
                                 Records{random() % 2 == 0, {}, {random()}}};
    std::string bytes = encode(bodies[random() % 5]);
    ByteWriter out(bytes);
    for (const std::string& update : updates) out.bytes(update);
    const Host& other = cluster.host(2 + random() % 3);
    SwimOutbox sent = cluster.hear(one, from(other, random() % 2 == 0), bytes);
    if (random() % 4 == 0) {
      cluster.now.steady += Millis(random() % 700);
      one.swim->on_tick(cluster.now, sent);
      REQUIRE(one.swim->next_tick() > cluster.now.steady);
    }
  }
  std::uint64_t sum = 0;
  one.swim->members().visit([&](const Member& member) { sum += digest_of(member); });
  CHECK(sum == one.swim->members().digest());
  CHECK(one.swim->members().size() <= 40);
  CHECK(one.swim->self().is_present());
}
