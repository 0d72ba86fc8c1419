// What has expired for all members: the time of the floor, beside its clock. docs/architecture.md, "Floor and
// purge".
#include <algorithm>

#include "base/fault.h"
#include "node/node.h"

namespace knit {

namespace {

// A pass looks at all rows: it may come at once when it finds many that have expired, else it may cost so
// much.
constexpr std::uint64_t expired_share = 8;
constexpr std::uint64_t passed_rows_per_millisecond = 10;
constexpr Millis expiry_interval_min{10'000};
constexpr int unspent_patience = 60;  // Where the last pass has left as many as there are.

}  // namespace

// What has expired is to be purged once all agree that it has: this node says so when a pass over the rows is
// worth its cost, and whenever another one does.
void Node::let_expire(Now now) {
  for (const auto& [id, peer] : peers_) {
    if (peer.shown && peer.shown->expired <= now.wall) expired_ = std::max(expired_, peer.shown->expired);
  }
  const bool under_way = expired_ > store_.purged().expired || store_.passes();
  const WallTime past{now.wall.millis -
                      std::min(now.wall.millis, std::uint64_t(options_.clock_max_ahead.count()))};
  const std::uint64_t expired = store_.expired_rows(past);
  // They have agreed on a time that is still to come: their clocks were ahead, and are right again.
  const bool agreed = store_.purged().expired > now.wall;
  if (under_way || expired == 0 || (past <= expired_ && !agreed)) return;
  const std::uint64_t keys = store_.key_count(now.wall);
  const std::uint64_t unspent = store_.unspent_rows();
  if (now.steady < next_expiry_ && (agreed || expired <= unspent + keys / expired_share)) return;
  if (agreed) {
    store_.ask_pass();
  } else {
    expired_ = past;
  }
  const Millis interval = std::max(expiry_interval_min, Millis(keys / passed_rows_per_millisecond));
  next_expiry_ = now.steady + (expired > unspent ? interval : unspent_patience * interval);
}

// Whether all members have said so, and have what each of them had when it did, gaps or not. Members that are
// gone do not count.
bool Node::agree_on_expiry() {
  if (agreement_ && agreement_->expired <= store_.floor().expired) agreement_.reset();
  if (!agreement_ && expired_ > store_.floor().expired) agreement_ = {expired_, {}};
  if (!agreement_ || !knows_members()) return false;
  // Ours may have been undone since.
  Clock& mine = agreement_->clocks.try_emplace(store_.identity().node, store_.clock()).first->second;
  if (!store_.clock().covers(mine)) mine = store_.clock();
  Clock all_have = mine;
  bool all = true;
  visit_members([&](const Peer* peer) {
    const Line* has = peer == nullptr ? nullptr : peer->line.known();
    const bool says = has != nullptr && has->expired >= agreement_->expired;
    const auto said =
        says ? agreement_->clocks.try_emplace(peer->hello.node, has->clock).first : agreement_->clocks.end();
    // What it has lost since, nobody may have.
    if (says && !has->clock.covers(said->second)) said->second = has->clock;
    if (says) all_have.join(said->second);
    all = all && (says || planted(Fault::expired_by_one_clock));
  });
  if (planted(Fault::expiry_before_its_writes)) return all;
  visit_members([&](const Peer* peer) {
    const Line* has = peer == nullptr ? nullptr : peer->line.known();
    all = all && has != nullptr && has->clock.covers(all_have);
  });
  return all && store_.clock().covers(all_have);
}

// Lines that were agreed on while the clock was ahead would make ours differ from those of the others for as
// long. What all share stays: then it is the clock that may be wrong now.
void Node::forget_wrong_time(Now now, Outbox& out) {
  const WallTime expired = store_.floor().expired;
  if (expired <= now.wall) return;
  bool alone = true, shared = false;
  for (const auto& [id, peer] : peers_) {
    if (!peer.shown || !peer.floor) continue;
    alone = false;
    shared = shared || peer.floor->expired >= expired;
  }
  if (alone || shared) return;
  out.push_back(
      Notice{Notice::Level::warning, "the clock was set back: what it has made to expire is agreed on anew"});
  expired_ = {};
  agreement_.reset();
  store_.forget_expired();
}

}  // namespace knit
