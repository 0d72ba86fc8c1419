// Membership as a node uses it: packets in and out, links to members, and what others are told.
#include <catch2/catch.hpp>
#include <deque>
#include <map>
#include <set>

#include "node/joiner.h"
#include "node/node.h"
#include "unit/host.h"
#include "unit/member_records.h"

using namespace knit;
using namespace std::chrono_literals;
using test::Host;

namespace {

std::string address_of(std::uint64_t id) { return "127.0.0." + std::to_string(id) + ":7399"; }

struct Fellow {
  explicit Fellow(std::uint64_t id, NodeOptions options) : host(id), address(address_of(id)) {
    options.name = "n" + std::to_string(id);
    options.address = address;
    node.emplace(options, *host.store, id);
  }

  Host host;
  std::string address;
  std::optional<Node> node;
  bool down = false;
  std::vector<std::string> notices;
  std::vector<std::string> rings;
};

// Nodes that dial whom they want, on a network that delivers at once.
struct Town {
  explicit Town(std::uint64_t size, const std::string& known = "", const NodeOptions& node = {}) {
    for (std::uint64_t id = 1; id <= size; ++id) {
      Fellow& fellow = *fellows.emplace_back(std::make_unique<Fellow>(id, node));
      MembershipOptions options;
      options.generation = {id};
      options.profile.name = fellow.node->options().name;
      options.profile.endpoint = *parse_endpoint(fellow.address);
      options.profile.protocol_min = options.profile.protocol_max = protocol_version;
      options.known = known;
      fellow.node->start_membership(options, now());
    }
  }
  Fellow& operator[](std::size_t id) { return *fellows[id - 1]; }
  Now now() const { return {{test::now.millis + static_cast<std::uint64_t>(time.count())}, time}; }
  Fellow* at(const std::string& address) {
    for (auto& fellow : fellows) {
      if (fellow->address == address && !fellow->down) return fellow.get();
    }
    return nullptr;
  }
  Fellow* other_end(const Fellow& fellow, LinkId link) {
    const auto found = links.find(link);
    if (found == links.end()) return nullptr;
    return found->second.first == &fellow ? found->second.second : found->second.first;
  }
  void settle(Fellow& from, Outbox& out) {
    for (Output& output : std::exchange(out, {})) {
      Outbox answer;
      if (const auto* datagram = std::get_if<SendDatagram>(&output)) {
        Fellow* to = at(to_string(datagram->to));
        if (to == nullptr || from.down) continue;
        const Swim::Source source{from.host.store->identity().node, *parse_endpoint(from.address), false};
        to->node->on_datagram(source, datagram->bytes, now(), answer);
        settle(*to, answer);
      } else if (const auto* send = std::get_if<Send>(&output)) {
        queue.emplace_back(&from, *send);
      } else if (const auto* close = std::get_if<CloseLink>(&output)) {
        if (Fellow* to = other_end(from, close->link)) {
          links.erase(close->link);
          to->node->on_link_down(close->link, now(), answer);
          settle(*to, answer);
        }
      } else if (const auto* notice = std::get_if<Notice>(&output)) {
        from.notices.push_back(notice->text);
      } else if (const auto* told = std::get_if<KeysTold>(&output)) {
        from.rings.push_back(told->ring);
      }
    }
  }
  void deliver_all() {
    while (!queue.empty()) {
      auto [from, send] = std::move(queue.front());
      queue.pop_front();
      Fellow* to = other_end(*from, send.link);
      if (to == nullptr || to->down || from->down) continue;
      from->host.commit();
      Outbox out;
      to->node->on_message(send.link, send.channel, send.message, now(), out);
      settle(*to, out);
    }
  }
  void dial(Fellow& fellow) {
    for (const std::string& address : fellow.node->wanted_links()) {
      Fellow* to = at(address);
      if (to == nullptr || to == &fellow) continue;
      const LinkId link{++last_link};
      links[link] = {&fellow, to};
      Outbox mine, theirs;
      fellow.node->on_link_up(link, address, now(), mine);
      to->node->on_link_up(link, "", now(), theirs);
      settle(fellow, mine);
      settle(*to, theirs);
      deliver_all();
    }
  }
  void run(Millis span) {
    for (const Millis end = time + span; time < end; time += 50ms) {
      for (auto& fellow : fellows) {
        if (fellow->down) continue;
        Outbox out;
        fellow->host.commit();
        fellow->node->on_tick(now(), out);
        if (fellow->node->next_membership_tick() <= time) fellow->node->on_membership_tick(now(), out);
        while (fellow->node->has_work()) fellow->node->work(now(), out);
        fellow->node->push(now(), out);
        settle(*fellow, out);
        if (dials) dial(*fellow);
      }
      deliver_all();
    }
  }
  void kill(std::size_t id) {
    (*this)[id].down = true;
    for (auto link = links.begin(); link != links.end();) {
      const auto [a, b] = link->second;
      const LinkId name = link->first;
      Fellow* other = a == &(*this)[id] ? b : b == &(*this)[id] ? a : nullptr;
      link = other == nullptr ? std::next(link) : links.erase(link);
      if (other == nullptr) continue;
      Outbox out;
      other->node->on_link_down(name, now(), out);
      settle(*other, out);
    }
  }
  MemberState seen(std::size_t by, std::size_t id) {
    return (*this)[by].node->swim()->members().find((*this)[id].host.store->identity().node)->state;
  }
  std::size_t reachable(std::size_t id) {
    const auto peers = (*this)[id].node->status(now()).peers;
    return static_cast<std::size_t>(
        std::count_if(peers.begin(), peers.end(), [](const auto& p) { return p.reachable; }));
  }

