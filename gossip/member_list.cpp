#include "gossip/member_list.h"

#include <algorithm>

namespace knit {

namespace {

// Where the record of this id is, or would be.
template <class Members>
auto place_of(Members& members, NodeId id) {
  return std::lower_bound(members.begin(), members.end(), id,
                          [](const Member& member, NodeId wanted) { return member.id < wanted; });
}

}  // namespace

const Member* MemberList::find(NodeId id) const {
  const auto& members = buckets_[id.value >> 56].members;
  const auto place = place_of(members, id);
  return place == members.end() || place->id != id ? nullptr : &*place;
}

// `change` is 1 or, modulo 2^64, minus 1.
void MemberList::count(const Member& member, std::size_t change) {
  counts_[static_cast<std::size_t>(member.state)] += change;
  if (member.is_present()) present_ += change;
  const std::uint64_t digest = change * digest_of(member);
  digest_ += digest;
  bucket_of(member.id).digest += digest;
}

bool MemberList::put(Member member) {
  auto& members = bucket_of(member.id).members;
  const auto place = place_of(members, member.id);
  if (place != members.end() && place->id == member.id) {
    if (!supersedes(member, *place)) return false;
    count(*place, ~std::size_t{0});
    *place = std::move(member);
    count(*place, 1);
    return true;
  }
  if (size_ >= members_max_) return false;
  ++size_;
  count(member, 1);
  members.insert(place, std::move(member));
  return true;
}

}  // namespace knit
