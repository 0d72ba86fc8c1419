// The key file's text: how an operator hands keys to a node.
//
//   # Comments and empty lines are skipped. The format comes first.
//   format = 1
//   key = 64 hex digits
//   key = 64 hex digits          one line a key, at most 8; the first is the primary, unless there is
//   primary = 8 hex digits       the fingerprint of another one
//
// Pure functions. Text that holds keys is to be wiped by whoever owns it.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "gossip/key_ring.h"

namespace knit {

constexpr std::size_t key_text_bytes_max = 4096;

// A file with one key, which is the primary.
std::string key_text(const SecretKey& key);

// wrong_format: written by a newer knit; bad_input: a field is unknown, doubled or malformed, or there is no
// key, with the file (`path`) and the line.
Result<KeyRing> parse_key_text(std::string_view text, const std::string& path);

}  // namespace knit
