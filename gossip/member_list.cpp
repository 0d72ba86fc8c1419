#include "gossip/member_list.h"

#include <algorithm>

namespace knit {

const Member* MemberList::find(NodeId id) const {
  const auto& members = buckets_[id.value >> 56].members;
  const auto found =
      std::find_if(members.begin(), members.end(), [&](const Member& m) { return m.id == id; });
  return found == members.end() ? nullptr : &*found;
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
  const auto found =
      std::find_if(members.begin(), members.end(), [&](const Member& m) { return m.id == member.id; });
  if (found != members.end()) {
    if (!supersedes(member, *found)) return false;
    count(*found, ~std::size_t{0});
    *found = std::move(member);
    count(*found, 1);
    return true;
  }
  if (size_ >= members_max_) return false;
  ++size_;
  members.push_back(std::move(member));
  count(members.back(), 1);
  return true;
}

}  // namespace knit
