// Clocks from peers and from the disk: what decodes is canonical, and the algebra holds.
#include "crdt/clock.h"
#include "tests/fuzz/fuzz.h"

using namespace knit;

namespace {

Clock joined(Clock a, const Clock& b) {
  a.join(b);
  return a;
}

bool is_canonical(const Clock& clock) {
  const std::string bytes = fuzz::encoded(clock);
  ByteReader in(bytes);
  return Clock::decode(in) == clock && in.done();
}

void compare(const Clock& a, const Clock& b) {
  const Clock both = joined(a, b);
  check(both == joined(b, a), "a join commutes");
  check(both == joined(both, a) && both == joined(both, b), "a join is idempotent");
  check(both.covers(a) && both.covers(b), "a join covers both");
  if (both.within_limits()) check(is_canonical(both), "a join is canonical");
  check(a.covers(b) == (both == a), "what is covered adds nothing");
  check(a.covers(b) == (a.lacks(b) == 0), "nothing is lacking of what is covered");
  for (const auto& [actor, entry] : b.entries()) {
    check(a.covers({actor, b.highest(actor)}) || !a.covers(b, actor), "the highest dot is one of an actor's");
  }
}

void change(Clock clock, Dot dot) {
  Clock with = clock;
  with.add(dot);
  check(with.covers(dot) && with.covers(clock), "a dot that was added is covered");
  clock.truncate(dot.actor, dot.sequence);
  check(clock.highest(dot.actor) <= dot.sequence, "nothing is left above where a clock was cut");
  check(clock.within_limits() && is_canonical(clock), "a clock that was cut is canonical");
  with.replace(dot.actor, clock);
  check(with.base(dot.actor) == clock.base(dot.actor), "an actor was replaced");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ByteReader in(fuzz::text_of(data, size));
  const Dot dot{{in.u64()}, in.varint()};
  const std::string_view first = in.bytes();
  ByteReader a_in(first);
  const Clock a = Clock::decode(a_in);
  if (a_in.done()) check(fuzz::encoded(a) == first, "equal clocks are equal bytes");
  const Clock b = Clock::decode(in);
  check(a.within_limits() && b.within_limits(), "a clock that was decoded is within its limits");
  compare(a, b);
  change(a, dot);
  return 0;
}
