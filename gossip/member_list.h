// All members that a node knows, itself among them, by id; and digests of parts of the list, so that two
// lists are compared by what differs in them.
//
// Invariants:
//  1. A record is only ever replaced by one that supersedes it.
//  2. digest() is the sum of digest_of() over the records, modulo 2^64, and so is each bucket's over its own.
//     A list is therefore a join-semilattice: lists that have heard the same are equal.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "gossip/member.h"

namespace knit {

constexpr std::size_t member_buckets = 256;  // By the first byte of the id, which is random.

class MemberList {
 public:
  explicit MemberList(std::size_t members_max) : members_max_(members_max) {}

  // A view until the next put().
  const Member* find(NodeId id) const;
  // Adds the record, or replaces the one of this id. Answers false, and changes nothing, if there is a newer
  // one or the same, or if the list is full and this is not one of its members.
  bool put(Member member);

  std::size_t size() const { return size_; }
  // Alive or suspect.
  std::size_t present() const { return present_; }
  std::size_t count(MemberState state) const { return counts_[static_cast<std::size_t>(state)]; }

  std::uint64_t digest() const { return digest_; }
  std::uint64_t digest_of_bucket(std::size_t bucket) const { return buckets_[bucket].digest; }
  // Ascending by id, as is all that visit() shows.
  const std::vector<Member>& bucket(std::size_t bucket) const { return buckets_[bucket].members; }
  template <class Visit>
  void visit(Visit&& visit) const {
    for (const Bucket& bucket : buckets_) {
      for (const Member& member : bucket.members) visit(member);
    }
  }

 private:
  struct Bucket {
    std::vector<Member> members;
    std::uint64_t digest{};
  };
  Bucket& bucket_of(NodeId id) { return buckets_[id.value >> 56]; }
  void count(const Member& member, std::size_t change);

  std::size_t members_max_;
  std::array<Bucket, member_buckets> buckets_;
  std::uint64_t digest_ = 0;
  std::size_t size_ = 0;
  std::size_t present_ = 0;
  std::array<std::size_t, 5> counts_{};  // By state.
};

}  // namespace knit
