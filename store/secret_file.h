// Small files that hold secrets: readable by their owner alone, written so that a power cut leaves the old
// file or the new one, and a reader sees all of it. Made by root, they belong to the owner of their
// directory. `path` with ".new" behind it is where they are made: one process at a time. not_found and io
// name the path and what the operating system says.
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

// refused: it exists already. io: nothing is left behind, unless it was the directory's sync that failed.
Result<void> create_secret_file(const std::string& path, std::string_view bytes, const std::string& what);

// Whether it exists or not. io: what was there before is still there, with that exception.
Result<void> replace_secret_file(const std::string& path, std::string_view bytes);

}  // namespace knit
