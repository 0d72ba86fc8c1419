// Small files that hold secrets: readable by their owner alone, written so that a power cut leaves the old
// file or the new one. not_found and io name the path and what the operating system says.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace knit {

// refused: others may read the file; bad_input: it is no file, or has more than `bytes_max` bytes; `what`
// names what should be in it ("a cluster key").
//
// A file that others may read is refused, but for one form: a file of root's that our group may only
// read, while we are not root ourselves. That is how systemd shows a credential to a service.
Result<std::string> read_secret_file(const std::string& path, std::size_t bytes_max, const std::string& what);

// refused: it exists already. io: nothing is left behind.
Result<void> create_secret_file(const std::string& path, std::string_view bytes, const std::string& what);

// Whether it exists or not. io: what was there before is still there. One process at a time: `path` with
// ".new" behind it is where the new file is made.
Result<void> replace_secret_file(const std::string& path, std::string_view bytes);

}  // namespace knit
