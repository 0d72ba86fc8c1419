#include "merkle/exchange.h"

#include <algorithm>

#include "base/check.h"
#include "base/fault.h"
#include "crdt/row_body.h"
#include "merkle/exchange_messages.h"
#include "merkle/exchange_work.h"

namespace knit {

namespace {

using Reply = Result<std::optional<std::string>>;

std::uint64_t clear_digest(const Clock& clear, const HashKeys& keys) {
  if (clear.empty()) return 0;
  std::string bytes;
  ByteWriter out(bytes);
  clear.encode(out);
  return siphash64(bytes, keys.digest);
}

bool repairs(const wire::Turn& turn) { return turn.needs_answer() || turn.has_rows(); }

auto broken(const char* how) { return fail(ErrorCode::bad_input, how); }

}  // namespace

// A message of the peer, and how far the answer to it is.
struct MessageWork {
  enum class Stage : std::uint8_t { fresh, reading, merging, answering, comparing, shipping, writing };

  explicit MessageWork(std::string taken) : message(std::move(taken)) {}

  std::string message;  // Views of it are all about.
  Stage stage = Stage::fresh;
  std::optional<wire::TurnReader> reader;
  wire::Turn turn;
  std::size_t merged = 0;      // Of the turn's rows.
  bool peer_finished = false;  // The peer was through when it sent this.
  wire::Turn reply;
  bool ends = false;  // Both are through when the reply is sent.
  std::optional<wire::TurnWriter> writer;
};

struct Exchange::State {
  State(Replica& rows, ExchangeOptions limits, bool starts)
      : replica(rows), options(limits), initiator(starts) {}

  std::string open();
  Result<void> take(std::string message);
  Reply step(Effort effort, WallTime now);
  Reply begin_message(WallTime now);
  Reply on_open(ByteReader& in);
  Reply on_clear(ByteReader& in, WallTime now);
  Result<bool> work_on(Effort& effort, WallTime now);
  Result<bool> read(Effort& effort);
  Result<bool> merge(Effort& effort, WallTime now);
  Result<bool> ship(Effort& effort);
  Reply on_overtaken();
  Reply end_message(WallTime now);
  Result<void> check_turn(const wire::Turn& turn);
  Result<void> conclude();
  Result<void> finish(WallTime now);
  Clock offered_clock() const;
  void start();
  void begin_work();
  std::string send(wire::TurnWriter& writer, wire::Turn& turn);
  std::string send_clear();
  std::string give_up();
  bool overtaken() const;
  bool has_lost_rows() const;
  bool peer_finished(const wire::Turn& turn) const;
  std::uint64_t ranges_allowed() const;

  Replica& replica;
  ExchangeOptions options;
  const bool initiator;
  bool expect_difference = false;
  std::uint64_t salt = 0;
  Outcome outcome = Outcome::running;
  std::optional<ExchangeWork> work;    // From the first message on.
  std::optional<MessageWork> current;  // Empty: we wait for the peer.
  ExchangeStats stats;

  // As of one instant, when the session began here.
  Clock start_clock;
  Clock start_clear;

