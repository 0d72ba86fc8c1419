#include "merkle/exchange.h"

#include <algorithm>

#include "base/check.h"
#include "base/fault.h"
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

double in_flight(const wire::Turn& turn) {
  double sum = 0;
  const auto add = [&](const auto& parts) {
    for (const auto& part : parts)
      sum += 1.0 / static_cast<double>(Uint128{1} << std::min(124, 4 * part.prefix.nibbles));
  };
  add(turn.children);
  add(turn.lists);
  add(turn.versions);
  add(turn.wants);
  return sum;
}

bool repairs(const wire::Turn& turn) { return turn.needs_answer() || !turn.rows.empty(); }

auto broken(const char* how) { return fail(ErrorCode::bad_input, how); }

}  // namespace

struct Exchange::State {
  State(Replica& rows, ExchangeOptions limits, bool starts)
      : replica(rows), options(limits), initiator(starts) {}

  std::string open();
  Reply take(std::string_view message, WallTime now);
  Reply on_open(ByteReader& in, WallTime now);
  Reply on_turn(ByteReader& in, WallTime now);
  Reply on_clear(ByteReader& in, WallTime now);
  Reply answer(const wire::Turn& turn, WallTime now);
  Result<void> check_turn(const wire::Turn& turn);
  Result<void> merge_rows(const wire::Turn& turn, WallTime now);
  Result<void> finish(WallTime now);
  Clock offered_clock() const;
  void start();
  void begin_work();
  std::string send(const wire::Turn& turn);
  std::string send_clear();
  std::string give_up();
  bool overtaken() const;
  bool peer_finished(const wire::Turn& turn) const;
  std::uint64_t ranges_allowed() const;

  Replica& replica;
  ExchangeOptions options;
  const bool initiator;
  bool expect_difference = false;
  std::uint64_t salt = 0;
  Outcome outcome = Outcome::running;
  std::optional<ExchangeWork> work;  // From the first message on.
  ExchangeStats stats;

  // As of one instant, when the session began here.
  Clock start_clock;
  Clock start_clear;

  bool clocks_differ = false;
  std::optional<Clock> peer_clock;  // The peer's start clock.
  bool clock_sent = false;
  bool clear_sent = false;
  bool first_turn_seen = false;
  bool anything_differed = false;
  bool said_done = false;  // In my last message, as said_hold.
  bool said_hold = false;
  wire::ActorTable actors_sent;
  wire::ActorTable actors_received;
  std::uint64_t ranges_received = 0;
  unsigned idle_turns = 0;  // Of the peer, one after another, although it has work left.
  double progress = 0;
};

// A clear takes rows away before the peer knows why, and starts the tree anew.
bool Exchange::State::overtaken() const {
  const bool incomplete = !replica.tree().complete() && !planted(Fault::exchange_before_tree);
  return incomplete || !(replica.clear() == start_clear);
}

void Exchange::State::start() {
  start_clock = replica.clock();
  start_clear = replica.clear();
}

void Exchange::State::begin_work() {
  using Role = ExchangeWork::Role;
  const Role role = !options.only_compare ? Role::repair : initiator ? Role::collect : Role::compare;
  work.emplace(replica, options, role, salt);
}

