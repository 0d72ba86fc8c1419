// Membership: between gossip/, which knows who is there, and links and peers.
#include <algorithm>
#include <tuple>

#include "base/hash.h"
#include "node/node.h"

namespace knit {

namespace {

constexpr unsigned chance_bits = 16;  // Of a generation; above them are milliseconds.

constexpr std::size_t join_addresses_max = 64;
constexpr std::size_t id_prefix_min = 4;

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};

std::string who(const Member& member) {
  return member.profile->name + " at " + to_string(member.profile->endpoint);
}

// What the log says of it; empty: nothing.
std::string story_of(const MemberChanged& change, const std::string& who) {
  const bool was_gone = change.before && *change.before >= MemberState::dead;
  switch (change.after) {
    case MemberState::alive:
      if (!change.before) return who + " is a member";
      if (change.before == MemberState::suspect) return who + " is not suspected any more";
      return was_gone ? who + " is back" : "";
    case MemberState::suspect: return who + " does not answer, and is suspected";
    case MemberState::dead: return who + " is taken for dead: nobody reaches it";
    case MemberState::left: return who + " has left the cluster";
    case MemberState::forgotten: return who + " is forgotten";
  }
  return "";
}

}  // namespace

void Node::start_membership(const MembershipOptions& options, Now now) {
  std::vector<Member> known;
  ByteReader in(options.known);
  while (in.ok() && in.left() > 0) known.push_back(decode_member(in, profiles_));
  Generation generation = options.generation;
  for (const Member& member : known) {  // The clock may have been ahead at an earlier start.
    if (member.id == store_.identity().node) {
      // The lowest bits are by chance: two lives that begin on one copy differ.
      const Generation after{((member.generation.value >> chance_bits) + 1) << chance_bits |
                             (options.generation.value & ((1u << chance_bits) - 1))};
      if (after > member.generation) generation = std::max(generation, after);
    }
  }
  swim_.emplace(options.swim, profiles_, store_.identity().node, generation, options.profile, random(), now);
  if (in.ok()) swim_->restore(std::move(known));  // Else there are seeds: the list is only a memory.
  swim_->members().visit([&](const Member& member) {
    had_company_ = had_company_ || (member.is_present() && member.id != store_.identity().node);
  });
  members_changed_ = true;  // This life of ours.
}

std::optional<std::string> Node::take_members() {
  if (!swim_ || !std::exchange(members_changed_, false)) return std::nullopt;
  std::string bytes;
  ByteWriter out(bytes);
  swim_->members().visit([&](const Member& member) { encode(member, out); });
  return bytes;
}

bool Node::is_cut_off(NodeId id) const {
  const auto peer = peers_.find(id);
  return all_isolated_ || (peer != peers_.end() && peer->second.isolated);
}

bool Node::is_member(const Peer& peer) const {
  if (!swim_) return true;
  const Member* member = swim_->members().find(peer.hello.node);
  return member == nullptr || member->belongs();
}

void Node::on_datagram(const Swim::Source& from, std::string_view bytes, Now now, Outbox& out) {
  if (!swim_ || is_cut_off(from.node)) return;
  SwimOutbox said;
  swim_->on_packet(from, bytes, now, said);
  settle(said, now, out);
}

void Node::handle(LinkId link, const Gossip& gossip, Now now, Outbox& out) {
  if (!swim_) return;
  SwimOutbox said;
  swim_->on_packet({peer_of(link)->hello.node, {}, true}, gossip.payload, now, said);
  settle(said, now, out);
}

void Node::tell_keys(std::string ring, Outbox& out) {
  keys_ = std::move(ring);
  for (const auto& [id, peer] : peers_) {
    if (peer.link) send(*peer.link, Channel::control, Keys{keys_}, out);
  }
}

// Without keys of our own what others say of theirs is nothing to us.
void Node::handle(LinkId, const Keys& keys, Now, Outbox& out) {
  if (!keys_.empty()) out.push_back(KeysTold{std::string(keys.payload)});
}

