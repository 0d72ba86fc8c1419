// A record of a member, as it comes in packets and from the file of members that were known.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "gossip/member_list.h"

using namespace knit;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  ProfilePool pool;
  ByteReader in(bytes);
  MemberList list(64);
  std::string again;
  while (in.left() > 0) {
    Member member = decode_member(in, pool);
    if (!in.ok()) return 0;
    ByteWriter out(again);
    encode(member, out);
    const Member* known = list.find(member.id);
    const bool newer = known == nullptr || supersedes(member, *known);
    check(known == nullptr || !newer || !supersedes(*known, member), "one of two records is the newer one");
    const bool full = known == nullptr && list.size() == 64;
    check(list.put(std::move(member)) == (newer && !full), "a newer record is taken");
  }
  check(again == bytes, "a record has one form");
  std::uint64_t sum = 0;
  list.visit([&](const Member& member) { sum += digest_of(member); });
  check(sum == list.digest(), "a digest is the sum over the list");
  return 0;
}
