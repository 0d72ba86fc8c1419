// The exchange against its goals: a million rows, some of them overwritten on one side or on both;
// the bytes that comparing costs, both directions, without the rows; messages; time.
#include <time.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "base/check.h"
#include "crdt/row_body.h"
#include "merkle/exchange.h"
#include "report.h"

using namespace knit;

namespace {

constexpr std::size_t body_bytes = 250;
constexpr std::size_t units_per_step = 256;
constexpr std::uint64_t actors[] = {0x1f3a5577, 0x28bce001, 0x3ddf1122};

HashKeys hash_keys() {
  HashKeys keys;
  keys.position.fill(7);
  keys.digest.fill(9);
  return keys;
}

// A row with its value left out: bodies are made when they are read.
struct BenchRow {
  std::string row_key;
  Uint128 digest{};
  RowVersion version;
  Stamp stamp;
};

// Rows in a sorted vector.
class BenchReplica final : public Replica {
 public:
  BenchReplica() : tree_(*this) {}
  BenchReplica(std::vector<BenchRow> rows, const Clock& clock)
      : rows_(std::move(rows)), clock_(clock), tree_(*this) {}

  Result<void> visit_rows(Range range, std::string_view from_row_key,
                          FunctionRef<bool(const RowView&)> visit) const override {
    const std::string first = std::max(first_row_key_at(range.first), std::string(from_row_key));
    auto row = std::lower_bound(rows_.begin(), rows_.end(), first, below);
    for (; row != rows_.end() && position_of(row->row_key) <= range.last; ++row) {
      if (!visit({position_of(row->row_key), row->row_key, row->digest,
                  building_ ? std::string_view{} : body(*row)}))
        break;
    }
    return {};
  }
  const Tree& tree() const override { return tree_; }
  const HashKeys& hash_keys() const override { return keys_; }
  const Clock& clock() const override { return clock_; }
  const Clock& clear() const override { return clear_; }

  Result<bool> merge_row(std::string_view row_key, std::string_view bytes, WallTime) override {
    auto received = decode_body(bytes);
    check(received.has_value(), "the bench sends rows only");
    const auto place = std::lower_bound(rows_.begin(), rows_.end(), row_key, below);
    const bool known = place != rows_.end() && place->row_key == row_key;
    if (known && !has_news(received->row.version(), place->version)) return false;
    BenchRow row{std::string(row_key), received->row.digest(row_key, keys_), received->row.version(),
                 received->row.greatest_stamp()};
    const std::optional<Uint128> before = known ? std::optional(place->digest) : std::nullopt;
    const Uint128 after = row.digest;
    if (known) {
      *place = std::move(row);
    } else {
      rows_.insert(place, std::move(row));
    }
    tree_.apply(position_of(row_key), before, after);
    return true;
  }
  Result<void> merge_clear(const Clock&, WallTime) override { return {}; }
  Result<void> join_clock(const Clock& clock, WallTime) override {
    clock_.join(clock);
    return {};
  }