void Node::on_membership_tick(Now now, Outbox& out) {
  if (!swim_) return;
  SwimOutbox said;
  swim_->on_tick(now, said);
  settle(said, now, out);
}

Millis Node::next_membership_tick() const { return swim_ ? swim_->next_tick() : Millis::max(); }

// Carries out what gossip/ asks for, which may make it ask for more.
void Node::settle(SwimOutbox& said, Now now, Outbox& out) {
  const auto one = Overloaded{
      [&](SendDatagram& send) {
        if (!is_cut_off(send.node)) out.push_back(std::move(send));
      },
      [&](SendOverLink& send) { send_over_link(send, out); },
      [&](MemberChanged& change) { on_member_changed(change, now, out); },
      [&](StateDiffers& differs) { on_state_differs(differs.id); },
      [&](IdInUse& in_use) {
        out.push_back(Notice{Notice::Level::error,
                             "another process at " + to_string(in_use.at) +
                                 " uses this node's id: a copy of the data directory runs there"});
      },
      [&](const WasForgotten&) { on_forgotten(out); },
  };
  for (SwimOutput& output : std::exchange(said, {})) std::visit(one, output);
}

void Node::send_over_link(const SendOverLink& over, Outbox& out) {
  const auto peer = peers_.find(over.to);
  if (peer == peers_.end() || !peer->second.link) return;
  send(*peer->second.link, Channel::control, Gossip{over.bytes}, out);
}

void Node::on_member_changed(const MemberChanged& change, Now now, Outbox& out) {
  members_changed_ = true;
  if (change.id == store_.identity().node) return;
  const Member& member = *swim_->members().find(change.id);
  const std::string story = story_of(change, who(member));
  const bool trouble = change.after == MemberState::dead;
  if (!story.empty()) {
    out.push_back(Notice{trouble ? Notice::Level::warning : Notice::Level::info, story});
  } else {
    out.push_back(Notice{Notice::Level::debug, who(member) + " says something new of itself"});
  }
  const auto peer = peers_.find(change.id);
  if (peer != peers_.end() && peer->second.link && !member.is_present()) {
    drop_link(*peer->second.link, "it is " + std::string(name(change.after)), now, out);
  }
  had_company_ = had_company_ || member.is_present();
  if (member.is_present()) out.push_back(Redial{to_string(member.profile->endpoint)});
  if (change.after == MemberState::forgotten) remove_peer(change.id, "the peer was forgotten", now, out);
  forget_replaced(now, out);
}

// An address is one node's: whoever was there before and is dead has lost its data directory. (Generations
// are times of starts. The earlier one may still be taken for alive when the later one does not answer.)
void Node::forget_replaced(Now now, Outbox& out) {
  if (swim_->members().count(MemberState::dead) == 0) return;
  std::map<Endpoint, Generation> present;
  swim_->members().visit([&](const Member& member) {
    if (!member.is_present()) return;
    Generation& latest = present[member.profile->endpoint];
    latest = std::max(latest, member.generation);
  });
  std::vector<NodeId> replaced;
  swim_->members().visit([&](const Member& member) {
    const auto later = present.find(member.profile->endpoint);
    const bool is_replaced = later != present.end() && later->second > member.generation;
    if (member.state == MemberState::dead && is_replaced) replaced.push_back(member.id);
  });
  SwimOutbox said;
  for (const NodeId id : replaced) (void)swim_->forget(id, now, said);
  if (!said.empty()) settle(said, now, out);
}

// Its packets tell of another state than ours, and so they did when all that we know of each other was the
// same: something was not told.
void Node::on_state_differs(NodeId id) {
  const auto found = peers_.find(id);
  if (found == peers_.end() || !reachable(found->second) || !found->second.equal) return;
  Peer& peer = found->second;
  if (peer.doubted == peer.sight) peer.told.reset();
  peer.doubted = peer.sight;
}