  Millis time{1000};
  std::vector<std::unique_ptr<Fellow>> fellows;
  std::map<LinkId, std::pair<Fellow*, Fellow*>> links;
  std::deque<std::pair<Fellow*, Send>> queue;
  std::uint64_t last_link = 0;
  bool dials = true;
};

// Each is told of the first one.
void join_all(Town& town) {
  for (std::size_t id = 2; id <= town.fellows.size(); ++id) REQUIRE(town[id].node->join(town[1].address));
  town.run(3s);
}

}  // namespace

TEST_CASE("nodes that know one of them find all others, link to them and agree") {
  Town town(4);
  town[3].host.set("key", "value");
  join_all(town);
  for (std::size_t id = 1; id <= 4; ++id) {
    CHECK(town[id].node->members().size() == 4);
    CHECK(town[id].node->members().front().self);
    CHECK(town.reachable(id) == 3);
  }
}

TEST_CASE("who is dead is missed until it is back or forgotten") {
  Town town(3);
  join_all(town);
  town.kill(3);
  town.run(8s);
  CHECK(town.seen(1, 3) == MemberState::dead);
  CHECK_FALSE(town[1].node->status(town.now()).in_sync);
  CHECK(town[1].node->wanted_links().contains(town[3].address));
  Outbox out;
  REQUIRE(town[1].node->forget("n3", town.now(), out));
  town.settle(town[1], out);
  town.run(3s);
  CHECK(town.seen(2, 3) == MemberState::forgotten);
  CHECK(town[2].node->status(town.now()).peers.size() == 1);
  CHECK(town[2].node->status(town.now()).in_sync);
  CHECK_FALSE(town[1].node->wanted_links().contains(town[3].address));
}

TEST_CASE("a token names a FLUSHALL that is shown before its dot has come, while somebody has that") {
  NodeOptions options;
  options.exchange_sessions_max = 0;
  Town town(3, "", options);
  Clock clear;
  clear.add(ActorId{99}, {1, 5});
  const bool somebody = GENERATE(true, false);
  if (somebody) REQUIRE(town[2].host.store->join_clock(clear, test::now));
  join_all(town);
  REQUIRE(town[1].host.store->merge_clear(clear, test::now));
  CHECK(town[1].node->token().needed.covers(Dot{ActorId{99}, 5}) == somebody);
}

TEST_CASE("who is alive is not forgotten, and who is not known neither") {
  Town town(2);
  join_all(town);
  Outbox out;
  CHECK(town[1].node->forget("n2", town.now(), out).error().code == ErrorCode::refused);
  CHECK(town[1].node->forget("n9", town.now(), out).error().code == ErrorCode::not_found);
}

TEST_CASE("who leaves is not missed") {
  Town town(3);
  join_all(town);
  Outbox out;
  town[3].node->leave(town.now(), out);
  town.settle(town[3], out);
  town.run(2s);
  CHECK(town.seen(1, 3) == MemberState::left);
  CHECK(town[1].node->status(town.now()).in_sync);
}

TEST_CASE("of two nodes at an address that is dead is forgotten which started first") {
  for (const bool later_is_dead : {false, true}) {
    ProfilePool pool;
    std::string known;
    ByteWriter out(known);
    for (const std::uint64_t id : {71, 72}) {
      Member member;
      member.id = {id};
      member.generation = {id};
      member.profile =
          pool.take(member_records::profile("n" + std::to_string(id), *parse_endpoint(address_of(9))));
      member.state = (id == 72) == later_is_dead ? MemberState::dead : MemberState::alive;
      encode(member, out);
    }
    Town town(1, known);
    const MemberList& members = town[1].node->swim()->members();
    const NodeId dead{later_is_dead ? 72u : 71u}, other{later_is_dead ? 71u : 72u};
    while (members.find(other)->state == MemberState::alive) town.run(100ms);
    REQUIRE(members.find(other)->state == MemberState::suspect);
    CHECK(members.find(dead)->state == (later_is_dead ? MemberState::dead : MemberState::forgotten));
  }
}

