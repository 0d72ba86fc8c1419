#include "node/in_stream.h"

#include "base/fault.h"

namespace knit {

namespace {

constexpr std::size_t waiting_bytes_max = 16 << 20;  // Beyond the batch that reaches it. Credit is far less.

// Also when the dot is covered: later items may be in the row that this one brings.
Result<void> take_item(Store& store, const StreamPayload::Item& item, WallTime now,
                       InStream::Counts& counts) {
  if (item.body.empty()) return store.note_streamed(item.row_key, item.dot);
  ++counts.rows;
  if (planted(Fault::left_out_row_counted) && store.clock().covers(item.dot)) return {};
  const auto changed = store.merge_streamed(item.row_key, item.body, item.dot, now);
  if (!changed) return tl::unexpected(changed.error());
  counts.changed += *changed ? 1 : 0;
  return {};
}

// What its rows and its cover stand for. Nothing if it cannot be understood: step() says so.
Clock dots_in(std::string_view bytes) {
  const auto payload = decode_stream_payload(bytes);
  if (!payload) return {};
  Clock dots = payload->covered;
  for (const StreamPayload::Item& item : payload->items) dots.add(item.dot);
  return dots.within_limits() ? dots : Clock{};
}

// About what it takes in memory.
std::size_t bytes_of(const Clock& clock) {
  constexpr std::size_t entry_bytes = 96;
  std::size_t bytes = 0;
  for (const auto& [actor, entry] : clock.entries())
    bytes += entry_bytes + entry.above.size() * sizeof(Clock::Range);
  return bytes;
}

}  // namespace

std::size_t InStream::Incoming::waiting_bytes() const {
  return sizeof *this + bytes.size() + bytes_of(needed) + (brings ? bytes_of(*brings) : 0);
}

Result<void> InStream::receive(const StreamBatch& batch, Millis now) {
  if (waiting_bytes_ > waiting_bytes_max)
    return fail(ErrorCode::bad_input, "a peer streams more than it has credit for");
  auto incoming = std::make_unique<Incoming>();
  incoming->epoch = batch.epoch;
  incoming->number = batch.number;
  incoming->bytes = batch.payload;
  incoming->received = now;
  ByteReader seen(batch.seen);
  if (!batch.seen.empty()) incoming->needed = Clock::decode(seen);
  if (!seen.done())
    return fail(ErrorCode::bad_input, "a stream batch with a clock that cannot be understood");
  waiting_bytes_ += incoming->waiting_bytes();
  waiting_.push_back(std::move(incoming));
  return {};
}

void InStream::clear() { *this = {}; }

std::vector<InStream::Unadmitted> InStream::unadmitted(bool may_merge) {
  std::vector<Unadmitted> unadmitted;
  Place last = taken_;
  for (std::size_t i = 0; i < waiting_.size(); ++i) {
    Incoming& batch = *waiting_[i];
    const bool good = may_merge && expects(last, batch);
    if (good) last = {batch.epoch, batch.number};
    if (i < admitted_) continue;
    Unadmitted& held = unadmitted.emplace_back();
    if (!good) continue;
    if (!batch.brings) {
      batch.brings = dots_in(batch.bytes);
      waiting_bytes_ += bytes_of(*batch.brings);
    }
    held = {batch.needed, *batch.brings};
  }
  return unadmitted;
}

std::optional<InStream::Held> InStream::held() const {
  if (waiting_.size() <= admitted_) return std::nullopt;
  Held held{0, waiting_bytes_ > waiting_bytes_max / 4, waiting_[admitted_]->received};
  for (std::size_t i = admitted_; i < waiting_.size(); ++i) held.bytes += waiting_[i]->bytes.size();
  return held;
}

// In an epoch that was not refused, from its first batch on, without a gap.
bool InStream::expects(const Place& last, const Incoming& batch) const {
  if (batch.epoch <= refused_epoch_ || batch.epoch < last.epoch) return false;
  return batch.number == (batch.epoch == last.epoch ? last.number + 1 : 1);
}

Result<std::optional<InStream::Done>> InStream::step(Store& store, bool may_merge, std::size_t& items,
                                                     WallTime now, Counts& counts) {
  Incoming& batch = *waiting_.front();
  Done done{batch.epoch, batch.number, false, "it is not the next one", batch.bytes.size()};
  if (!may_merge) {
    done.why_not = "one of us must rejoin first, or mend its clock";
  } else if (expects(taken_, batch)) {
    const Result<void> taken = take(store, batch, items, now, counts);
    if (taken && batch.next < batch.payload->items.size()) return std::nullopt;
    if (!taken && taken.error().code == ErrorCode::bad_input) return tl::unexpected(taken.error());
    done.accepted = taken.has_value();
    done.why_not = taken ? "" : taken.error().message;
  }
  if (done.accepted) {
    taken_ = {batch.epoch, batch.number};
  } else {
    refused_epoch_ = std::max(refused_epoch_, batch.epoch);
  }
  waiting_bytes_ -= batch.waiting_bytes();
  waiting_.pop_front();
  if (admitted_ > 0) --admitted_;
  return done;
}

Result<void> InStream::take(Store& store, Incoming& batch, std::size_t& items, WallTime now, Counts& counts) {
  if (!batch.payload) {
    auto decoded = decode_stream_payload(batch.bytes);
    if (!decoded) return tl::unexpected(decoded.error());
    batch.payload = std::move(*decoded);
  }
  const StreamPayload& payload = *batch.payload;
  if (payload.clear && batch.next == 0) {
    if (auto merged = store.merge_clear(*payload.clear, now); !merged) return merged;
  }
  for (; batch.next < payload.items.size() && items > 0; ++batch.next, --items) {
    if (auto taken = take_item(store, payload.items[batch.next], now, counts); !taken) return taken;
  }
  if (batch.next < payload.items.size()) return {};
  if (items > 0) --items;
  return store.cover_streamed(payload.covered);
}

}  // namespace knit
