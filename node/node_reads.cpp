// Reads of several replicas, and how far this node is behind.
//
// Rows travel as in an exchange: only between nodes of which neither must rejoin, and counted as its messages
// (see node_floor.cpp). What comes is merged, so that the client is then answered from here.
#include <algorithm>

#include "base/fault.h"
#include "crdt/row_key.h"
#include "node/node.h"

namespace knit {

namespace {

constexpr std::size_t reads_max = 4096;
constexpr Millis hedge_after{50};

std::string encoded(const Clock& clock) {
  std::string bytes;
  ByteWriter out(bytes);
  clock.encode(out);
  return bytes;
}

}  // namespace

std::size_t Node::replicas() const {
  std::size_t count = 1;
  visit_members([&](const Peer*) { ++count; });
  return count;
}

// The best last.
std::vector<NodeId> Node::who_may_be_read(ReadFrom from) const {
  std::vector<std::pair<std::uint64_t, NodeId>> ranked;
  for (const auto& [id, peer] : peers_) {
    if (!reachable(peer) || peer.isolated || !may_stream(peer)) continue;
    const std::uint64_t more = store_.clock().lacks(peer.stream.peer_clock());
    if (from == ReadFrom::freshest && more == 0) continue;  // It would answer with what is here.
    const auto round_trip = swim_ ? swim_->round_trip(id) : std::nullopt;
    const auto near = static_cast<std::uint64_t>(round_trip.value_or(Millis{0}).count());
    ranked.emplace_back(from == ReadFrom::freshest ? more : ~near, id);
  }
  std::sort(ranked.begin(), ranked.end());
  std::vector<NodeId> ids;
  for (const auto& [rank, id] : ranked) ids.push_back(id);
  return ids;
}

Result<JobId> Node::start_read(const std::vector<std::string_view>& keys, std::size_t replicas, ReadFrom from,
                               Now now, Outbox& out) {
  if (reads_.size() >= reads_max) return fail(ErrorCode::refused, "too many reads wait for peers");
  if (keys.size() > read_keys_max)
    return fail(ErrorCode::refused, "too many keys to be read from peers by one command");
  Read read;
  read.replicas = replicas;
  read.others = who_may_be_read(from);
  read.started = now.steady;
  if (read.others.size() < replicas) {
    return fail(ErrorCode::refused, std::to_string(read.others.size() + 1) + " of " +
                                        std::to_string(replicas + 1) + " replicas can be reached");
  }
  for (const std::string_view key : keys) read.row_keys.insert(string_row_key(key, store_.hash_keys()));
  const JobId job{next_job_++};
  Read& begun = reads_.emplace(job, std::move(read)).first->second;
  for (std::size_t i = 0; i < replicas; ++i) ask_next(job, begun, out);
  return job;
}

// False: there is nobody left.
bool Node::ask_next(JobId job, Read& read, Outbox& out) {
  while (!read.others.empty()) {
    const NodeId id = read.others.back();
    read.others.pop_back();
    const auto peer = peers_.find(id);
    if (peer == peers_.end() || !reachable(peer->second)) continue;
    read.asked[id].waiting = read.row_keys.size();
    for (const std::string& row_key : read.row_keys)
      send(*peer->second.link, Channel::exchange, RowRequest{job.value, row_key}, out);
    return true;
  }
  return false;
}

void Node::handle(LinkId link, const RowRequest& request, Now now, Outbox& out) {
  if (!find_position(request.row_key)) return drop_link(link, "a request for what is no row key", now, out);
  RowReply reply{request.read, RowReply::State::refused, {}, request.row_key, {}};
  std::string clear;
  if (may_stream(*peer_of(link))) {
    clear = encoded(store_.clear());
    reply.clear = clear;
    const auto body = store_.body_of(request.row_key);
    reply.state =
        !body && store_.damaged(request.row_key) ? RowReply::State::damaged : RowReply::State::shown;
    reply.payload = body.value_or(std::string_view{});
  }
  send(link, Channel::exchange, reply, out);
}

void Node::handle(LinkId link, const RowReply& reply, Now now, Outbox& out) {
  const Peer& peer = *peer_of(link);
  const auto read = reads_.find({reply.read});
  if (read == reads_.end()) return;
  const auto entry = read->second.asked.find(peer.hello.node);
  if (entry == read->second.asked.end()) return;
  Read::Asked& asked = entry->second;
  if (asked.failed || asked.waiting == 0) return;
  const bool usable = reply.state != RowReply::State::refused && may_stream(peer);
  if (!usable && !planted(Fault::refusal_read)) {
    asked.failed = true;
  } else if (const auto taken = take_reply(read->second, asked, reply, now); !taken) {
    if (taken.error().code == ErrorCode::bad_input) return drop_link(link, taken.error().message, now, out);
    return finish_read(read, taken.error().message, out);
  }
  // A damaged row was not shown: somebody else is to stand in for it, and this peer gets it.
  if (reply.state == RowReply::State::damaged) asked.failed = true;
  if (asked.failed) ask_next(read->first, read->second, out);
  if (answered(read->second) >= read->second.replicas) return finish_read(read, {}, out);
  if (!may_succeed(read->second)) finish_read(read, "too many peers could not show the row", out);
}

bool Node::may_succeed(const Read& read) {
  const auto hopeful = std::count_if(read.asked.begin(), read.asked.end(),
                                     [](const auto& entry) { return !entry.second.failed; });
  return static_cast<std::size_t>(hopeful) >= read.replicas;
}

// A row is sent as if all that was cleared there had been swept: that must be known where it is merged, or
// others would not hear of it.
Result<void> Node::take_clear(std::string_view bytes, Now now) {
  if (bytes.empty()) return {};
  ByteReader in(bytes);
  const Clock clear = Clock::decode(in);
  if (!in.done()) return fail(ErrorCode::bad_input, "a clear that cannot be understood");
  return store_.clear().covers(clear) ? Result<void>{} : store_.merge_clear(clear, now.wall);
}

// bad_input: it is not what was asked for, or cannot be understood.
Result<void> Node::take_reply(const Read& read, Read::Asked& asked, const RowReply& reply, Now now) {
  const std::string row_key(reply.row_key);
  const bool again = std::any_of(asked.rows.begin(), asked.rows.end(),
                                 [&](const Read::Row& row) { return row.row_key == row_key; });
  if (again || !read.row_keys.contains(row_key))
    return fail(ErrorCode::bad_input, "a row that was not asked for");
  if (auto cleared = take_clear(reply.clear, now); !cleared) return cleared;
  Read::Row row{row_key, std::nullopt};
  if (!reply.payload.empty()) {
    const auto merged = store_.merge_row(row_key, reply.payload, now.wall);
    if (!merged) return tl::unexpected(merged.error());
    row.version = decode_body_version(reply.payload).value_or(RowVersion{});
  } else if (reply.state == RowReply::State::shown) {
    row.version = RowVersion{};
  }
  asked.rows.push_back(std::move(row));
  --asked.waiting;
  return {};
}

std::size_t Node::answered(const Read& read) {
  return static_cast<std::size_t>(std::count_if(read.asked.begin(), read.asked.end(), [](const auto& entry) {
    return entry.second.waiting == 0 && !entry.second.failed;
  }));
}

// Sends the row as it is here to a peer that showed less. Answers whether it did.
bool Node::mend(Peer& peer, const Read::Row& row, Outbox& out) {
  if (!reachable(peer) || !may_stream(peer)) return false;
  const auto bytes = store_.body_of(row.row_key);
  const auto body = bytes ? decode_body(*bytes) : tl::unexpected(Error{});
  if (!body) return false;
  const bool purged_there = body->row.may_vanish(peer.purged.clock, {});
  if (purged_there || (row.version && !has_news(body->row.version(), *row.version))) return false;
  const std::string clear = encoded(store_.clear());
  send(*peer.link, Channel::exchange, RowRepair{clear, row.row_key, *bytes}, out);
  return true;
}

void Node::finish_read(std::map<JobId, Read>::iterator read, std::string error, Outbox& out) {
  for (const auto& [id, asked] : read->second.asked) {
    const auto peer = peers_.find(id);
    if (peer == peers_.end()) continue;
    for (const Read::Row& row : asked.rows) rows_mended_ += mend(peer->second, row, out) ? 1 : 0;
  }
  JobDone done;
  done.job = read->first;
  done.error = std::move(error);
  reads_.erase(read);
  out.push_back(std::move(done));
}

// What the peer found that this node lacks.
void Node::handle(LinkId link, const RowRepair& repair, Now now, Outbox& out) {
  if (!may_stream(*peer_of(link))) return;
  const auto merged = take_clear(repair.clear, now).and_then([&] {
    return store_.merge_row(repair.row_key, repair.payload, now.wall);
  });
  if (!merged && merged.error().code == ErrorCode::bad_input)
    drop_link(link, merged.error().message, now, out);
}

// Who does not answer soon is not waited for alone.
void Node::hasten_reads(Now now, Outbox& out) {
  for (auto read = reads_.begin(); read != reads_.end();) {
    const auto next = std::next(read);
    const Millis waited = now.steady - read->second.started;
    if (waited >= options_.read_timeout) {
      finish_read(read,
                  std::to_string(answered(read->second) + 1) + " of " +
                      std::to_string(read->second.replicas + 1) + " replicas answered within " +
                      std::to_string(options_.read_timeout.count()) + " ms",
                  out);
    } else if (waited >= hedge_after) {
      while (ask_next(read->first, read->second, out)) {
      }
    }
    read = next;
  }
}

// A link of which nothing is heard may last long.
bool Node::answers(const Peer& peer) const {
  const Member* member = swim_ ? swim_->members().find(peer.hello.node) : nullptr;
  return member == nullptr || member->state == MemberState::alive;
}

// Of what a peer had at some moment this node lacks something still.
void Node::measure_lag(Now now) {
  bool company = replicas() == 1;
  lag_ = Millis{0};
  for (auto& [id, peer] : peers_) {
    if (!reachable(peer)) continue;
    company = company || answers(peer);
    if (peer.ahead && store_.clock().covers(peer.ahead->clock)) peer.ahead.reset();
    const Clock& theirs = peer.stream.peer_clock();
    if (!peer.ahead && !store_.clock().covers(theirs)) peer.ahead = {theirs, now.steady};
    if (peer.ahead) lag_ = std::max(lag_, now.steady - peer.ahead->since);
  }
  if (company || !company_at_) company_at_ = now.steady;
  lag_ = std::max(lag_, now.steady - *company_at_);
}

}  // namespace knit
