#include "crdt/counter.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "base/fault.h"

namespace knit {

namespace {

auto find_place(auto& components, Dot created) {
  return std::lower_bound(components.begin(), components.end(), created,
                          [](const Component& c, Dot dot) { return c.created < dot; });
}

template <class T>
bool raise(T& mine, const T& theirs) {
  if (!(mine < theirs)) return false;
  mine = theirs;
  return true;
}

// LEB128 as in ByteWriter::varint(), 128 bits wide.
void write_wide(ByteWriter& out, Uint128 value) {
  for (; value >= 0x80; value >>= 7) out.u8(static_cast<std::uint8_t>((value & 0x7f) | 0x80));
  out.u8(static_cast<std::uint8_t>(value));
}

Uint128 read_wide(ByteReader& in) {
  Uint128 value = 0;
  for (unsigned shift = 0; shift < 128; shift += 7) {
    const std::uint8_t byte = in.u8();
    if (shift == 126 && byte > 3) break;  // Would not fit.
    value |= static_cast<Uint128>(byte & 0x7f) << shift;
    if ((byte & 0x80) != 0) continue;
    if (byte == 0 && shift != 0) break;  // Longer than it need be.
    return in.ok() ? value : 0;
  }
  in.fail();
  return 0;
}

std::array<Uint128, 4> amounts_of(const Component& c) {
  return {c.added, c.subtracted, c.reset_added, c.reset_subtracted};
}

bool all_whole(const std::array<Uint128, 4>& amounts) {
  return std::all_of(amounts.begin(), amounts.end(), [](Uint128 a) { return a % Decimal::one == 0; });
}

enum Form : std::uint8_t { form_whole = 1, form_sealed = 2 };  // Amounts in whole numbers; Component::sealed.

}  // namespace

bool Component::add(const Decimal& amount) {
  Uint128& grown = amount.negative ? subtracted : added;
  if (grown > ~Uint128{0} - amount.units) return false;
  grown += amount.units;
  return true;
}

bool Component::merge(const Component& same) {
  bool changed = raise(last, same.last);
  changed = raise(added, same.added) || changed;
  changed = raise(subtracted, same.subtracted) || changed;
  changed = raise(reset_added, same.reset_added) || changed;
  changed = raise(reset_subtracted, same.reset_subtracted) || changed;
  changed = raise(sealed, same.sealed) || changed;
  return raise(expiry, same.expiry) || changed;
}

void Component::encode(ByteWriter& out) const {
  out.u64(created.actor.value);
  out.varint(created.sequence);
  out.varint(last - created.sequence);
  encode_expiry(out, expiry);
  const auto amounts = amounts_of(*this);
  const bool whole = all_whole(amounts);
  out.u8(static_cast<std::uint8_t>((whole ? form_whole : 0) | (sealed ? form_sealed : 0)));
  for (const Uint128 amount : amounts) write_wide(out, whole ? amount / Decimal::one : amount);
}

Component Component::decode(ByteReader& in) {
  Component c;
  c.created.actor = {in.u64()};
  c.created.sequence = in.varint();
  const std::uint64_t distance = in.varint();
  c.last = c.created.sequence + distance;
  c.expiry = decode_expiry(in);
  const std::uint8_t form = in.u8();
  const bool whole = (form & form_whole) != 0;
  c.sealed = (form & form_sealed) != 0;
  for (Uint128* amount : {&c.added, &c.subtracted, &c.reset_added, &c.reset_subtracted}) {
    *amount = read_wide(in);
    if (!whole) continue;
    if (*amount > ~Uint128{0} / Decimal::one) in.fail();
    *amount *= Decimal::one;
  }
  const bool canonical = form <= (form_whole | form_sealed) && all_whole(amounts_of(c)) == whole;
  const bool sound = c.created.sequence != 0 && c.last >= distance && c.reset_added <= c.added &&
                     c.reset_subtracted <= c.subtracted;
  if (!canonical || !sound) in.fail();
  return c;
}

const Component* Counter::find(Dot created) const {
  const auto place = find_place(components_, created);
  return place != components_.end() && place->created == created ? &*place : nullptr;
}

Component& Counter::at(Dot created) {
  const auto place = find_place(components_, created);
  check(place != components_.end() && place->created == created, "the component is there");
  return *place;
}

void Counter::insert(Component component) {
  components_.insert(find_place(components_, component.created), component);
}

bool Counter::live(WallTime now) const {
  return std::any_of(components_.begin(), components_.end(), [&](const Component& c) { return c.live(now); });
}

bool Counter::expires_before(Expiry expiry, WallTime now) const {
  return std::any_of(components_.begin(), components_.end(),
                     [&](const Component& c) { return c.live(now) && c.expiry < expiry; });
}

std::optional<Decimal> Counter::total(WallTime now, const Decimal& base) const {
  if (!live(now)) return std::nullopt;
  Uint128 positive = base.negative ? 0 : base.units;
  Uint128 negative = base.negative ? base.units : 0;
  for (const Component& c : components_) {
    if (!c.live(now)) continue;
    positive = saturating_sum(positive, c.added - c.reset_added);
    negative = saturating_sum(negative, c.subtracted - c.reset_subtracted);
  }
  return Decimal::difference(positive, negative);
}

std::optional<Expiry> Counter::latest_expiry() const {
  std::optional<Expiry> latest;
  for (const Component& c : components_) {
    if (!c.reset()) latest = std::max(latest.value_or(c.expiry), c.expiry);
  }
  return latest;
}

bool Counter::has_remains() const {
  return std::any_of(components_.begin(), components_.end(),
                     [](const Component& c) { return c.reset() || c.sealed; });
}

const Component* Counter::continuable(ActorId actor, Expiry expiry, const VersionVector& context,
                                      WallTime now) const {
  const auto found = std::find_if(components_.rbegin(), components_.rend(), [&](const Component& c) {
    const bool sealed = (c.sealed || context.covers(c.created)) && !planted(Fault::component_continued);
    return c.created.actor == actor && c.expiry == expiry && c.live(now) && !sealed;
  });
  return found == components_.rend() ? nullptr : &*found;
}

void Counter::drop(Dot created, VersionVector& context) {
  const auto place = find_place(components_, created);
  context.add(
      place->last_dot());  // The last change too: a clear asks whether all that was dropped is covered.
  components_.erase(place);
}

// Of a sealed component there may be a later state somewhere, with amounts that nobody has reset: it is not
// dropped.
void Counter::drop_own(ActorId actor, VersionVector& context, FunctionRef<bool(const Component&)> wanted) {
  const VersionVector before = context;
  const auto dropped = [&](const Component& c) {
    return c.created.actor == actor && !c.sealed && !before.covers(c.created) && wanted(c);
  };
  for (const Component& c : components_) {
    if (dropped(c)) context.add(c.last_dot());
  }
  std::erase_if(components_, dropped);
}

void Counter::reset(ActorId actor, VersionVector& context) {
  drop_own(actor, context, [](const Component&) { return true; });
  for (Component& c : components_) {
    c.reset_added = c.added;
    c.reset_subtracted = c.subtracted;
  }
}

void Counter::drop_dead(ActorId actor, VersionVector& context, WallTime now) {
  drop_own(actor, context, [&](const Component& c) { return !c.live(now); });
}

bool Counter::merge(const Counter& other, const VersionVector& context, const VersionVector& other_context) {
  bool changed = std::erase_if(components_, [&](const Component& mine) {
                   return other_context.covers(mine.last_dot()) && other.find(mine.created) == nullptr;
                 }) > 0;
  for (const Component& theirs : other.components_) {
    const auto mine = find_place(components_, theirs.created);
    if (mine != components_.end() && mine->created == theirs.created) {
      changed = mine->merge(theirs) || changed;
    } else if (!context.covers(theirs.last_dot())) {
      components_.insert(mine, theirs);
      changed = true;
    }
  }
  return changed;
}

bool Counter::has_news(const Counter& mine, const VersionVector& context, const Counter& theirs,
                       const VersionVector& their_context) {
  const auto new_to_them = [&](const Component& c) {
    const Component* same = theirs.find(c.created);
    if (same == nullptr) return !their_context.covers(c.last_dot());
    Component merged = *same;
    return merged.merge(c);
  };
  const auto dropped_by_me = [&](const Component& c) {
    return context.covers(c.last_dot()) && mine.find(c.created) == nullptr;
  };
  return std::any_of(mine.components_.begin(), mine.components_.end(), new_to_them) ||
         std::any_of(theirs.components_.begin(), theirs.components_.end(), dropped_by_me);
}

bool Counter::apply_clear(const Clock& covered, bool forget, const VersionVector& context) {
  bool changed = false;
  for (Component& c : components_) {
    if (c.reset() || !covered.covers(c.last_dot())) continue;
    c.reset_added = c.added;
    c.reset_subtracted = c.subtracted;
    changed = true;
  }
  // With a gap below, an earlier state of it, somewhere else, would not be covered and would come back.
  const auto forgotten = [&](const Component& c) {
    return forget && c.last <= covered.base(c.created.actor) && !c.sealed && !context.covers(c.created);
  };
  return std::erase_if(components_, forgotten) > 0 || changed;
}

bool Counter::reissue(ActorId actor, std::uint64_t sequence, Dot fresh,
                      const std::optional<Component>& before) {
  const auto disowned = std::find_if(components_.begin(), components_.end(), [&](const Component& c) {
    return c.created.actor == actor && c.last > sequence;
  });
  if (disowned == components_.end()) return false;
  Component moved = *disowned;
  if (disowned->created.sequence > sequence) {
    components_.erase(disowned);
  } else {
    Component& kept = *disowned;
    kept.last = sequence;
    if (!before || before->created != kept.created) return true;  // What is new in it cannot be told.
    kept.last = before->last;
    kept.added = std::min(kept.added, std::max(before->added, kept.reset_added));
    kept.subtracted = std::min(kept.subtracted, std::max(before->subtracted, kept.reset_subtracted));
    moved.added -= kept.added;
    moved.subtracted -= kept.subtracted;
    moved.reset_added = moved.reset_subtracted = 0;
  }
  moved.created = fresh;
  moved.last = fresh.sequence;
  moved.sealed = false;
  insert(moved);
  return true;
}

void Counter::add_to_digest(ByteWriter& out) const {
  if (components_.empty()) return;
  // A sibling has 32 bytes: what is not a multiple of that cannot be one.
  out.u8(0);
  for (const Component& c : components_) {
    out.u64(c.created.actor.value);
    out.u64(c.created.sequence);
    out.u64(c.last);
    out.u64(c.expiry.millis);
    for (const Uint128 amount : amounts_of(c)) out.u128(amount);
  }
}

void Counter::encode(ByteWriter& out) const {
  out.varint(components_.size());
  for (const Component& c : components_) c.encode(out);
}

Counter Counter::decode(ByteReader& in) {
  Counter counter;
  const std::size_t count = in.count(Component::encoded_bytes_min, components_max);
  for (std::size_t i = 0; i < count && in.ok(); ++i) {
    const Component c = Component::decode(in);
    if (!counter.empty() && counter.components_.back().created >= c.created) in.fail();
    counter.components_.push_back(c);
  }
  return in.ok() ? counter : Counter{};
}

}  // namespace knit