std::string Exchange::State::open() {
  check(initiator && !work, "an exchange is opened once, by the side that starts");
  start();
  begin_work();
  const HashKeys& keys = replica.hash_keys();
  wire::Open open{options.only_compare,
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

Reply Exchange::State::take(std::string_view message, WallTime now) {
  ++stats.messages_received;
  ByteReader in(message);
  const auto kind = static_cast<wire::Kind>(in.u8());
  stats.comparison_bytes_received += message.size();  // The rows are taken off again when they are found.
  const bool begun = work.has_value();
  if (kind == wire::Kind::open && !begun && !initiator) return on_open(in, now);
  if (kind == wire::Kind::turn && begun && !clear_sent) return on_turn(in, now);
  if (kind == wire::Kind::clear && begun && !options.only_compare) return on_clear(in, now);
  if (kind == wire::Kind::abort && begun && in.done()) {
    outcome = Outcome::incomplete;
    return std::nullopt;
  }
  return broken("the peer sent what has no place in this exchange");
}

Reply Exchange::State::on_open(ByteReader& in, WallTime now) {
  const auto open = wire::decode_open(in);
  if (!open) return tl::unexpected(open.error());
  options.only_compare = open->only_compare;
  salt = open->salt;
  start();
  begin_work();
  if (!replica.tree().complete() && !planted(Fault::exchange_before_tree)) return give_up();
  const HashKeys& keys = replica.hash_keys();
  const bool clears_differ = open->clear_digest != clear_digest(start_clear, keys);
  if (!options.only_compare && clears_differ && !planted(Fault::clear_not_passed_on)) return send_clear();
  clocks_differ = !options.only_compare && open->clock_digest != start_clock.digest(keys.digest);
  first_turn_seen = true;
  wire::Turn turn;  // What the opening amounts to.
  turn.done = true;
  if (open->root != root_digest(replica.tree(), start_clear, keys)) {
    anything_differed = true;
    if (open->children) {
      turn.children.push_back({Prefix{}, *open->children});
    } else {
      work->compare(Prefix{});
    }
  }
  return answer(turn, now);
}

Reply Exchange::State::on_turn(ByteReader& in, WallTime now) {
  const auto turn = wire::decode_turn(in, options.only_compare, actors_received);
  if (!turn) return tl::unexpected(turn.error());
  stats.comparison_bytes_received -= turn->row_bytes;
  stats.row_bytes_received += turn->row_bytes;
  if (auto fine = check_turn(*turn); !fine) return tl::unexpected(std::move(fine.error()));
  if (turn->clock) peer_clock = turn->clock;
  if (turn->clock && planted(Fault::clock_joined_before_rows)) (void)replica.join_clock(*turn->clock, now);
  if (overtaken()) {
    if (peer_finished(*turn)) {  // Nobody is left to tell.
      outcome = Outcome::incomplete;
      return std::nullopt;
    }
    if (options.only_compare || replica.clear() == start_clear) return give_up();
    return send_clear();
  }
  if (auto merged = merge_rows(*turn, now); !merged) return tl::unexpected(std::move(merged.error()));
  return answer(*turn, now);
}

// True if the peer was through when it sent `turn`: its half of the condition in answer().
bool Exchange::State::peer_finished(const wire::Turn& turn) const {
  return said_done && turn.done && !turn.needs_answer() && (!clocks_differ || clock_sent);
}

// What a session compares is bounded by the rows there are; a peer that asks for more runs in circles.
std::uint64_t Exchange::State::ranges_allowed() const {
  const std::uint64_t rows = replica.tree().total().count + stats.rows_changed + work->differences_found();
  return (std::uint64_t{1} << 16) + 64 * rows;
}

Result<void> Exchange::State::check_turn(const wire::Turn& turn) {
  if (initiator && !first_turn_seen) clocks_differ = turn.clocks_differ && !options.only_compare;
  first_turn_seen = true;
  if (turn.clock && (!clocks_differ || peer_clock))
    return broken("the peer sent a clock that was not asked for");
  ranges_received += turn.children.size() + turn.lists.size() + turn.versions.size() + turn.wants.size();
  if (ranges_received > ranges_allowed()) return broken("the peer compares in circles");
  const bool idle = turn.empty() && !turn.done && !said_hold;
  idle_turns = idle ? idle_turns + 1 : 0;
  if (idle_turns > 1) return broken("the peer says that it has work left, and does none");
  return {};
}

Result<void> Exchange::State::merge_rows(const wire::Turn& turn, WallTime now) {
  if (options.only_compare && !turn.rows.empty())
    return broken("the peer ships rows although it was only to compare");
  for (const wire::ShippedRow& row : turn.rows) {
    const auto changed = replica.merge_row(row.row_key, row.body, now);
    if (!changed) return tl::unexpected(changed.error());
    ++stats.rows_received;
    stats.rows_changed += *changed ? 1 : 0;
  }
  const std::uint64_t in_vain = stats.rows_received - stats.rows_changed;
  if (in_vain > 1024 + 2 * replica.tree().total().count)
    return broken("the peer ships what it has shipped before");
  return {};
}

Reply Exchange::State::answer(const wire::Turn& turn, WallTime now) {
  const bool alone = peer_finished(turn);
  wire::Turn reply;
  reply.clocks_differ = !initiator && clocks_differ;
  if (auto done = work->answer(turn, reply); !done) return tl::unexpected(std::move(done.error()));
  if (auto done = work->fill(reply, turn.hold); !done) return tl::unexpected(std::move(done.error()));
  if (work->over_limit()) return give_up();
  reply.done = work->idle();
  reply.hold = work->busy_shipping();
  if (reply.done && clocks_differ && !clock_sent) reply.clock = offered_clock();
  anything_differed = anything_differed || repairs(turn) || repairs(reply);
  const double left = in_flight(reply) + work->remaining();
  reply.remaining = static_cast<std::uint16_t>(std::min(1.0, work->remaining()) * 65535);
  progress = std::max(progress, 1 - std::min(1.0, left + (turn.done ? 0 : turn.remaining / 65535.0)));

  const bool finished = turn.done && reply.done && !reply.needs_answer() && (!clocks_differ || peer_clock);
  if (alone && !finished) return broken("the peer ended while there was something left to say");
  if (finished) {
    if (auto joined = finish(now); !joined) return tl::unexpected(std::move(joined.error()));
    if (alone) return std::nullopt;
  }
  return send(reply);
}

Clock Exchange::State::offered_clock() const {
  if (replica.has_damage() && !planted(Fault::clock_of_damage_joined)) return {};
  return planted(Fault::end_clock_joined) ? replica.clock() : start_clock;
}

Result<void> Exchange::State::finish(WallTime now) {
  if (peer_clock) {
    if (auto joined = replica.join_clock(*peer_clock, now); !joined) return joined;
  }
  progress = 1;
  outcome = options.only_compare ? Outcome::compared : anything_differed ? Outcome::repaired : Outcome::equal;
  auto& differences = work->differences();
  std::sort(differences.begin(), differences.end(),
            [](const Difference& a, const Difference& b) { return a.row_key < b.row_key; });
  return {};
}

std::string Exchange::State::send(const wire::Turn& turn) {
  std::string message;
  ByteWriter out(message);
  encode(out, turn, actors_sent);
  const std::size_t comparison = message.size();
  encode_rows(out, turn.rows);
  ++stats.messages_sent;
  stats.comparison_bytes_sent += comparison;
  stats.row_bytes_sent += message.size() - comparison;
  stats.rows_sent += turn.rows.size();
  said_done = turn.done;
  said_hold = turn.hold;
  clock_sent = clock_sent || turn.clock;
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

std::string Exchange::open(WallTime) { return state_->open(); }

Result<std::optional<std::string>> Exchange::on_message(std::string_view message, WallTime now) {
  if (finished()) return fail(ErrorCode::refused, "this exchange is over");
  auto reply = state_->take(message, now);
  if (!reply && !finished()) state_->outcome = Outcome::incomplete;
  return reply;
}

Exchange::Outcome Exchange::outcome() const { return state_->outcome; }
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
