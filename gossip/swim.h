// Membership by gossip: who belongs to the cluster, who is alive, and what each says of itself.
//
// SWIM (Das, Gupta, Motivala, "SWIM: Scalable Weakly-consistent Infection-style Process Group Membership
// Protocol", 2002) with the three parts of Lifeguard (see suspicion.h): every interval one other member is
// pinged, in random order, each once a round; who does not answer, neither directly nor through others nor
// over the link, is suspected, may refute, and else is declared dead. News of all this rides on packets that
// are sent anyway, and is passed on in a few packets of its own while there is any. Beyond SWIM, every ping
// and ack tells a digest of the sender's list: lists that differ are made equal at once, by comparing parts
// of them (member_list.h).
//
// No I/O, clock, threads or logging; one thread. Datagrams may be lost, doubled and late; what goes over a
// link is in order.
//
// Invariants:
//  1. A record is replaced only by one that supersedes it (member.h), so nodes that have heard the same
//  agree.
//  2. Only the node itself raises its incarnation and generation.
//  3. What a packet makes us send is a bounded number of packets, none to an address that only the packet
//  named,
//     but for a ping to the target of a ping request.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "gossip/local_health.h"
#include "gossip/member_list.h"
#include "gossip/packet.h"
#include "gossip/suspicion.h"
#include "gossip/update_queue.h"

namespace knit {

struct SwimOptions {
  Millis probe_interval{500};  // One member is asked in each. At rest a node sends 2 packets for each.
  Millis probe_timeout{250};   // Then others are asked to ask. Less than the interval.
  unsigned repings = 3;        // Within the timeout, so that a lost packet is no failure.
  std::size_t helpers = 6;     // Asked to ask.
  SuspicionOptions suspicion;
  Millis gossip_interval{100};       // Between packets of news, while there is any,
  std::size_t gossip_fanout = 3;     // to so many others.
  double gossip_times = 4;           // News is told so often, times log10(members + 1).
  Millis dead_interval{2000};        // How often a dead member is asked whether it is back.
  int health_most = 8;               // Worst score; intervals and timeouts are stretched by it plus one.
  Millis stall{400};                 // A call that comes so late means that this process was stopped.
  std::size_t members_max = 16'384;  // Further ones are not taken.
  std::size_t updates_max = 4096;    // That wait to be told.
  std::size_t datagram_bytes_max = 1200;
};

// --- What comes out.

struct SendDatagram {
  Endpoint to;
  NodeId node;  // 0: not known.
  std::string bytes;
};
// Over the link to this node, if there is one. Else it is lost.
struct SendOverLink {
  NodeId to;
  std::string bytes;
};
struct MemberChanged {
  NodeId id;
  std::optional<MemberState> before;  // Empty: it was not known.
  MemberState after{};                // May be the same: its profile or its life is another one.
};
// A ping or ack of this member told another state than ours.
struct StateDiffers {
  NodeId id;
};
// Another process uses this node's id, from there.
struct IdInUse {
  Endpoint at;
};
// Members have forgotten this node, which has begun another life.
struct WasForgotten {};
using SwimOutput =
    std::variant<SendDatagram, SendOverLink, MemberChanged, StateDiffers, IdInUse, WasForgotten>;
using SwimOutbox = std::vector<SwimOutput>;

// Since the start.
struct SwimCounters {
  std::uint64_t probes{};
  std::uint64_t probes_failed{};
  std::uint64_t suspicions{};    // Members that this node began to suspect, by itself or as told.
  std::uint64_t deaths{};        // Members that this node declared dead itself.
  std::uint64_t refutations{};   // Of what was said of this node.
  std::uint64_t false_alarms{};  // Members that were dead and went on in the same life.
  std::uint64_t comparisons{};   // Begun, of lists.
  std::uint64_t stalls{};
  std::uint64_t bad_packets{};
};

class Swim {
 public:
  struct Source {
    NodeId node;
    Endpoint endpoint;
    bool link = false;  // Came over a link, and what answers it goes there.
  };

  // `generation`: greater than that of every earlier start of this node, as far as it can know.
  // Requires: check_profile(profile).
  Swim(SwimOptions options, ProfilePool& pool, NodeId self, Generation generation, const Profile& profile,
       std::uint64_t seed, Now now);

  // Members known from an earlier start. To be called before anything else.
  void restore(std::vector<Member> members);

  // Hostile bytes are counted and change nothing.
  void on_packet(const Source& from, std::string_view bytes, Now now, SwimOutbox& out);
  // A link to this node was made, or has ended. Lists are compared over a new one.
  void on_link_up(NodeId peer, Now now, SwimOutbox& out);
  void on_link_down(NodeId peer);  // Its process may have ended: it is asked next.
  // Time passed. To be called at next_tick(), which every call here may change.
  void on_tick(Now now, SwimOutbox& out);
  Millis next_tick() const;

  // Pings an address at which somebody may be: for seeds. The answer brings the lists together.
  void greet(const Endpoint& endpoint, SwimOutbox& out);
  // Tells all that this node goes. It may stop when has_news() is false, or after a second or two.
  void leave(Now now, SwimOutbox& out);
  bool left() const { return self().state == MemberState::left; }
  bool has_news() const { return !queue_.empty(); }
  // Ends a life of a member for good; only a later one can come back. not_found; refused: it is present, or
  // this node itself.
  Result<void> forget(NodeId id, Now now, SwimOutbox& out);
  // refused, as check_profile() says. Nothing was changed then.
  Result<void> set_profile(const Profile& profile, Now now, SwimOutbox& out);
  // A digest of what this node replicates, told in each ping and ack.
  void set_state(std::uint64_t digest) { state_ = digest; }

