#include "node/out_stream.h"

#include <algorithm>

#include "base/check.h"
#include "base/fault.h"

namespace knit {

namespace {

constexpr std::size_t withheld_max = 1000;  // Then the rest of the round is left to an exchange.
constexpr std::size_t compressed_bytes_min = 16 << 10;
constexpr unsigned plain_batches = 32;  // Before compressing is tried again.
constexpr Millis delay_min_kept{30'000};
constexpr Millis delay_slack{20};

void add_gain(std::vector<std::pair<ActorId, Clock::Range>>& gains, Dot dot) {
  if (!gains.empty() && gains.back().first == dot.actor && gains.back().second.last + 1 == dot.sequence) {
    gains.back().second.last = dot.sequence;
  } else {
    gains.push_back({dot.actor, {dot.sequence, dot.sequence}});
  }
}

}  // namespace

void OutStream::on_clock(const Clock& told, bool whole) {
  if (whole) {
    peer_clock_ = told;
  } else {
    for (const auto& [actor, entry] : told.entries()) peer_clock_.replace(actor, told);
  }
  knows_peer_ = true;
}

void OutStream::begin(ActorId actor, const Store& store) {
  const std::uint64_t from = std::max(peer_clock_.base(actor), store.log().complete_from(actor));
  actors_.try_emplace(actor, Reading{from, from, from, false, {}});
}

void OutStream::stop() {
  if (!planted(Fault::position_kept_without_link)) actors_.clear();
  in_flight_.clear();
  in_flight_bytes_ = 0;
  clears_sent_.reset();
  delay_min_until_ = {};
  last_number_ = 0;
  ++epoch_;
}

OutStream::Waiting OutStream::waiting(const Store& store, Millis now) const {
  std::uint64_t entries = 0;
  for (const auto& [actor, reading] : actors_)
    entries += std::max(store.clock().base(actor), reading.to) - reading.at;
  const bool clear = clears_sent_ != store.clears() && !store.clear().empty();
  if (actors_.empty() || (entries == 0 && !clear)) return Waiting::nothing;
  if (in_flight_bytes_ >= window_) return Waiting::credit;
  const bool early = !in_flight_.empty() && now - last_built_ < options_.batch_interval;
  return early && entries < options_.company ? Waiting::company : Waiting::work;
}

OutStream::Batch OutStream::next(const Store& store, Millis now, Copy& copy) {
  const bool with_clear = clears_sent_ != store.clears() && !store.clear().empty();
  if (auto batch = copied(store, with_clear, now, copy)) return *batch;
  StreamPayloadWriter out;
  InFlight flight;
  entries_left_ = options_.entries_per_batch;
  clears_sent_ = store.clears();
  if (with_clear && !planted(Fault::clear_not_streamed)) out.set_clear(store.clear());
  check(!actors_.empty(), "something is streamed");
  const auto before = actors_;
  for (auto& [actor, reading] : actors_) {
    if (store.clock().base(actor) > reading.at) read(actor, reading, store, out, flight);
    if (out.bytes() >= options_.batch_bytes || entries_left_ == 0) break;
  }
  copy.applied_ = {};  // Of no use to others, unless it turns out to be.
  if (out.empty()) return {};
  const bool compressed = worth_compressing(out.bytes());
  copy.payload_ = out.finish(compressed);
  if (compressed && copy.payload_.size() > out.bytes() / 4 * 3) batches_to_plain_ = plain_batches;
  flight.rows = out.rows();
  flight.bytes = out.bytes() + copy.payload_.size();
  const auto& [actor, was] = *before.begin();
  if (before.size() == 1 && !compressed && peer_clock_.highest(actor) <= was.at) {
    copy.applied_ = store.applied();
    copy.with_clear_ = with_clear;
    copy.actor_ = actor;
    copy.before_ = was;
    copy.after_ = actors_.at(actor);
    copy.flight_ = flight;
  }
  return send(copy.payload_, std::move(flight), now);
}

// What the copy holds, if it begins where this stream is and the peer has nothing of what comes behind that.
std::optional<OutStream::Batch> OutStream::copied(const Store& store, bool with_clear, Millis now,
                                                  const Copy& copy) {
  if (actors_.size() != 1 || copy.applied_ != store.applied() || copy.with_clear_ != with_clear)
    return std::nullopt;
  auto& [actor, reading] = *actors_.begin();
  if (actor != copy.actor_ || !(reading == copy.before_) || peer_clock_.highest(actor) > reading.at)
    return std::nullopt;
  reading = copy.after_;
  clears_sent_ = store.clears();
  return send(copy.payload_, copy.flight_, now);
}

OutStream::Batch OutStream::send(std::string_view payload, InFlight flight, Millis now) {
  const Batch batch{++last_number_, payload, flight.rows};
  flight.number = batch.number;
  flight.built = last_built_ = now;
  in_flight_bytes_ += flight.bytes;
  in_flight_.push_back(std::move(flight));
  return batch;
}

// A peer or a way to it that does not keep up leaves time to compress.
bool OutStream::worth_compressing(std::size_t bytes) {
  if (bytes < compressed_bytes_min || in_flight_bytes_ < window_ / 2) return false;
  if (batches_to_plain_ == 0) return true;
  --batches_to_plain_;
  return false;
}

void OutStream::read(ActorId actor, Reading& reading, const Store& store, StreamPayloadWriter& out,
                     InFlight& flight) {
  // The log does not hold any more what was to be read, or its rows were lost: that is left to an exchange.
  const std::uint64_t complete_from = store.log().complete_from(actor);
  if (reading.at < complete_from && !planted(Fault::trim_unnoticed))
    reading = {complete_from, complete_from, complete_from, false, {}};
  if (reading.at == reading.to) reading.to = std::max(reading.at, store.clock().base(actor));
  out.begin_part(actor);
  Look look = Look::go_on;
  const auto visited =
      store.visit_log(actor, reading.at, [&](std::uint64_t sequence, std::string_view row_key) {
        if (sequence > reading.to) return false;
        look = look_at({actor, sequence}, row_key, reading, store, out, flight);
        return look == Look::go_on;
      });
  if (!visited || look == Look::hopeless) reading = {reading.to, reading.to, reading.to, false, {}};
  if (!visited || look != Look::go_on) return;
  reading.has_holes = reading.has_holes || reading.at < reading.to;
  reading.at = reading.to;
  end_round(actor, reading, out, flight);
}

OutStream::Look OutStream::look_at(Dot dot, std::string_view row_key, Reading& reading, const Store& store,
                                   StreamPayloadWriter& out, InFlight& flight) {
  if (entries_left_ == 0 || out.bytes() >= options_.batch_bytes) return Look::full;
  if (reading.withheld.size() >= withheld_max) return Look::hopeless;
  --entries_left_;
  reading.has_holes = reading.has_holes || dot.sequence != reading.at + 1;
  reading.at = dot.sequence;
  if (peer_clock_.covers(dot)) return Look::go_on;
  std::string_view body;
  if (row_key != clear_row_key()) {
    const auto found = store.body_of(row_key);
    // Cleared, or purged since (a raised expiry does not keep a row from either): peers need nothing of it.
    const bool gone = !found && (store.clear().covers(dot) || store.went_lately(row_key));
    const bool replaced = found && [&] {
      const std::uint64_t last = shown_sequence(*found, dot.actor);
      // A peer that has the later dot may have it in a row without this one: its writer had lost that.
      return last > dot.sequence && last <= reading.to && !peer_clock_.covers({dot.actor, last});
    }();
    reading.has_holes = reading.has_holes || gone || replaced;
    if (replaced && planted(Fault::covered_before_replacement))
      out.cover(dot.actor, {dot.sequence, dot.sequence});
    if (gone || replaced) return Look::go_on;
    if (!found) {
      reading.has_holes = true;
      if (!planted(Fault::unreadable_delivered)) reading.withheld.push_back(dot.sequence);
      return Look::go_on;
    }
    body = *found;
  }
  out.add(dot.sequence, row_key, body);
  add_gain(flight.gains, dot);
  return Look::go_on;
}

void OutStream::end_round(ActorId actor, Reading& reading, StreamPayloadWriter& out, InFlight& flight) const {
  // What was left out below an entry that was withheld may have been left out because of that.
  const std::uint64_t from = reading.withheld.empty() ? reading.from : reading.withheld.back();
  if (reading.has_holes && from < reading.to) {
    const Clock::Range range{from + 1, reading.to};
    out.cover(actor, range);
    flight.gains.push_back({actor, range});
  }
  reading.from = reading.to;
  reading.has_holes = false;
  reading.withheld.clear();
}

std::optional<OutStream::Acked> OutStream::on_ack(std::uint64_t epoch, std::uint64_t number, Millis now) {
  if (epoch != epoch_ || in_flight_.empty() || in_flight_.front().number != number) return std::nullopt;
  const InFlight& flight = in_flight_.front();
  for (const auto& [actor, range] : flight.gains) peer_clock_.add(actor, range);
  if (!planted(Fault::credit_never_returned)) in_flight_bytes_ -= flight.bytes;
  adapt(now - flight.built, now);
  const Acked acked{flight.rows, flight.built};
  in_flight_.pop_front();
  return acked;
}

// The window shrinks while acknowledgements take longer than they must: the peer is busy, or its queue fills.
void OutStream::adapt(Millis delay, Millis now) {
  if (now >= delay_min_until_ || delay < delay_min_) {
    delay_min_ = delay;
    delay_min_until_ = now + delay_min_kept;
  }
  const bool late = delay > 2 * delay_min_ + delay_slack;
  window_ = late ? window_ - window_ / 8 : window_ + options_.batch_bytes / 4;
  window_ = std::clamp(window_, options_.window_bytes_min, options_.window_bytes_max);
}

}  // namespace knit
