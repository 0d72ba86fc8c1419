// What a client has written and read, in a form that it can carry to another node: for each actor how far it
// must be known there. Text, so that it fits into a header or a cookie:
//
//   base64url of: format 1 | (actor 8 | sequence varint)... | tag 8
//
// The tag is keyed with the cluster's secret: a client cannot make a node wait for writes that never were.
// What all members have needs no entry; so in a quiet cluster a token is 9 to 23 bytes.
#pragma once

#include <string>
#include <string_view>

#include "base/hash.h"
#include "base/result.h"
#include "crdt/clock.h"

namespace knit {

constexpr std::size_t token_text_bytes_max = 128 << 10;

// Requires: `needed` has no ranges above a gap.
std::string token_text(const Clock& needed, const HashKeys& keys);
// bad_input: it is none of this cluster's.
Result<Clock> parse_token(std::string_view text, const HashKeys& keys);

}  // namespace knit