TEST_CASE("a life that begins when the clock was set back differs from others that begin on a copy") {
  Town town(1);
  const auto known = town[1].node->take_members();
  REQUIRE(known);
  Generation lives[2];
  for (std::uint64_t chance : {0, 1}) {
    Host host(1);
    Node node({}, *host.store, 1);
    MembershipOptions options;
    options.generation = {chance};  // Of 1970.
    options.profile = *town[1].node->swim()->self().profile;
    options.known = *known;
    node.start_membership(options, town.now());
    lives[chance] = node.swim()->self().generation;
  }
  CHECK(lives[0] != lives[1]);
  CHECK(std::min(lives[0], lives[1]) > town[1].node->swim()->self().generation);
}

TEST_CASE("who linked and was gone before anybody heard of it as a member is missed, and can be forgotten") {
  Town town(2);
  join_all(town);
  Host stranger(9);
  NodeOptions options;
  options.name = "stranger";
  options.address = address_of(9);
  Node unheard(options, *stranger.store, 9);
  Outbox mine, theirs;
  town[1].node->on_link_up({900}, "", town.now(), theirs);
  unheard.on_link_up({900}, town[1].address, town.now(), mine);
  for (const Output& output : mine) {
    if (const auto* send = std::get_if<Send>(&output))
      town[1].node->on_message({900}, send->channel, send->message, town.now(), theirs);
  }
  CHECK(town[1].node->status(town.now()).peers.size() == 2);
  town[1].node->on_link_down({900}, town.now(), theirs);
  town.run(3s);
  CHECK_FALSE(town[1].node->status(town.now()).in_sync);
  REQUIRE(town[1].node->forget("stranger", town.now(), theirs));
  town.run(1s);
  CHECK(town[1].node->status(town.now()).peers.size() == 1);
  CHECK(town[1].node->status(town.now()).in_sync);
}

TEST_CASE("members are known again after a restart") {
  Town town(3);
  join_all(town);
  const auto known = town[1].node->take_members();
  REQUIRE(known);
  CHECK_FALSE(town[1].node->take_members());
  Town later(3, *known);
  later.run(3s);
  for (std::size_t id = 1; id <= 3; ++id) CHECK(later.reachable(id) == 2);
  CHECK(later[1].node->swim()->self().generation > town[1].node->swim()->self().generation);
}

TEST_CASE("a node that has met nobody yet names in a token all that it has") {
  Host host(1);
  NodeOptions options;
  options.address = address_of(1);
  options.peers = {address_of(1), address_of(2)};
  Node node(options, *host.store, 1);
  host.set("key", "value");
  CHECK(node.token().needed == host.store->clock());
}

// Whom it has forgotten may be met by newcomers first: these and those are most of the members then.
TEST_CASE("a node that has forgotten all others names in a token all that it has") {
  Town town(2);
  join_all(town);
  town[1].host.set("key", "value");
  town.run(2s);
  CHECK(town[1].node->token().needed.empty());
  town.kill(2);
  town.run(8s);
  Outbox out;
  REQUIRE(town[1].node->forget("n2", town.now(), out));
  CHECK(town[1].node->token().needed == town[1].host.store->clock());
}

// All members may have had that without the gap, before one was damaged and the other became a newcomer.
TEST_CASE("a newcomer has not caught up before it has what its peer has above a gap, too") {
  NodeOptions options;
  options.exchange_sessions_max = 0;
  Town town(2, "", options);
  Clock below, above;
  below.add(ActorId{99}, {1, 3});
  above.add(ActorId{99}, {5, 8});
  for (const Clock& clock : {below, above}) REQUIRE(town[1].host.store->join_clock(clock, test::now));
  join_all(town);
  Node& newcomer = *town[2].node;
  CHECK_FALSE(newcomer.shows({}));
  REQUIRE(town[2].host.store->join_clock(below, test::now));
  CHECK_FALSE(newcomer.shows({}));
  REQUIRE(town[2].host.store->join_clock(above, test::now));
  CHECK(newcomer.shows({}));
}

TEST_CASE("who joined through one that was leaving is not the whole cluster") {
  NodeOptions node;
  node.peers = {address_of(1)};
  Town town(2, "", node);
  Outbox out;
  town[1].node->leave(town.now(), out);
  town.settle(town[1], out);
  town[2].host.set("key", "value");
  town.run(3s);
  REQUIRE(town[1].host.get("key") == "value");  // They did meet.
  CHECK(town[2].node->token().needed == town[2].host.store->clock());
}

