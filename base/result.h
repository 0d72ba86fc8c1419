// How an operation that may fail says so.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace knit {

enum class ErrorCode : std::uint8_t {
  bad_input,     // Malformed, truncated or out of limits. Nothing was changed.
  not_found,     // What was named does not exist. Nothing was changed.
  conflict,      // Concurrent values must be resolved first. Nothing was changed.
  refused,       // Well formed, but not allowed here or now. Nothing was changed.
  disk_full,     // No space, or the quota is reached. Nothing was changed; reads go on.
  corrupt,       // Stored bytes fail their checksum or cannot be decoded. Nothing was changed.
  io,            // The operating system or LMDB failed; the message names the call.
  wrong_format,  // The data was written by a newer version of knit. Nothing was changed.
};

std::string_view name(ErrorCode code);

struct Error {
  ErrorCode code{};
  std::string message;  // One line, says what to do where there is something to do.
};

template <class T>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> fail(ErrorCode code, std::string message) {
  return tl::unexpected<Error>(Error{code, std::move(message)});
}

}  // namespace knit
