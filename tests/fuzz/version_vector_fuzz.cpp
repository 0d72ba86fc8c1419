// Version vectors: what decodes is canonical, and the algebra holds.
#include "crdt/version_vector.h"
#include "tests/fuzz/fuzz.h"

using namespace knit;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ByteReader in(fuzz::text_of(data, size));
  const Dot dot{{in.u64()}, in.varint()};
  const std::string_view first = in.bytes();
  ByteReader a_in(first);
  VersionVector a = VersionVector::decode(a_in);
  if (a_in.done()) check(fuzz::encoded(a) == first, "equal vectors are equal bytes");
  VersionVector b = VersionVector::decode(in);
  check(a.within_limits() && b.within_limits(), "a vector that was decoded is within its limits");

  VersionVector ab = a;
  ab.join(b);
  VersionVector ba = b;
  ba.join(a);
  check(ab == ba, "a join commutes");
  check(ab.covers(a) && ab.covers(b), "a join covers both");
  check(a.covers(b) == (ab == a), "what is covered adds nothing");
  ab.add(dot);
  check(ab.covers(dot), "a dot that was added is covered");
  ab.truncate(dot.actor, dot.sequence / 2);
  check(ab.sequence(dot.actor) <= dot.sequence / 2, "nothing is left above where a vector was cut");
  return 0;
}