TEST_CASE("who was forgotten shows nothing to tokens of the others before it has heard them") {
  Town town(3);
  join_all(town);
  Node& apart = *town[3].node;
  CHECK(town[1].node->token() == apart.token());
  CHECK(apart.shows(apart.needed(town[1].node->token())));
  town.kill(3);
  town.run(8s);
  Outbox out;
  REQUIRE(town[1].node->forget("n3", town.now(), out));
  town.settle(town[1], out);
  town[1].host.set("key", "value");
  town.run(2s);
  const Token token = town[1].node->token();
  CHECK(token.needed.empty());  // The other member has it.
  const Node::Needed needed = apart.needed(token);
  CHECK_FALSE(apart.shows(needed));
  town[3].down = false;
  town.run(3s);
  CHECK(apart.shows(needed));
  CHECK(town[3].host.get("key") == "value");
  CHECK(apart.shows(apart.needed(town[1].node->token())));
}

TEST_CASE(
    "who was forgotten, and lost the others before it heard what they have, shows nothing to their tokens") {
  Town town(3);
  join_all(town);
  town.kill(2);
  town.run(8s);
  Outbox out;
  REQUIRE(town[1].node->forget("n2", town.now(), out));
  town[1].host.set("key", "value");
  town.run(2s);
  const Token token = town[1].node->token();
  REQUIRE(token.needed.empty());
  town[2].down = false;
  town.dials = false;
  town.run(2s);
  for (const std::size_t other : {1, 3}) {
    REQUIRE(town.seen(other, 2) == MemberState::alive);
    town[other].node->leave(town.now(), out);
    town.settle(town[other], out);
    town.run(1s);
    REQUIRE(town.seen(2, other) == MemberState::left);
  }
  Node& apart = *town[2].node;
  const Node::Needed needed = apart.needed(token);
  CHECK_FALSE(apart.shows(needed));
  town.dials = true;
  REQUIRE(town[2].node->join(town[1].address));
  town.run(3s);
  CHECK(apart.shows(needed));
  CHECK(town[2].host.get("key") == "value");
}

TEST_CASE("who hears nobody is stale, although its links have not ended and nobody is dead yet") {
  NodeOptions node;
  node.read_lag_max = 300ms;
  Town town(2, "", node);
  join_all(town);
  REQUIRE_FALSE(town[2].node->is_stale());
  Outbox out;
  REQUIRE(town[2].node->isolate("", true, town.now(), out));
  town.run(2s);
  REQUIRE(town.reachable(2) == 1);
  CHECK(town[2].node->is_stale());
}

TEST_CASE("a link's end makes a node ask at once whether its peer is there") {
  Town town(3);
  join_all(town);
  const auto probes = town[1].node->swim()->counters().probes;
  town.kill(3);
  town.run(100ms);
  CHECK(town[1].node->swim()->counters().probes > probes);
}

TEST_CASE("peers are told of the key ring when it changes and when they are met") {
  Town town(3);
  for (auto& fellow : town.fellows) {
    Outbox out;
    fellow->node->tell_keys("ring of " + fellow->address, out);
    CHECK(out.empty());
  }
  join_all(town);
  CHECK(town[2].rings.size() >= 2);
  Outbox out;
  town[1].node->tell_keys("new ring", out);
  town.settle(town[1], out);
  town.deliver_all();
  CHECK(town[2].rings.back() == "new ring");
  CHECK(town[3].rings.back() == "new ring");
}

TEST_CASE("a node without a cluster is told which one this is") {
  Town town(1);
  Joiner joiner("late", "1");
  const LinkId link{77};
  Outbox hello, out, welcome, end;
  joiner.on_link_up(link, out);
  town[1].node->on_link_up(link, "", town.now(), hello);
  joiner.on_message(link, std::get<Send>(hello.front()).message, end);
  CHECK(end.empty());
  town[1].node->on_message(link, Channel::control, std::get<Send>(out.front()).message, town.now(), welcome);
  joiner.on_message(link, std::get<Send>(welcome.front()).message, end);
  REQUIRE(joiner.cluster());
  CHECK(joiner.cluster()->id == town[1].host.store->cluster().id);
  CHECK(joiner.cluster()->hash_keys == town[1].host.store->cluster().hash_keys);
  CHECK(std::holds_alternative<CloseLink>(end.front()));
}

TEST_CASE("two nodes without a cluster cannot tell each other one") {
  Joiner one("a", "1"), other("b", "1");
  Outbox request, out;
  one.on_link_up({1}, request);
  other.on_message({1}, std::get<Send>(request.front()).message, out);
  CHECK_FALSE(other.cluster());
  CHECK(std::get<CloseLink>(out.front()).reason == "it has no cluster either");
  other.on_message({1}, "garbage", out);
  CHECK(out.size() == 2);
}