  void build() {
    building_ = true;
    while (!tree_.complete()) check(tree_.build_step(10'000).has_value(), "memory can be read");
    building_ = false;
  }
  void overwrite(std::size_t index, std::uint64_t actor) {
    BenchRow& row = rows_[index];
    const Dot dot{{actor}, clock_.highest({actor}) + 1};
    clock_.add(dot);
    row.version.context.add(row.version.live.front().dot);
    row.version.live.front().dot = dot;
    row.stamp = row.stamp.next();
    const Uint128 before = row.digest;
    row.digest = register_row(row).digest(row.row_key, keys_);
    tree_.apply(position_of(row.row_key), before, row.digest);
  }
  std::size_t size() const { return rows_.size(); }
  Uint128 root() const { return root_digest(tree_, clear_, keys_); }

  static RegisterRow register_row(const BenchRow& row) {
    std::string bytes;
    ByteWriter out(bytes);
    out.varint(1);
    out.u64(row.version.live.front().dot.actor.value);
    out.varint(row.version.live.front().dot.sequence);
    out.u64(row.stamp.value);
    out.varint(0);
    out.u8(static_cast<std::uint8_t>(Content::value));
    out.bytes(std::string(body_bytes - 40, 'v'));
    row.version.context.encode(out);
    row.version.counter.encode(out);
    ByteReader in(bytes);
    return RegisterRow::decode(in);
  }

 private:
  static bool below(const BenchRow& row, std::string_view wanted) { return row.row_key < wanted; }
  std::string_view body(const BenchRow& row) const {
    body_ = encode_body({}, register_row(row));
    return body_;
  }

  std::vector<BenchRow> rows_;
  Clock clock_;
  Clock clear_;
  HashKeys keys_ = ::hash_keys();
  mutable std::string body_;
  bool building_ = false;
  Tree tree_;
};

// Rows that each of three nodes has overwritten now and then.
std::vector<BenchRow> make_rows(std::size_t count, Clock& clock, std::mt19937_64& random) {
  const HashKeys keys = hash_keys();
  std::vector<BenchRow> rows;
  rows.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    BenchRow row{string_row_key("user:" + std::to_string(i) + ":profile", keys),
                 {},
                 {},
                 Stamp::at({1'700'000'000'000 + i})};
    const auto next = [&] {
      const ActorId actor{actors[random() % 3]};
      const Dot dot{actor, clock.highest(actor) + 1};
      clock.add(dot);
      return dot;
    };
    for (std::uint64_t writes = random() % 3; writes > 0; --writes) row.version.context.add(next());
    row.version.live.push_back({next(), {}});
    row.digest = BenchReplica::register_row(row).digest(row.row_key, keys);
    rows.push_back(std::move(row));
  }
  std::sort(rows.begin(), rows.end(),
            [](const BenchRow& a, const BenchRow& b) { return a.row_key < b.row_key; });
  return rows;
}

struct Session {
  std::uint64_t messages = 0;
  std::uint64_t comparison_bytes[2] = {};
  std::uint64_t row_bytes = 0;
  std::uint64_t rows_sent = 0;
  std::uint64_t rows_in_vain = 0;
  double seconds = 0;
  std::uint64_t steps = 0;
  std::uint64_t long_steps = 0;  // Of more than half a millisecond.
  double longest_step_seconds = 0;
};

// A step is short: what others take of the processor meanwhile would drown it.
double processor_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

std::optional<std::string> reply_to(Exchange& exchange, std::string message, Session& session) {
  check(exchange.on_message(std::move(message)).has_value(), "both sides take turns");
  while (exchange.busy()) {
    const double start = processor_seconds();
    auto reply = exchange.step(units_per_step, {});
    check(reply.has_value(), "both sides keep the protocol");
    const double seconds = processor_seconds() - start;
    ++session.steps;
    session.longest_step_seconds = std::max(session.longest_step_seconds, seconds);
    session.long_steps += seconds > 500e-6 ? 1 : 0;
    if (*reply) return std::move(*reply);
  }
  return std::nullopt;
}

Session run(Replica& starts, Replica& answers, bool expect_difference) {
  Session session;
  const bench::Stopwatch watch;
  auto a = Exchange::initiate(starts, {}, 12345, expect_difference);
  auto b = Exchange::respond(answers, {});
  Exchange* next = b.get();
  std::optional<std::string> message = a->open({});
  while (message) {
    message = reply_to(*next, std::move(*message), session);
    next = next == a.get() ? b.get() : a.get();
  }
  check(a->finished() && b->finished(), "both sides end");
  session.seconds = watch.seconds();
  for (const Exchange* side : {a.get(), b.get()}) {
    const ExchangeStats& stats = side->stats();
    session.messages += stats.messages_sent;
    session.comparison_bytes[side == b.get()] = stats.comparison_bytes_sent;
    session.row_bytes += stats.row_bytes_sent;
    session.rows_sent += stats.rows_sent;
    session.rows_in_vain += stats.rows_received - stats.rows_changed;
  }
  return session;
}

void report(const Session& session, std::size_t rows, std::size_t differences, const char* written_at) {
  const std::string where = "\"rows\":" + std::to_string(rows) +
                            ",\"differences\":" + std::to_string(differences) + ",\"written_at\":\"" +
                            written_at + "\"";
  const auto print = [&](const char* metric, double value, const char* unit) {
    bench::report("exchange", where, metric, value, unit);
  };
  print("comparison_bytes", static_cast<double>(session.comparison_bytes[0] + session.comparison_bytes[1]),
        "B");
  print("comparison_bytes_of_initiator", static_cast<double>(session.comparison_bytes[0]), "B");
  print("comparison_bytes_of_responder", static_cast<double>(session.comparison_bytes[1]), "B");
  print("messages", static_cast<double>(session.messages), "messages");
  print("rows_shipped", static_cast<double>(session.rows_sent), "rows");
  print("rows_shipped_in_vain", static_cast<double>(session.rows_in_vain), "rows");
  print("row_bytes", static_cast<double>(session.row_bytes), "B");
  print("wall_time", session.seconds, "s");
  print("steps", static_cast<double>(session.steps), "steps");
  print("longest_step", session.longest_step_seconds * 1e6, "us");
  print("steps_above_500_us", static_cast<double>(session.long_steps), "steps");
}

void overwrite_random(BenchReplica& one, BenchReplica* other, std::size_t count, std::mt19937_64& random) {
  std::vector<bool> chosen(one.size());
  for (std::size_t written = 0; written < count;) {
    const std::size_t index = random() % one.size();
    if (chosen[index]) continue;
    chosen[index] = true;
    BenchReplica& side = other != nullptr && written % 2 == 1 ? *other : one;
    side.overwrite(index, actors[&side == &one ? 0 : 1]);
    ++written;
  }
}

void measure_differences(BenchReplica& a, BenchReplica& b, std::mt19937_64& random) {
  for (const std::size_t differences : {0, 1, 10, 100, 1000, 10'000, 100'000}) {
    for (const char* at : {"initiator", "responder", "both"}) {
      if (differences == 0 && *at != 'i') continue;
      const bool initiator = *at == 'i';
      overwrite_random(*at == 'r' ? b : a, initiator || *at == 'r' ? nullptr : &b, differences, random);
      const Session session = run(a, b, differences > 0);
      check(a.root() == b.root(), "both sides are equal after a session");
      report(session, a.size(), differences, at);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t count = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1'000'000;
  std::mt19937_64 random(1);
  Clock clock;
  const std::vector<BenchRow> rows = make_rows(count, clock, random);
  BenchReplica a(rows, clock);
  BenchReplica b(rows, clock);
  a.build();
  b.build();
  measure_differences(a, b, random);
  BenchReplica empty;
  empty.build();
  const Session session = run(empty, a, true);
  check(empty.root() == a.root(), "the empty side has everything afterwards");
  report(session, count, count, "everywhere but at the initiator");
}