  bool clocks_differ = false;
  std::optional<Clock> peer_clock;  // The peer's start clock.
  bool clock_sent = false;
  bool offers_clock = false;  // One that covers something.
  bool started_damaged = false;
  std::uint64_t start_losses = 0;
  bool clear_sent = false;
  bool first_turn_seen = false;
  bool anything_differed = false;
  bool said_done = false;  // In my last message, as the next two.
  bool said_hold = false;
  bool sent_rows = false;
  wire::ActorTable actors_sent;
  wire::ActorTable actors_received;
  std::uint64_t ranges_received = 0;
  unsigned idle_turns = 0;  // Of the peer, one after another, although it has work left.
  double progress = 0;
};

// A clear takes rows away before the peer knows why, and starts the tree anew. And what damage takes away
// cannot be shipped any more, although the clock that the peer was given covers it.
bool Exchange::State::overtaken() const {
  const bool incomplete = !replica.tree().complete() && !planted(Fault::exchange_before_tree);
  return incomplete || (offers_clock && has_lost_rows()) || !(replica.clear() == start_clear);
}

// Also what was made good meanwhile, by another exchange: this one has passed it.
bool Exchange::State::has_lost_rows() const {
  return (started_damaged || replica.losses() != start_losses) && !planted(Fault::clock_of_damage_joined);
}

void Exchange::State::start() {
  started_damaged = replica.has_damage();
  start_losses = replica.losses();
  start_clock = replica.clock();
  start_clear = replica.clear();
}

void Exchange::State::begin_work() {
  using Role = ExchangeWork::Role;
  const Role role = !only_compares(options.mode) ? Role::repair : initiator ? Role::collect : Role::compare;
  work.emplace(replica, options, role, salt);
}

std::string Exchange::State::open() {
  check(initiator && !work, "an exchange is opened once, by the side that starts");
  start();
  begin_work();
  const HashKeys& keys = replica.hash_keys();
  wire::Open open{options.mode,
                  root_digest(replica.tree(), start_clear, keys),
                  start_clock.digest(keys.digest),
                  clear_digest(start_clear, keys),
                  salt,
                  std::nullopt};
  if (expect_difference) {
    // Without them the peer sends its own: a read that failed costs one message more.
    if (const auto children = work->children({})) open.children = children->digests;
  }
  said_done = true;
  std::string message;
  ByteWriter out(message);
  encode(out, open);
  ++stats.messages_sent;
  stats.comparison_bytes_sent += message.size();
  return message;
}

Result<void> Exchange::State::take(std::string message) {
  if (outcome != Outcome::running) return fail(ErrorCode::refused, "this exchange is over");
  if (current) {
    outcome = Outcome::incomplete;
    return broken("the peer spoke out of turn");
  }
  ++stats.messages_received;
  stats.comparison_bytes_received += message.size();  // The rows are taken off again when they are found.
  current.emplace(std::move(message));
  return {};
}

// A clear that comes between two steps is found at the next one: what was merged by then is whole.
Reply Exchange::State::step(Effort effort, WallTime now) {
  using Stage = MessageWork::Stage;
  if (current->stage == Stage::fresh) return begin_message(now);
  while (!effort.spent()) {
    if (current->stage > Stage::reading && overtaken()) return on_overtaken();
    const auto done = work_on(effort, now);
    if (!done) return tl::unexpected(done.error());
    if (work->over_limit()) return give_up();
    if (!*done) continue;
    if (current->stage == Stage::writing) return end_message(now);
    current->stage = static_cast<Stage>(static_cast<int>(current->stage) + 1);
  }
  return std::nullopt;
}

Reply Exchange::State::begin_message(WallTime now) {
  ByteReader in(current->message);
  const auto kind = static_cast<wire::Kind>(in.u8());
  const bool begun = work.has_value();
  if (kind == wire::Kind::open && !begun && !initiator) return on_open(in);
  if (kind == wire::Kind::turn && begun && !clear_sent) {
    current->reader.emplace(in, only_compares(options.mode), actors_received);
    current->stage = MessageWork::Stage::reading;
    return std::nullopt;
  }
  if (kind == wire::Kind::clear && begun && !only_compares(options.mode)) return on_clear(in, now);
  if (kind == wire::Kind::abort && begun && in.done()) {
    outcome = Outcome::incomplete;
    return std::nullopt;
  }
  return broken("the peer sent what has no place in this exchange");
}

Reply Exchange::State::on_open(ByteReader& in) {
  const auto open = wire::decode_open(in);
  if (!open) return tl::unexpected(open.error());
  options.mode = open->mode;
  salt = open->salt;
  start();
  begin_work();
  if (!replica.tree().complete() && !planted(Fault::exchange_before_tree)) return give_up();
  const HashKeys& keys = replica.hash_keys();
  const bool clears_differ = open->clear_digest != clear_digest(start_clear, keys);
  if (!only_compares(options.mode) && clears_differ && !planted(Fault::clear_not_passed_on))
    return send_clear();
  clocks_differ = !only_compares(options.mode) && open->clock_digest != start_clock.digest(keys.digest);
  first_turn_seen = true;
  wire::Turn& turn = current->turn;  // What the opening amounts to.
  turn.done = true;
  if (open->root != root_digest(replica.tree(), start_clear, keys)) {
    anything_differed = true;
    if (open->children) {
      turn.children.push_back({Prefix{}, *open->children});
    } else {
      work->compare(Prefix{});
    }
  }
  current->stage = MessageWork::Stage::answering;
  return std::nullopt;
}

// One stage for as long as there is effort; true when it is through.
Result<bool> Exchange::State::work_on(Effort& effort, WallTime now) {
  wire::Turn& reply = current->reply;
  switch (current->stage) {
    case MessageWork::Stage::fresh: break;
    case MessageWork::Stage::reading: return read(effort);
    case MessageWork::Stage::merging: return merge(effort, now);
    case MessageWork::Stage::answering: return work->answer(current->turn, reply, effort);
    case MessageWork::Stage::comparing: return work->compare_more(reply, current->turn.hold, effort);
    case MessageWork::Stage::shipping: return ship(effort);
    case MessageWork::Stage::writing: return current->writer->write(effort);
  }
  return broken("a message has no further stage");
}

Result<bool> Exchange::State::read(Effort& effort) {
  wire::Turn& turn = current->turn;
  auto done = current->reader->read(turn, effort);
  if (!done || !*done) return done;
  stats.comparison_bytes_received -= turn.row_bytes;
  stats.row_bytes_received += turn.row_bytes;
  if (auto fine = check_turn(turn); !fine) return tl::unexpected(std::move(fine.error()));
  if (turn.clock) peer_clock = turn.clock;
  current->peer_finished = peer_finished(turn);
  anything_differed = anything_differed || repairs(turn);
  return true;
}

Reply Exchange::State::on_overtaken() {
  if (current->peer_finished) {  // Nobody is left to tell.
    outcome = Outcome::incomplete;
    return std::nullopt;
  }
  if (only_compares(options.mode) || replica.clear() == start_clear) return give_up();
  return send_clear();
}

// True if the peer was through when it sent `turn`: its half of the condition in answer().
bool Exchange::State::peer_finished(const wire::Turn& turn) const {
  return said_done && turn.done && !turn.needs_answer() && (!clocks_differ || clock_sent);
}

// What a session compares is bounded by the rows there are; a peer that asks for more runs in circles.
std::uint64_t Exchange::State::ranges_allowed() const {
  const std::uint64_t rows =
      replica.tree().total().count + replica.purged_rows() + stats.rows_changed + work->differences_found();
  return (std::uint64_t{1} << 16) + 64 * rows;
}

Result<void> Exchange::State::check_turn(const wire::Turn& turn) {
  if (initiator && !first_turn_seen) clocks_differ = turn.clocks_differ && !only_compares(options.mode);
  first_turn_seen = true;
  if (turn.clock && (!clocks_differ || peer_clock))
    return broken("the peer sent a clock that was not asked for");
  ranges_received += turn.children.size() + turn.lists.size() + turn.versions.size() + turn.wants.size();
  if (ranges_received > ranges_allowed()) return broken("the peer compares in circles");
  const bool waits_for_us = said_hold || sent_rows;
  const bool idle = turn.empty() && !turn.done && !waits_for_us;
  idle_turns = idle ? idle_turns + 1 : 0;
  if (idle_turns > 1) return broken("the peer says that it has work left, and does none");
  return {};
}

Result<bool> Exchange::State::merge(Effort& effort, WallTime now) {
  const auto& rows = current->turn.rows;
  if (peer_clock && planted(Fault::clock_joined_before_rows)) (void)replica.join_clock(*peer_clock, now);
  if (!work->takes_rows() && !rows.empty())
    return broken("the peer ships rows although it was only to compare");
  for (; current->merged < rows.size() && !effort.spent(); ++current->merged) {
    const wire::ShippedRow& row = rows[current->merged];
    effort.spend(effort::merge + row.body.size() / effort::bytes);
    // What the peer does not show of it goes now: the row is never both.
    if (options.mode == ExchangeMode::fence) {
      const auto version = decode_body_version(row.body);
      if (!version) return broken("the peer ships a row that cannot be read");
      if (auto kept = replica.keep_what_is_in(row.row_key, *version, options.fence); !kept)
        return tl::unexpected(std::move(kept.error()));
    }
    const auto changed = options.peer_is_below ? replica.merge_row_from_below(row.row_key, row.body, now)
                                               : replica.merge_row(row.row_key, row.body, now);
    if (!changed) return tl::unexpected(changed.error());
    ++stats.rows_received;
    stats.rows_changed += *changed ? 1 : 0;
  }
  const std::uint64_t in_vain = stats.rows_received - stats.rows_changed;
  if (in_vain > 1024 + 2 * replica.tree().total().count + replica.purged_rows())
    return broken("the peer ships what it has shipped before");
  return current->merged == rows.size();
}

Result<bool> Exchange::State::ship(Effort& effort) {
  auto done = work->ship(current->reply, effort);
  if (!done || !*done) return done;
  if (auto concluded = conclude(); !concluded) return tl::unexpected(std::move(concluded.error()));
  current->writer.emplace(current->reply, actors_sent);
  return true;
}

// The answer is complete but for its bytes.
Result<void> Exchange::State::conclude() {
  wire::Turn& reply = current->reply;
  const wire::Turn& turn = current->turn;
  reply.clocks_differ = !initiator && clocks_differ;
  reply.done = work->idle();
  reply.hold = work->busy_shipping();
  if (reply.done && clocks_differ && !clock_sent) {
    reply.clock = offered_clock();
    offers_clock = !reply.clock->empty();
  }
  anything_differed = anything_differed || repairs(reply);
  const double left = work->in_flight() + work->remaining();
  reply.remaining = static_cast<std::uint16_t>(work->remaining() * 65535);
  progress = std::max(progress, 1 - std::min(1.0, left + (turn.done ? 0 : turn.remaining / 65535.0)));
  current->ends = turn.done && reply.done && !reply.needs_answer() && (!clocks_differ || peer_clock);
  if (current->peer_finished && !current->ends)
    return broken("the peer ended while there was something left to say");
  return {};
}

Clock Exchange::State::offered_clock() const {
  if (has_lost_rows()) return {};
  return planted(Fault::end_clock_joined) ? replica.clock() : start_clock;
}

Reply Exchange::State::end_message(WallTime now) {
  if (current->ends) {
    if (auto joined = finish(now); !joined) return tl::unexpected(std::move(joined.error()));
    if (current->peer_finished) return std::nullopt;
  }
  return send(*current->writer, current->reply);
}

Result<void> Exchange::State::finish(WallTime now) {
  // A peer that has lost rows itself gives no clock.
  const bool has_all = peer_clock && options.mode == ExchangeMode::repair && peer_clock->covers(start_clock);
  if (has_all && started_damaged && replica.losses() == start_losses) replica.forget_damaged();
  if (peer_clock) {
    if (auto joined = replica.join_clock(*peer_clock, now); !joined) return joined;
  }
  progress = 1;
  outcome = only_compares(options.mode) ? Outcome::compared
            : anything_differed         ? Outcome::repaired
                                        : Outcome::equal;
  auto& differences = work->differences();
  std::sort(differences.begin(), differences.end(),
            [](const Difference& a, const Difference& b) { return a.row_key < b.row_key; });
  return {};
}

std::string Exchange::State::send(wire::TurnWriter& writer, wire::Turn& turn) {
  std::string message = writer.take();
  ++stats.messages_sent;
  stats.comparison_bytes_sent += writer.comparison_bytes();
  stats.row_bytes_sent += message.size() - writer.comparison_bytes();
  stats.rows_sent += turn.packed.count;
  said_done = turn.done;
  said_hold = turn.hold;
  sent_rows = turn.packed.count > 0;
  clock_sent = clock_sent || turn.clock;
  work->on_sent(turn);
  return message;
}

// Both sides send their clear exactly once; who has both is through.
Reply Exchange::State::on_clear(ByteReader& in, WallTime now) {
  const auto clear = wire::decode_clear(in);
  if (!clear) return tl::unexpected(clear.error());
  const bool answered = clear_sent;
  std::string answer = answered ? std::string{} : send_clear();
  if (auto merged = replica.merge_clear(*clear, now); !merged)
    return tl::unexpected(std::move(merged.error()));
  outcome = Outcome::cleared;
  if (answered) return std::nullopt;
  return answer;
}

std::string Exchange::State::send_clear() {
  std::string message;
  ByteWriter out(message);
  wire::encode_clear(out, replica.clear());
  clear_sent = true;
  ++stats.messages_sent;
  stats.comparison_bytes_sent += message.size();
  return message;
}

std::string Exchange::State::give_up() {
  outcome = Outcome::incomplete;
  std::string message;
  ByteWriter out(message);
  wire::encode_abort(out);
  ++stats.messages_sent;
  stats.comparison_bytes_sent += message.size();
  return message;
}

Exchange::Exchange(std::unique_ptr<State> state) : state_(std::move(state)) {}
Exchange::~Exchange() = default;

std::unique_ptr<Exchange> Exchange::initiate(Replica& replica, ExchangeOptions options, std::uint64_t salt,
                                             bool expect_difference) {
  auto state = std::make_unique<State>(replica, options, true);
  state->salt = salt;
  state->expect_difference = expect_difference;
  return std::unique_ptr<Exchange>(new Exchange(std::move(state)));
}

std::unique_ptr<Exchange> Exchange::respond(Replica& replica, ExchangeOptions options) {
  return std::unique_ptr<Exchange>(new Exchange(std::make_unique<State>(replica, options, false)));
}

std::optional<ExchangeMode> Exchange::mode_asked(std::string_view opening) {
  ByteReader in(opening);
  if (static_cast<wire::Kind>(in.u8()) != wire::Kind::open) return std::nullopt;
  const auto open = wire::decode_open(in);
  return open ? std::optional(open->mode) : std::nullopt;
}

std::string Exchange::open(WallTime) { return state_->open(); }

Result<void> Exchange::on_message(std::string message) { return state_->take(std::move(message)); }

bool Exchange::busy() const { return state_->current && !finished(); }

Result<std::optional<std::string>> Exchange::step(std::size_t units, WallTime now) {
  check(busy(), "there is a message to work on");
  auto reply = state_->step(Effort(std::max<std::size_t>(units, 1)), now);
  if (!reply && !finished()) state_->outcome = Outcome::incomplete;
  if (finished() || (reply && *reply)) state_->current.reset();
  return reply;
}

Exchange::Outcome Exchange::outcome() const { return state_->outcome; }
ExchangeMode Exchange::mode() const { return state_->options.mode; }
double Exchange::progress() const { return state_->progress; }
const ExchangeStats& Exchange::stats() const { return state_->stats; }

const std::vector<Difference>& Exchange::differences() const {
  static const std::vector<Difference> none;
  return state_->work ? state_->work->differences() : none;
}

std::uint64_t Exchange::differences_found() const {
  return state_->work ? state_->work->differences_found() : 0;
}

}  // namespace knit
