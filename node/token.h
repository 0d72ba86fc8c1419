// What a client has written and read, in a form that it can carry to another node: for each actor how far it
// must be known there. Text, so that it fits into a header or a cookie:
//
//   base64url of: format 2 | members 4 | (actor 8 | sequence varint)... | tag 8
//
// The tag is keyed with the cluster's secret: a client cannot make a node wait for writes that never were.
// What all members have needs no entry; so in a quiet cluster a token is 18 to 32 characters. Who the members
// are is told by a digest: one that is not among them for the node that made the token may lack what that
// one took for known to all.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/hash.h"
#include "base/result.h"
#include "crdt/clock.h"

namespace knit {

constexpr std::size_t token_text_bytes_max = 128 << 10;

struct Token {
  Clock needed;             // Without ranges above a gap.
  std::uint32_t members{};  // See Node::members_digest().
  bool operator==(const Token&) const = default;
};

std::string token_text(const Token& token, const HashKeys& keys);
// bad_input: it is none of this cluster's.
Result<Token> parse_token(std::string_view text, const HashKeys& keys);

}  // namespace knit
