// Exchange sessions with peers, who begins them and when, and the jobs that wait for them.
#include <algorithm>

#include "base/fault.h"
#include "node/node.h"

namespace knit {

namespace {

constexpr std::size_t reports_max = 32;
constexpr std::size_t jobs_max = 1024;
constexpr std::string_view busy = "busy";
constexpr int pause_statuses_max = 64;
constexpr int keep_alive_share = 4;
constexpr Millis work_pause_min{1000};
constexpr Millis work_pause_max{60'000};

void add(ExchangeStats& sum, const ExchangeStats& more) {
  sum.messages_sent += more.messages_sent;
  sum.messages_received += more.messages_received;
  sum.comparison_bytes_sent += more.comparison_bytes_sent;
  sum.comparison_bytes_received += more.comparison_bytes_received;
  sum.row_bytes_sent += more.row_bytes_sent;
  sum.row_bytes_received += more.row_bytes_received;
  sum.rows_sent += more.rows_sent;
  sum.rows_received += more.rows_received;
  sum.rows_changed += more.rows_changed;
}

std::string describe(const ExchangeReport& report) {
  const ExchangeStats& s = report.stats;
  return "exchange with " + report.peer_name + ": " + std::to_string(s.rows_sent) + " rows sent, " +
         std::to_string(s.rows_received) + " received, " +
         std::to_string(s.comparison_bytes_sent + s.comparison_bytes_received) + " B compared, " +
         std::to_string(s.messages_sent + s.messages_received) + " messages, " +
         std::to_string(report.duration.count()) + " ms";
}

}  // namespace

bool Node::may_begin_session(const Peer& peer) const {
  if (!reachable(peer) || peer.session || has_too_much_pending()) return false;
  const bool complete = peer.shown->tree_complete && store_.tree().complete();
  if (!complete && !planted(Fault::exchange_before_tree)) return false;
  const auto running =
      std::count_if(peers_.begin(), peers_.end(), [](const auto& p) { return p.second.session.has_value(); });
  return store_.has_reserve() && static_cast<std::size_t>(running) < options_.exchange_sessions_max;
}

// What a session cannot mend (a damaged row that no reachable peer has) the next one cannot either: while the
// digests stay as they are, sessions come ever more slowly.
bool Node::is_paused(const Peer& peer, Now now) const {
  return peer.tried == peer.sight && now.steady < peer.paused_to;
}

void Node::note_try(Peer& peer) const {
  const Millis longest = pause_statuses_max * options_.status_interval;
  const bool again = peer.tried == peer.sight;
  peer.pause = again ? std::min(2 * peer.pause, longest) : options_.status_interval;
  peer.tried = peer.sight;
}

// False: somebody must rejoin first.
bool Node::begin_session(Peer& peer, bool only_compare, std::optional<JobId> job, Now now, Outbox& out) {
  const auto mode = mode_with(peer, only_compare);
  if (!mode) return false;
  ExchangeOptions options = session_options(peer, now);
  options.mode = *mode;
  if (*mode == ExchangeMode::fence) {
    options.fence = fence_of(peer);
    guard(peer, now, out);
  }
  Session session;
  session.id = random();
  session.exchange = Exchange::initiate(store_, options, random(), !peer.equal);
  session.initiated = true;
  session.job = job;
  session.floor_number = peer.floor_number;
  session.started = session.last_progress = session.last_sent = now.steady;
  peer.scheduled_due = false;
  peer.unequal_statuses = 0;
  note_try(peer);
  const std::string opening = session.exchange->open(now.wall);
  const std::uint64_t id = session.id;
  peer.session = std::move(session);
  send(*peer.link, Channel::exchange, ExchangeOpen{id, opening}, out);
  return true;
}

void Node::handle(LinkId link, const ExchangeOpen& open, Now now, Outbox& out) {
  Peer& peer = *peer_of(link);
  const auto mode = Exchange::mode_asked(open.payload);
  const bool serves = mode != ExchangeMode::repair || may_repair(peer);
  const bool collides = peer.session && peer.session->initiated;
  const bool mine_goes_first = collides && store_.identity().node < peer.hello.node;
  // The peer may be through with a session whose last message is still being worked on here.
  const bool at_work = peer.session && peer.session->exchange->busy();
  if (peer.session && !mine_goes_first && !at_work) end_session(peer, std::string(busy), now, out);
  if (mine_goes_first || !serves || !may_begin_session(peer)) {
    return send(link, Channel::control, ExchangeEnd{open.session, std::string(busy)}, out);
  }
  Session session;
  session.id = open.session;
  session.exchange = Exchange::respond(store_, session_options(peer, now));
  session.started = session.last_progress = session.last_sent = now.steady;
  peer.session = std::move(session);
  peer.unequal_statuses = 0;
  note_try(peer);
  feed_session(peer, open.payload, now, out);
}

void Node::handle(LinkId link, const ExchangeTurn& turn, Now now, Outbox& out) {
  Peer& peer = *peer_of(link);
  const bool known = peer.session && peer.session->id == turn.session;
  if (turn.payload.empty()) {  // See keep_session(). We may be through already, the peer not yet.
    if (known) peer.session->last_progress = now.steady;
    return;
  }
  if (!known) return send(link, Channel::control, ExchangeEnd{turn.session, "no such session"}, out);
  feed_session(peer, turn.payload, now, out);
}

void Node::handle(LinkId link, const ExchangeEnd& end, Now now, Outbox& out) {
  Peer& peer = *peer_of(link);
  if (peer.session && peer.session->id == end.session) end_session(peer, end.reason, now, out);
}

// Takes a message of a session; work() answers it.
void Node::feed_session(Peer& peer, std::string_view payload, Now now, Outbox& out) {
  peer.session->last_progress = now.steady;
  bytes_.spend(payload.size(), now.steady);
  auto taken = peer.session->exchange->on_message(std::string(payload));
  if (!taken) fail_session(peer, taken.error(), now, out);
}

void Node::step_session(Peer& peer, Now now, Outbox& out) {
  Session& session = *peer.session;
  session.last_progress = now.steady;
  if (!store_.tree().complete() && !planted(Fault::exchange_before_tree)) {
    return fail_session(peer, {ErrorCode::refused, "the tree is being built anew"}, now, out);
  }
  const ExchangeStats before = session.exchange->stats();
  const auto reply = session.exchange->step(options_.rows_per_step, now.wall);
  const ExchangeStats& after = session.exchange->stats();
  rows_.spend(after.rows_sent + after.rows_received - before.rows_sent - before.rows_received, now.steady);
  if (!reply) return fail_session(peer, reply.error(), now, out);
  if (*reply) {
    bytes_.spend((*reply)->size(), now.steady);
    session.last_sent = now.steady;
    send(*peer.link, Channel::exchange, ExchangeTurn{session.id, **reply}, out);
  }
  if (!session.exchange->finished()) return;
  const bool fenced = is_fencing(peer) && session.exchange->outcome() == Exchange::Outcome::compared;
  if (fenced) {
    peer.i_fenced_at = session.floor_number;
    peer.guard_to = now.steady + draw_patience();
  }
  end_session(peer, {}, now, out);
  if (fenced) return on_fenced(peer, now, out);
  send_status(peer, now, out);
}

// The first half of a rejoin is through; the second one follows at once.
void Node::on_fenced(Peer& peer, Now now, Outbox& out) {
  send_status(peer, now, out);
  if (may_begin_session(peer)) begin_session(peer, false, std::nullopt, now, out);
}

void Node::fail_session(Peer& peer, const Error& error, Now now, Outbox& out) {
  const LinkId link = *peer.link;
  const std::string why = error.message;
  if (error.code == ErrorCode::bad_input) {
    out.push_back(Notice{Notice::Level::warning, peer.hello.name + " broke the protocol: " + why});
    return drop_link(link, why, now, out);
  }
  send(link, Channel::control, ExchangeEnd{peer.session->id, why}, out);
  end_session(peer, why, now, out);
}

// The peer's deadline measures our progress. While a message of its waits for its turn here, for its budget,
// or because clients go first, an empty message says that it is not forgotten.
void Node::keep_session(Peer& peer, Now now, Outbox& out) {
  Session& session = *peer.session;
  session.last_progress = now.steady;
  if (now.steady - session.last_sent < options_.exchange_deadline / keep_alive_share) return;
  session.last_sent = now.steady;
  send(*peer.link, Channel::exchange, ExchangeTurn{session.id, {}}, out);
}

bool Node::has_busy_session() const {
  return std::any_of(peers_.begin(), peers_.end(), [](const auto& peer) {
    return peer.second.session && peer.second.session->exchange->busy();
  });
}

// The one whose turn it is, of those whose session has a message to work on.
Node::Peer* Node::next_busy_peer() {
  auto next = peers_.upper_bound(last_stepped_);
  for (std::size_t i = 0; i < peers_.size(); ++i, ++next) {
    if (next == peers_.end()) next = peers_.begin();
    if (!next->second.session || !next->second.session->exchange->busy()) continue;
    last_stepped_ = next->first;
    return &next->second;
  }
  return nullptr;
}

// Ends the session of a peer if there is one; an error says why it did not come to its end.
void Node::end_session(Peer& peer, std::string error, Now now, Outbox& out) {
  if (!peer.session) return;
  share_floor(peer);
  const bool was_fencing = is_fencing(peer);
  Session session = std::move(*peer.session);
  peer.session.reset();
  if (was_fencing && session.exchange->outcome() != Exchange::Outcome::compared) {
    const bool dropped = session.exchange->stats().messages_received > 0;
    if (dropped) end_guard(peer);
    if (!dropped && peer.i_fenced_at == 0) lift_guard(peer);  // Not that of an earlier fence.
  }
  peer.paused_to = now.steady + peer.pause;
  ExchangeReport report;
  report.peer = peer.hello.node;
  report.peer_name = peer.hello.name;
  report.outcome = session.exchange->outcome();
  report.error = std::move(error);
  report.initiated = session.initiated;
  report.stats = session.exchange->stats();
  report.duration = now.steady - session.started;
  report.ended = now.wall;
  if (report.error != busy) ++exchanges_;
  add(totals_, report.stats);
  const bool worth_telling = report.outcome != Exchange::Outcome::equal && report.error != busy;
  const bool ran_through =
      report.outcome == Exchange::Outcome::equal || report.outcome == Exchange::Outcome::repaired;
  if (ran_through && report.stats.rows_sent + report.stats.rows_received == 0) peer.proven = peer.tried;
  if (worth_telling) {
    const bool ended_well = report.error.empty();
    out.push_back(Notice{ended_well ? Notice::Level::info : Notice::Level::warning,
                         describe(report) + (ended_well ? "" : "; ended early: " + report.error)});
    reports_.push_back(report);
    if (reports_.size() > reports_max) reports_.erase(reports_.begin());
  }
  finish_job(session, report, out);
}

// A job whose session lost to another one with the same peer goes back to waiting.
void Node::finish_job(Session& session, const ExchangeReport& report, Outbox& out) {
  const auto job = session.job ? jobs_.find(*session.job) : jobs_.end();
  if (job == jobs_.end()) return;
  const bool half_way = session.exchange->mode() == ExchangeMode::fence && report.error.empty();
  if (report.error == busy || half_way) {
    job->second.running = false;
    return;
  }
  JobDone done;
  done.job = job->first;
  done.error = report.error;
  done.exchange = report;
  done.differences = session.exchange->differences();
  done.differences_found = session.exchange->differences_found();
  jobs_.erase(job);
  out.push_back(std::move(done));
}

// Deadlines of running sessions, and the exchange that runs whatever the digests say.
void Node::schedule(Peer& peer, Now now, Outbox& out) {
  if (peer.session && peer.session->exchange->busy()) keep_session(peer, now, out);
  if (peer.session && now.steady - peer.session->last_progress > options_.exchange_deadline) {
    if (peer.link) send(*peer.link, Channel::control, ExchangeEnd{peer.session->id, "no progress"}, out);
    end_session(peer, "no progress", now, out);
  }
  if (now.steady >= peer.next_scheduled) {
    peer.next_scheduled = now.steady + options_.exchange_interval;
    peer.scheduled_due = true;
  }
  const bool mine_to_begin = store_.identity().node < peer.hello.node;
  if (peer.scheduled_due && mine_to_begin && may_begin_session(peer))
    begin_session(peer, false, std::nullopt, now, out);
}

Result<JobId> Node::start_exchange_job(std::string_view name, bool only_compare, Now now, Outbox& out) {
  const auto id = find_peer(name);
  if (!id) return tl::unexpected(id.error());
  if (!reachable(peers_.at(*id))) return fail(ErrorCode::refused, std::string(name) + " is not reachable");
  if (jobs_.size() >= jobs_max) return fail(ErrorCode::refused, "too many jobs are waiting");
  const JobId job{next_job_++};
  jobs_[job] = {*id, only_compare, now.steady + options_.exchange_deadline, false};
  start_waiting_jobs(now, out);
  return job;
}

Result<JobId> Node::start_repair(std::string_view peer, Now now, Outbox& out) {
  return start_exchange_job(peer, false, now, out);
}

Result<JobId> Node::start_diff(std::string_view peer, Now now, Outbox& out) {
  return start_exchange_job(peer, true, now, out);
}

void Node::start_waiting_jobs(Now now, Outbox& out) {
  for (auto entry = jobs_.begin(); entry != jobs_.end();) {
    auto& [id, job] = *entry;
    Peer& peer = peers_.at(job.peer);
    if (job.running) {
      ++entry;
    } else if (may_begin_session(peer) && mode_with(peer, job.only_compare)) {
      job.running = begin_session(peer, job.only_compare, id, now, out);
      ++entry;
    } else if (now.steady > job.deadline) {
      JobDone done;
      done.job = id;
      done.error = "no session with " + peer.hello.name +
                   " could be had in time: it is busy, building its tree, or gone";
      out.push_back(std::move(done));
      entry = jobs_.erase(entry);
    } else {
      ++entry;
    }
  }
}

void Node::cancel(JobId job) {
  jobs_.erase(job);
  reads_.erase(job);
  if (verify_ && verify_->id == job) verify_.reset();
}

Result<JobId> Node::start_verify() {
  if (verify_) return fail(ErrorCode::refused, "a verification is running already");
  if (!store_.tree().complete()) return fail(ErrorCode::refused, "the tree is still being built");
  verify_ = VerifyJob{{next_job_++}, {}};
  return verify_->id;
}

bool Node::has_work_on_store() const {
  return !work_failed_ && (store_.has_work() || verify_ || scrub_.behind());
}

bool Node::has_work() const { return has_busy_session() || has_work_on_store(); }

Millis Node::work_wait(Now now) const { return has_work_on_store() ? Millis{0} : budget_wait(now); }

void Node::scrub(Now now, Outbox& out) {
  if (work_failed_) return;
  const auto ended = scrub_.on_tick(store_, now, options_.rows_per_step);
  if (!ended) {
    out.push_back(Notice{Notice::Level::error, "the scrub failed: " + ended.error().message});
  } else if (*ended) {
    const ScrubReport& report = **ended;
    const bool sound = report.damaged_rows == 0 && report.wrong_leaves == 0;
    out.push_back(Notice{sound ? Notice::Level::debug : Notice::Level::warning,
                         "the scrub looked at " + std::to_string(report.rows) +
                             " rows: " + std::to_string(report.damaged_rows) + " damaged, " +
                             std::to_string(report.wrong_leaves) + " wrong leaves in the tree"});
  }
}

void Node::resume_work(Now now) {
  if (!work_failed_) return;
  if (!work_resumes_) {
    work_pause_ = std::clamp(2 * work_pause_, work_pause_min, work_pause_max);
    work_resumes_ = now.steady + work_pause_;
  }
  if (now.steady < *work_resumes_) return;
  work_resumes_.reset();
  work_failed_ = false;
}

// Sessions and what the store has to do alternate; sessions take turns.
void Node::work(Now now, Outbox& out) {
  const bool for_store = has_work_on_store();
  const bool for_session = has_busy_session() && budget_wait(now) == Millis{0};
  session_goes_next_ = for_session && (session_goes_next_ || !for_store);
  if (session_goes_next_) {
    step_session(*next_busy_peer(), now, out);
  } else if (for_store) {
    work_on_store(now, out);
  }
  session_goes_next_ = !session_goes_next_;
}

void Node::work_on_store(Now now, Outbox& out) {
  Result<void> worked;
  if (store_.has_work()) {
    worked = store_.work(options_.rows_per_step, now.wall);
    if (!worked)
      out.push_back(Notice{Notice::Level::error, "background work failed: " + worked.error().message});
  } else if (verify_) {
    worked = store_.verify_step(verify_->verification, options_.rows_per_step);
    if (!worked || !verify_->verification.next) {
      JobDone done;
      done.job = verify_->id;
      if (!worked) done.error = worked.error().message;
      done.verification = verify_->verification;
      done.scrub = scrub_status();
      verify_.reset();
      out.push_back(std::move(done));
    }
  } else {
    scrub(now, out);
  }
  work_failed_ = !worked.has_value();
  if (worked) work_pause_ = {};
}

}  // namespace knit
