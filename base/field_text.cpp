#include "base/field_text.h"

#include <algorithm>

namespace knit {

namespace {

constexpr std::string_view format = "1";

std::string_view trim(std::string_view text) {
  constexpr std::string_view blanks = " \t\r";
  const std::size_t first = text.find_first_not_of(blanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

Result<void> check_format(const TextField& field, const std::string& path) {
  if (field.value == format) return {};
  const bool number =
      !field.value.empty() && field.value.find_first_not_of("0123456789") == std::string_view::npos;
  if (!number) return bad_line(path, field.line, "format: expected 1");
  return fail(ErrorCode::wrong_format, path + ": has format " + std::string(field.value) +
                                           ", this knit reads format 1; install a newer knit");
}

}  // namespace

tl::unexpected<Error> bad_line(const std::string& path, std::size_t line, const std::string& what) {
  return fail(ErrorCode::bad_input, path + ":" + std::to_string(line) + ": " + what);
}

Result<std::vector<TextField>> parse_fields(std::string_view text, const std::string& path) {
  std::vector<TextField> out;
  bool has_format = false;
  for (std::size_t line = 1; !text.empty(); ++line) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view content = trim(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (content.empty() || content.front() == '#') continue;
    const std::size_t equals = content.find('=');
    if (equals == std::string_view::npos) return bad_line(path, line, "expected: name = value");
    const TextField field{trim(content.substr(0, equals)), trim(content.substr(equals + 1)), line};
    if (has_format == (field.name == "format")) {
      return bad_line(path, line, "expected format once, as the first field");
    }
    if (has_format) {
      out.push_back(field);
      continue;
    }
    if (auto known = check_format(field, path); !known) return tl::unexpected(known.error());
    has_format = true;
  }
  if (!has_format) return fail(ErrorCode::bad_input, path + ": format is missing");
  return out;
}

}  // namespace knit