// Clock and root of one instant, once that is synced.
void Node::tell_state() {
  if (!swim_) return;
  if (state_ && state_->second <= store_.synced()) {
    swim_->set_state(state_->first);
    state_.reset();
  }
  if (state_ || (state_at_ == store_.applied() && state_at_ != JournalPosition{})) return;
  std::string bytes;
  ByteWriter out(bytes);
  out.u128(root_digest(store_.tree(), store_.clear(), store_.hash_keys()));
  store_.clock().encode(out);
  state_ = {checksum(bytes), store_.applied()};
  state_at_ = store_.applied();
}

std::set<std::string> Node::wanted_links() const {
  std::set<std::string> addresses(options_.peers.begin(), options_.peers.end());
  addresses.insert(to_join_.begin(), to_join_.end());
  if (swim_ && !swim_->left()) {
    swim_->members().visit([&](const Member& member) {
      if (member.belongs()) addresses.insert(to_string(member.profile->endpoint));
    });
  }
  std::erase_if(addresses, [this](const std::string& address) { return !wants_link(address); });
  return addresses;
}

Result<void> Node::join(std::string_view address) {
  const auto endpoint = parse_endpoint(address);
  if (!endpoint) return fail(ErrorCode::bad_input, "expected ip:port");
  const std::string place = to_string(*endpoint);
  if (place == options_.address) return fail(ErrorCode::refused, place + " is this node's own address");
  if (!wants_link(place)) return {};
  if (to_join_.size() >= join_addresses_max)
    return fail(ErrorCode::refused, "64 addresses are tried already; see KNIT JOIN");
  to_join_.insert(place);
  return {};
}

void Node::leave(Now now, Outbox& out) {
  if (!swim_) return;
  SwimOutbox said;
  swim_->leave(now, said);
  settle(said, now, out);
}

Result<NodeId> Node::find_member(std::string_view name) const {
  std::vector<NodeId> found;
  swim_->members().visit([&](const Member& member) {
    const bool is_prefix = name.size() >= id_prefix_min && to_string(member.id).starts_with(name);
    const bool fits =
        member.profile->name == name || to_string(member.profile->endpoint) == name || is_prefix;
    if (fits && member.state != MemberState::forgotten) found.push_back(member.id);
  });
  if (found.size() > 1) {
    return fail(ErrorCode::refused, "more than one member is called " + std::string(name) + "; name its id");
  }
  if (found.empty()) {
    return fail(ErrorCode::not_found, "no member is called " + std::string(name) + "; see KNIT MEMBERS");
  }
  return found.front();
}

Result<void> Node::forget(std::string_view peer, Now now, Outbox& out) {
  if (!swim_) return fail(ErrorCode::refused, "this node has no membership");
  const auto id = find_member(peer);
  if (!id) {  // One that linked, and was gone before the lists had it.
    const auto met = find_peer(peer);
    if (!met || peers_.at(*met).link || swim_->members().find(*met)) return tl::unexpected(id.error());
    remove_peer(*met, "it is forgotten", now, out);
    return {};
  }
  SwimOutbox said;
  auto forgotten = swim_->forget(*id, now, said);
  settle(said, now, out);
  return forgotten;
}

Result<void> Node::set_tags(std::map<std::string, std::string> tags, Now now, Outbox& out) {
  if (!swim_) return fail(ErrorCode::refused, "this node has no membership");
  Profile profile = *swim_->self().profile;
  profile.tags = std::move(tags);
  SwimOutbox said;
  auto set = swim_->set_profile(profile, now, said);
  settle(said, now, out);
  return set;
}

std::vector<MemberStatus> Node::members() const {
  std::vector<MemberStatus> out;
  if (!swim_) return out;
  swim_->members().visit([&](const Member& member) {
    if (member.state == MemberState::forgotten) return;
    out.push_back({member.id, *member.profile, member.state, member.since, member.generation,
                   member.incarnation, swim_->round_trip(member.id), member.id == store_.identity().node});
  });
  std::sort(out.begin(), out.end(), [](const MemberStatus& a, const MemberStatus& b) {
    return std::tuple(!a.self, a.profile.name, a.node) < std::tuple(!b.self, b.profile.name, b.node);
  });
  return out;
}

}  // namespace knit