  const MemberList& members() const { return members_; }
  const Member& self() const { return *members_.find(self_); }
  std::optional<Millis> round_trip(NodeId id) const;  // The last one measured.
  int health_score() const { return health_.score(); }
  std::size_t queue_length() const { return queue_.size(); }
  const SwimCounters& counters() const { return counters_; }
  const SwimOptions& options() const { return options_; }

 private:
  void look_for_stall(Now now);

  // One member being asked.
  struct Probe {
    NodeId target;
    std::uint32_t sequence{};  // Of the first ping; the later ones count on.
    std::vector<Millis> sent;  // When each ping left.
    Millis patience{};         // From one to the next.
    Millis timeout{};          // When others are asked,
    Millis end{};              // and when it is judged.
    bool indirect = false;
    std::set<NodeId> helpers;     // Who have not said anything yet,
    std::size_t helpers_asked{};  // of so many.
  };
  // Somebody asked us to ask.
  struct Relay {
    Source to;
    NodeId target;
    std::uint32_t sequence{};  // Theirs.
    Millis nack_at{};
  };

  // Packets: swim_packets.cpp.
  void on_ping(const Source& from, const Ping& ping, SwimOutbox& out);
  void on_ack(const Source& from, const Ack& ack, Now now, SwimOutbox& out);
  void on_ping_request(const Source& from, const PingRequest& request, Now now, SwimOutbox& out);
  void on_nack(const Source& from, const Nack& nack);
  void on_heads(const Source& from, Heads heads, Now now, SwimOutbox& out);
  Heads heads() const { return {members_.digest(), state_}; }
  void send(const Source& to, std::string bytes, SwimOutbox& out) const;
  void send_with_news(const Source& to, const PacketBody& body, SwimOutbox& out);
  void ping(const Member& target, std::uint32_t sequence, SwimOutbox& out);

  // Probing: swim_probe.cpp.
  void tick_probe(Now now, SwimOutbox& out);
  void begin_probe(Now now, SwimOutbox& out);
  void meet_strangers(Now now, SwimOutbox& out);
  void go_on_probing(Now now, SwimOutbox& out);
  void ask_others(Now now, SwimOutbox& out);
  void end_probe(Now now, SwimOutbox& out);
  Millis next_reping() const;
  Millis probe_tick() const;
  void tick_relays(Now now, SwimOutbox& out);
  void tick_dead(Now now, SwimOutbox& out);
  const Member* next_target();
  std::vector<const Member*> random_members(std::size_t count, NodeId except);
  bool may_be_asked(const Member& member) const { return member.is_present() && member.id != self_; }

  // Records: swim_records.cpp.
  enum class Heard : std::uint8_t { news, comparison };
  void take_all(const Source& from, const std::vector<Update>& updates, Heard how, Now now, SwimOutbox& out);
  bool take(Update update, NodeId from, Heard how, Now now, SwimOutbox& out);
  bool complete(Update& update) const;
  bool suspect(Member member, NodeId accuser, Now now, SwimOutbox& out);
  bool apply(Member member, Now now, SwimOutbox& out);
  void add_to_round(NodeId id, bool known);
  void declare_dead(NodeId id, Now now, SwimOutbox& out);
  void tick_suspicions(Now now, SwimOutbox& out);
  void refute(const Member& said, Now now, SwimOutbox& out);
  void announce(Member mine, Now now, SwimOutbox& out);
  void tell(const Member& member, NodeId accuser, UpdateQueue::Urgency urgency);
  unsigned times_to_tell();
  void tick_gossip(Now now, SwimOutbox& out);

  // Comparing lists: swim_compare.cpp.
  void on_compare(const Source& from, const Compare& compare, SwimOutbox& out);
  void on_records(const Source& from, const Records& records, const std::vector<Update>& updates,
                  SwimOutbox& out);
  void compare_with(const Source& peer, Now now, SwimOutbox& out);
  Compare parts_below(const Compare& differing, std::uint8_t depth) const;
  std::uint32_t digest_of(std::uint8_t depth, std::size_t prefix) const;
  void send_parts(const Source& to, std::vector<Compare::Part>& parts, SwimOutbox& out);
  void send_records(const Source& to, NodeId low, NodeId high, bool reply,
                    const std::vector<const Member*>& members, SwimOutbox& out) const;

  std::uint64_t random(std::uint64_t below) { return random_() % below; }

  SwimOptions options_;
  ProfilePool& pool_;
  NodeId self_;
  std::mt19937_64 random_;
  MemberList members_;
  UpdateQueue queue_;
  LocalHealth health_;
  std::unordered_map<NodeId, Suspicion> suspicions_;
  Millis next_deadline_ = Millis::max();  // Not after the first of theirs.
  std::unordered_map<NodeId, Millis> round_trips_;
  std::vector<NodeId> dead_;  // In no order.
  std::set<NodeId> links_;
  std::uint64_t state_ = 0;
  Millis last_call_;

  std::vector<NodeId> order_;  // Members, in this round's order; some may be gone.
  std::size_t next_in_order_ = 0;
  NodeId doubted_;  // Did not answer us when we asked for another one: whom to probe next. 0: nobody.
  std::optional<Probe> probe_;
  Millis next_probe_{};
  std::uint32_t next_sequence_;
  std::map<std::uint32_t, Relay> relays_;  // By the sequence of our ping; at most relays_max.
  Millis next_gossip_{};
  Millis next_dead_{};
  std::map<NodeId, Millis> compared_;  // When a comparison with this member was begun, lately.
  Millis refuted_at_ = Millis::min();
  unsigned disputes_ = 0;  // With other lives at this address.
  SwimCounters counters_;
};

}  // namespace knit
