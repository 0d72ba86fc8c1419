#include "crdt/register_row.h"

#include <algorithm>
#include <tuple>

#include "base/check.h"
#include "base/fault.h"

namespace knit {

namespace {

auto rank(const Sibling& s) { return std::tie(s.stamp, s.dot.actor, s.dot.sequence); }

bool ranks_lower(const Sibling& a, const Sibling& b) { return rank(a) < rank(b); }

// A cleared sibling wins over nothing.
bool shows_lower(const Sibling& a, const Sibling& b) {
  const bool a_shows = a.content != Content::cleared;
  const bool b_shows = b.content != Content::cleared;
  return a_shows == b_shows ? ranks_lower(a, b) : b_shows;
}

auto find_dot(auto& siblings, Dot dot) {
  return std::find_if(siblings.begin(), siblings.end(), [&](const auto& s) { return s.dot == dot; });
}

// The same write seen on two nodes: a later expiry wins, a clear wins, bytes win over bytes given up.
bool merge_same_dot(Sibling& mine, const Sibling& theirs) {
  bool changed = false;
  if (mine.expiry < theirs.expiry) {
    mine.expiry = theirs.expiry;
    changed = true;
  }
  if (mine.content != Content::cleared && theirs.content == Content::cleared) {
    mine.content = Content::cleared;
    mine.value.clear();
    changed = true;
  }
  if (mine.content == Content::dropped && theirs.content == Content::value) {
    mine.content = Content::value;
    mine.value = theirs.value;
    changed = true;
  }
  return changed;
}

void encode_sibling(ByteWriter& out, const Sibling& sibling) {
  out.u64(sibling.dot.actor.value);
  out.varint(sibling.dot.sequence);
  out.u64(sibling.stamp.value);
  encode_expiry(out, sibling.expiry);
  out.u8(static_cast<std::uint8_t>(sibling.content));
  if (sibling.content == Content::value) out.bytes(sibling.value);
}

constexpr std::size_t sibling_bytes_min = 8 + 1 + 8 + 1 + 1;

// Reads one sibling; its value is returned as a view so that a caller may skip it.
struct DecodedSibling {
  Sibling head;
  std::string_view value;
};

DecodedSibling decode_sibling(ByteReader& in) {
  DecodedSibling decoded;
  decoded.head.dot.actor = {in.u64()};
  decoded.head.dot.sequence = in.varint();
  decoded.head.stamp = {in.u64()};
  decoded.head.expiry = decode_expiry(in);
  const std::uint8_t content = in.u8();
  if (content > static_cast<std::uint8_t>(Content::cleared) || decoded.head.dot.sequence == 0) in.fail();
  decoded.head.content = static_cast<Content>(content);
  if (decoded.head.content == Content::value) decoded.value = in.bytes();
  return decoded;
}

// Calls `take` for each sibling in ascending order of dots; returns the context.
template <class Take>
VersionVector decode_row(ByteReader& in, Take take) {
  const std::size_t count = in.count(sibling_bytes_min, siblings_max);
  std::optional<Dot> previous;
  std::size_t value_bytes = 0;
  for (std::size_t i = 0; i < count && in.ok(); ++i) {
    DecodedSibling sibling = decode_sibling(in);
    value_bytes += sibling.value.size();
    if ((previous && *previous >= sibling.head.dot) || value_bytes > value_bytes_max) in.fail();
    previous = sibling.head.dot;
    take(std::move(sibling));
  }
  return VersionVector::decode(in);
}

}  // namespace

bool has_news(const RowVersion& mine, const RowVersion& theirs) {
  const auto new_to_them = [&](const RowVersion::Live& live) {
    const auto same = find_dot(theirs.live, live.dot);
    if (same != theirs.live.end()) return same->expiry < live.expiry;
    return !theirs.context.covers(live.dot);
  };
  const auto superseded_by_me = [&](const RowVersion::Live& live) {
    return mine.context.covers(live.dot) && find_dot(mine.live, live.dot) == mine.live.end();
  };
  return std::any_of(mine.live.begin(), mine.live.end(), new_to_them) ||
         std::any_of(theirs.live.begin(), theirs.live.end(), superseded_by_me) ||
         Counter::has_news(mine.counter, mine.context, theirs.counter, theirs.context);
}

RegisterRow RegisterRow::unreadable(const Clock& seen) {
  RegisterRow row;
  for (const auto& [actor, entry] : seen.entries()) {
    if (entry.base > 0) row.context_.add({actor, entry.base});
  }
  return row;
}

RowVersion RegisterRow::version() const {
  RowVersion version;
  for (const Sibling& s : siblings_) version.live.push_back({s.dot, s.expiry});
  version.context = context_;
  version.counter = counter_;
  return version;
}

Stamp RegisterRow::greatest_stamp() const {
  Stamp greatest;
  for (const Sibling& sibling : siblings_) greatest = std::max(greatest, sibling.stamp);
  return greatest;
}

const Sibling* RegisterRow::winner() const {
  const auto greatest = std::max_element(siblings_.begin(), siblings_.end(), shows_lower);
  return greatest == siblings_.end() || greatest->content == Content::cleared ? nullptr : &*greatest;
}

const Sibling* RegisterRow::visible(WallTime now) const {
  const Sibling* greatest = winner();
  if (greatest == nullptr || greatest->content != Content::value) return nullptr;
  return greatest->expiry.passed(now) && !planted(Fault::expired_shown) ? nullptr : greatest;
}

void RegisterRow::write(Sibling sibling) {
  counter_.reset(sibling.dot.actor, context_);
  for (const Sibling& superseded : siblings_) {
    if (!planted(Fault::superseded_forgotten)) context_.add(superseded.dot);
  }
  siblings_.clear();
  siblings_.push_back(std::move(sibling));
}

std::optional<Shown> RegisterRow::shown(WallTime now) const {
  Shown shown{visible(now), std::nullopt, {}, false};
  if (counter_.live(now)) {
    const auto base = shown.sibling != nullptr ? Decimal::parse(shown.sibling->value) : Decimal{};
    if (base) shown.total = counter_.total(now, *base);
  }
  if (shown.sibling == nullptr && !shown.total) return std::nullopt;
  shown.expiry = shown_until().value_or(Expiry{});
  shown.mixed = (shown.sibling != nullptr && shown.sibling->expiry != shown.expiry) ||
                counter_.expires_before(shown.expiry, now);
  return shown;
}

std::optional<Expiry> RegisterRow::shown_until() const {
  const auto counted = counter_.latest_expiry();
  const Sibling* value = winner();
  if (value == nullptr || value->content != Content::value) return counted;
  return std::max(value->expiry, counted.value_or(value->expiry));
}

void RegisterRow::resolve(Sibling sibling, std::span<const Dot> superseded) {
  std::erase_if(siblings_, [&](const Sibling& mine) {
    const bool seen = std::find(superseded.begin(), superseded.end(), mine.dot) != superseded.end();
    if (seen) context_.add(mine.dot);
    return seen;
  });
  siblings_.insert(std::upper_bound(siblings_.begin(), siblings_.end(), sibling.dot,
                                    [](Dot dot, const Sibling& s) { return dot < s.dot; }),
                   std::move(sibling));
  limit_siblings();
}

const Component* RegisterRow::continuable(ActorId actor, WallTime now) const {
  const auto seen = shown(now);
  return seen ? counter_.continuable(actor, seen->expiry, context_, now) : nullptr;
}

RegisterRow::Incremented RegisterRow::increment(const Increment& increment, WallTime now) {
  const auto seen = shown(now);
  const ActorId actor = increment.dot.actor;
  Counter counter = counter_;
  VersionVector context = context_;
  if (seen) {
    counter.drop_dead(actor, context, now);
  } else {
    counter.reset(actor, context);
  }
  const Component* known = increment.start_anew ? nullptr : continuable(actor, now);
  const Dot name = known != nullptr ? known->created : increment.dot;
  if (known == nullptr) {
    Component fresh;
    fresh.created = name;
    fresh.expiry = seen ? seen->expiry : Expiry{};
    counter.insert(fresh);
  }
  Component& mine = counter.at(name);
  if (!counter.within_limits()) return Incremented::too_many;
  if (!mine.add(increment.amount)) return Incremented::too_great;
  mine.last = increment.dot.sequence;

  const Sibling* value = winner();
  const bool expired = !seen && value != nullptr && value->content != Content::tombstone;
  if (expired) write({increment.dot, increment.stamp, {}, Content::tombstone, {}});
  context_.join(context);
  counter_ = std::move(counter);
  return Incremented::done;
}

void RegisterRow::raise_expiry(Expiry expiry) {
  const auto greatest = std::max_element(siblings_.begin(), siblings_.end(), shows_lower);
  check(greatest != siblings_.end(), "only a row with a winner has an expiry");
  check(greatest->expiry < expiry, "an expiry is only ever put off");
  greatest->expiry = expiry;
}

bool RegisterRow::merge(const RegisterRow& other) {
  bool changed = std::erase_if(siblings_, [&](const Sibling& mine) {
                   return other.context_.covers(mine.dot) &&
                          find_dot(other.siblings_, mine.dot) == other.siblings_.end();
                 }) > 0;
  for (const Sibling& theirs : other.siblings_) {
    const auto mine = find_dot(siblings_, theirs.dot);
    if (mine != siblings_.end()) {
      changed |= merge_same_dot(*mine, theirs);
    } else if (!context_.covers(theirs.dot) || planted(Fault::context_ignored)) {
      if (planted(Fault::sibling_lost) && !siblings_.empty()) continue;
      siblings_.insert(std::lower_bound(siblings_.begin(), siblings_.end(), theirs.dot,
                                        [](const Sibling& s, Dot dot) { return s.dot < dot; }),
                       theirs);
      changed = true;
    }
  }
  changed = counter_.merge(other.counter_, context_, other.context_) || changed;
  if (!context_.covers(other.context_)) {
    context_.join(other.context_);
    changed = true;
  }
  limit_siblings();
  return changed;
}

bool RegisterRow::merge_at(ActorId self, const RegisterRow& other) {
  std::vector<Dot> told;  // By their names.
  for (const Component& theirs : other.counter_.components()) {
    if (theirs.created.actor != self) continue;
    const Component* mine = counter_.find(theirs.created);
    const bool lost = mine == nullptr ? !context_.covers(theirs.last_dot())
                                      : mine->last < theirs.last || mine->added < theirs.added ||
                                            mine->subtracted < theirs.subtracted;
    if (lost) told.push_back(theirs.created);
  }
  const bool changed = merge(other);
  for (const Dot created : told) {
    if (counter_.find(created) != nullptr) counter_.at(created).sealed = true;
  }
  return changed;
}

void RegisterRow::limit_siblings() {
  const auto bytes = [this] {
    std::size_t sum = 0;
    for (const Sibling& s : siblings_) sum += s.value.size();
    return sum;
  };
  while (siblings_.size() > siblings_max || (siblings_.size() > 1 && bytes() > value_bytes_max)) {
    const auto lowest = std::min_element(siblings_.begin(), siblings_.end(), ranks_lower);
    context_.add(lowest->dot);
    siblings_.erase(lowest);
  }
}

bool RegisterRow::apply_clear(const Clock& covered) {
  bool changed = false;
  for (Sibling& sibling : siblings_) {
    if (sibling.content == Content::cleared || !covered.covers(sibling.dot)) continue;
    sibling.content = Content::cleared;
    sibling.value.clear();
    changed = true;
  }
  const auto& superseded = context_.entries();
  const bool whole_context = std::all_of(superseded.begin(), superseded.end(),
                                         [&](Dot dot) { return dot.sequence <= covered.base(dot.actor); });
  changed = counter_.apply_clear(covered, whole_context, context_) || changed;
  if (!whole_context && !planted(Fault::cleared_forgotten_at_once)) return changed;
  // Those of another clear wait for that.
  const auto gone = [&](const Sibling& s) { return s.content == Content::cleared && covered.covers(s.dot); };
  return std::erase_if(siblings_, gone) > 0 || changed;
}

bool RegisterRow::is_spent(WallTime expired) const {
  return !counter_.live(expired) && std::none_of(siblings_.begin(), siblings_.end(), [&](const Sibling& s) {
    return s.content == Content::value && !s.expiry.passed(expired);
  });
}

std::optional<Dot> RegisterRow::above(const Clock& floor) const {
  const auto lies_above = [&](Dot dot) { return dot.sequence > floor.base(dot.actor); };
  for (const Sibling& sibling : siblings_) {
    if (lies_above(sibling.dot)) return sibling.dot;
  }
  for (const Component& component : counter_.components()) {
    if (lies_above(component.last_dot())) return component.last_dot();
  }
  const auto& superseded = context_.entries();
  const auto found = std::find_if(superseded.begin(), superseded.end(), lies_above);
  return found == superseded.end() ? std::nullopt : std::optional(*found);
}

bool RegisterRow::context_may_go(const Clock& floor) const {
  if (context_.empty() || above(floor)) return false;
  const bool cleared = std::any_of(siblings_.begin(), siblings_.end(),
                                   [](const Sibling& s) { return s.content == Content::cleared; });
  return !cleared && !counter_.has_remains();
}

RegisterRow::Spent RegisterRow::spent_beside(const RegisterRow& other, const Clock& floor,
                                             WallTime expired) const {
  const auto unknown = [&](Dot dot) {
    return dot.sequence <= floor.base(dot.actor) && !other.context_.covers(dot);
  };
  Spent spent;
  for (const Sibling& mine : siblings_) {
    const bool is_spent = mine.content != Content::value || mine.expiry.passed(expired);
    const bool known = find_dot(other.siblings_, mine.dot) != other.siblings_.end();
    if (is_spent && unknown(mine.dot) && !known) spent.siblings.push_back(mine.dot);
  }
  // A later state of a sealed one may be somewhere.
  for (const Component& mine : counter_.components()) {
    const bool is_spent = !mine.live(expired) && !mine.sealed;
    const bool known = other.counter_.find(mine.created) != nullptr;
    if (is_spent && unknown(mine.last_dot()) && !known) spent.components.push_back(mine.created);
  }
  return spent;
}

void RegisterRow::give_up(const Spent& spent) {
  for (const Dot dot : spent.siblings) {
    siblings_.erase(find_dot(siblings_, dot));
    context_.add(dot);
  }
  for (const Dot created : spent.components) counter_.drop(created, context_);
}

bool RegisterRow::settle_spent(RegisterRow& other, const Clock& floor, WallTime expired) {
  if (empty() || other.empty()) return false;
  const Spent mine = spent_beside(other, floor, expired);
  other.give_up(other.spent_beside(*this, floor, expired));
  give_up(mine);
  return !mine.siblings.empty() || !mine.components.empty();
}

bool RegisterRow::keep_what_is_in(const RowVersion& theirs, const Clock& fence) {
  const bool gone = std::erase_if(siblings_, [&](const Sibling& mine) {
                      return fence.covers(mine.dot) && !theirs.context.covers(mine.dot) &&
                             find_dot(theirs.live, mine.dot) == theirs.live.end();
                    }) > 0;
  return counter_.forget([&](const Component& mine) {
    return fence.covers(mine.last_dot()) && !theirs.context.covers(mine.last_dot()) &&
           theirs.counter.find(mine.created) == nullptr;
  }) || gone;
}

bool RegisterRow::reissue(ActorId actor, std::uint64_t sequence, Dot fresh,
                          const std::optional<Component>& before) {
  context_.truncate(actor, sequence);
  const bool counted = counter_.reissue(actor, sequence, fresh, before);
  const auto disowned = std::find_if(siblings_.begin(), siblings_.end(), [&](const Sibling& s) {
    return s.dot.actor == actor && s.dot.sequence > sequence;
  });
  if (disowned == siblings_.end()) return counted;
  disowned->dot = fresh;
  std::sort(siblings_.begin(), siblings_.end(),
            [](const Sibling& a, const Sibling& b) { return a.dot < b.dot; });
  return true;
}

Uint128 RegisterRow::digest(std::string_view row_key, const HashKeys& keys) const {
  std::string bytes;
  bytes.reserve(row_key.size() + 2 + siblings_.size() * 32);
  ByteWriter out(bytes);
  out.u16(static_cast<std::uint16_t>(row_key.size()));
  out.raw(row_key);
  for (const Sibling& s : siblings_) {
    out.u64(s.dot.actor.value);
    out.u64(s.dot.sequence);
    out.u64(s.stamp.value);
    out.u64(s.expiry.millis);
  }
  counter_.add_to_digest(out);
  return siphash128(bytes, keys.digest);
}

void RegisterRow::encode(ByteWriter& out) const {
  out.varint(siblings_.size());
  for (const Sibling& s : siblings_) encode_sibling(out, s);
  context_.encode(out);
  counter_.encode(out);
}

RegisterRow RegisterRow::decode(ByteReader& in) {
  RegisterRow row;
  row.context_ = decode_row(in, [&](DecodedSibling sibling) {
    sibling.head.value = sibling.value;
    row.siblings_.push_back(std::move(sibling.head));
  });
  row.counter_ = Counter::decode(in);
  return in.ok() ? row : RegisterRow{};
}

RegisterRow RegisterRow::decode_heads(ByteReader& in) {
  RegisterRow row;
  row.context_ =
      decode_row(in, [&](DecodedSibling sibling) { row.siblings_.push_back(std::move(sibling.head)); });
  row.counter_ = Counter::decode(in);
  return in.ok() ? row : RegisterRow{};
}

RowVersion RegisterRow::decode_version(ByteReader& in) {
  RowVersion version;
  version.context = decode_row(in, [&](const DecodedSibling& sibling) {
    version.live.push_back({sibling.head.dot, sibling.head.expiry});
  });
  version.counter = Counter::decode(in);
  return in.ok() ? version : RowVersion{};
}

}  // namespace knit
