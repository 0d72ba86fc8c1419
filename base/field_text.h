// The text of our small files: one "name = value" a line. Comments (#) and empty lines are skipped; the first
// field is the format, because a newer one may have other fields.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace knit {

struct TextField {
  std::string_view name;
  std::string_view value;
  std::size_t line{};
};

// The fields behind the format, as views into `text`. `path` is for messages. wrong_format: another format
// than 1, written by a newer knit; bad_input: with the file and the line.
Result<std::vector<TextField>> parse_fields(std::string_view text, const std::string& path);

tl::unexpected<Error> bad_line(const std::string& path, std::size_t line, const std::string& what);

}  // namespace knit
