#include "store/log_extent.h"

#include <algorithm>

#include "base/fault.h"

namespace knit {

namespace {

constexpr std::uint64_t segments_of_bounds = 64;
constexpr std::size_t segments_max = 4096;     // Of what is decoded.
constexpr std::size_t segments_enough = 1024;  // Then they grow: writes may outrun the trimming.

std::uint64_t age_of(WallTime then, WallTime now) { return now > then ? now.millis - then.millis : 0; }

void encode_sequences(ByteWriter& out, const std::map<ActorId, std::uint64_t>& sequences) {
  out.varint(sequences.size());
  for (const auto& [actor, sequence] : sequences) {
    out.u64(actor.value);
    out.varint(sequence);
  }
}

std::map<ActorId, std::uint64_t> decode_sequences(ByteReader& in) {
  std::map<ActorId, std::uint64_t> sequences;
  for (std::size_t left = in.count(9, Clock::actors_max); left > 0; --left) {
    const ActorId actor{in.u64()};
    sequences[actor] = in.varint();
  }
  return sequences;
}

}  // namespace

std::uint64_t LogExtent::complete_from(ActorId actor) const {
  const auto found = complete_from_.find(actor);
  return found == complete_from_.end() ? 0 : found->second;
}

void LogExtent::note(Dot dot, std::size_t bytes, WallTime now) {
  const auto share = static_cast<std::uint64_t>(bounds_.age_max.count()) / segments_of_bounds;
  const bool full = segments_.empty() || segments_.back().bytes >= bounds_.bytes_max / segments_of_bounds ||
                    age_of(segments_.back().begun, now) > share;
  if (full && segments_.size() < segments_enough) segments_.push_back({now, 0, {}});
  Segment& segment = segments_.back();
  segment.bytes += bytes;
  bytes_ += bytes;
  std::uint64_t& up_to = segment.up_to[dot.actor];
  up_to = std::max(up_to, dot.sequence);
}

void LogExtent::raise(ActorId actor, std::uint64_t sequence) {
  if (sequence == 0) return;
  std::uint64_t& from = complete_from_[actor];
  from = std::max(from, sequence);
}

void LogExtent::raise_by(const Clock& joined, const Clock& before) {
  for (const auto& [actor, entry] : joined.entries()) {
    if (!before.covers(joined, actor)) raise(actor, joined.highest(actor));
  }
}

bool LogExtent::is_beyond_bounds(WallTime now) const {
  if (segments_.empty()) return false;
  if (bytes_ > bounds_.bytes_max) return true;
  // A segment is as old as its youngest entry, about: when the next one began.
  const WallTime end = segments_.size() > 1 ? segments_[1].begun : segments_[0].begun;
  return age_of(end, now) > static_cast<std::uint64_t>(bounds_.age_max.count());
}

std::vector<Dot> LogExtent::trim(WallTime now) {
  if (!is_beyond_bounds(now)) return {};
  std::vector<Dot> erased;
  const Segment& oldest = segments_.front();
  for (const auto& [actor, sequence] : oldest.up_to) {
    if (!planted(Fault::log_kept_by_trim)) raise(actor, sequence);
    erased.push_back({actor, sequence});
  }
  bytes_ -= oldest.bytes;
  segments_.pop_front();
  return erased;
}

std::optional<WallTime> LogExtent::oldest() const {
  if (segments_.empty()) return std::nullopt;
  return segments_.front().begun;
}

void LogExtent::encode(ByteWriter& out) const {
  encode_sequences(out, complete_from_);
  out.varint(segments_.size());
  for (const Segment& segment : segments_) {
    out.u64(segment.begun.millis);
    out.varint(segment.bytes);
    encode_sequences(out, segment.up_to);
  }
}

bool LogExtent::decode(ByteReader& in) {
  complete_from_ = decode_sequences(in);
  segments_.clear();
  bytes_ = 0;
  for (std::size_t left = in.count(10, segments_max); left > 0; --left) {
    Segment& segment = segments_.emplace_back();
    segment.begun = {in.u64()};
    segment.bytes = in.varint();
    segment.up_to = decode_sequences(in);
    bytes_ += segment.bytes;
  }
  return in.done();
}

}  // namespace knit
