#include "crdt/version_vector.h"

#include <algorithm>

namespace knit {

namespace {

auto find_actor(auto& entries, ActorId actor) {
  return std::lower_bound(entries.begin(), entries.end(), actor,
                          [](const Dot& entry, ActorId wanted) { return entry.actor < wanted; });
}

}  // namespace

std::uint64_t VersionVector::sequence(ActorId actor) const {
  const auto entry = find_actor(entries_, actor);
  return entry != entries_.end() && entry->actor == actor ? entry->sequence : 0;
}

bool VersionVector::covers(const VersionVector& other) const {
  return std::all_of(other.entries_.begin(), other.entries_.end(), [this](Dot dot) { return covers(dot); });
}

void VersionVector::add(Dot dot) {
  if (dot.sequence == 0) return;
  const auto entry = find_actor(entries_, dot.actor);
  if (entry == entries_.end() || entry->actor != dot.actor) {
    entries_.insert(entry, dot);
  } else {
    entry->sequence = std::max(entry->sequence, dot.sequence);
  }
}

void VersionVector::join(const VersionVector& other) {
  for (const Dot dot : other.entries_) add(dot);
}

void VersionVector::subtract(const VersionVector& other) {
  std::erase_if(entries_, [&](Dot dot) { return other.sequence(dot.actor) == dot.sequence; });
}

void VersionVector::truncate(ActorId actor, std::uint64_t sequence) {
  const auto entry = find_actor(entries_, actor);
  if (entry == entries_.end() || entry->actor != actor) return;
  entry->sequence = std::min(entry->sequence, sequence);
  if (entry->sequence == 0) entries_.erase(entry);
}

void VersionVector::encode(ByteWriter& out) const {
  out.varint(entries_.size());
  for (const Dot dot : entries_) {
    out.u64(dot.actor.value);
    out.varint(dot.sequence);
  }
}

VersionVector VersionVector::decode(ByteReader& in) {
  VersionVector vector;
  const std::size_t count = in.count(9, actors_max);
  vector.entries_.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const ActorId actor{in.u64()};
    const std::uint64_t sequence = in.varint();
    const bool ascending = vector.entries_.empty() || vector.entries_.back().actor < actor;
    if (!in.ok() || sequence == 0 || !ascending) {
      in.fail();
      return {};
    }
    vector.entries_.push_back({actor, sequence});
  }
  return vector;
}

}  // namespace knit
