// Words of inline commands, glob patterns and integers, as people type them.
#include "daemon/redis/inline_words.h"
#include "daemon/redis/text.h"
#include "tests/fuzz/fuzz.h"

using namespace knit;

namespace {

std::string quoted(std::string_view word) {
  std::string out = "\"";
  for (const char byte : word) out += "\\x" + to_hex({&byte, 1});
  return out + "\"";
}

void take_words(std::string_view line) {
  const auto words = split_inline(line);
  if (!words) return;
  std::string again;
  for (const std::string& word : *words) again += quoted(word) + " ";
  check(split_inline(again) == words, "words come back when they are quoted");
}

void take_pattern(std::string_view pattern, std::string_view text) {
  const bool matches = glob_matches(pattern, text);
  const std::string starred = "*" + std::string(pattern);
  check(!matches || glob_matches(starred, text), "a star before a pattern takes nothing away");
  std::string exactly;
  for (const char c : text) exactly += {'\\', c};
  check(glob_matches(exactly, text), "a text matches itself, escaped");
}

void take_number(std::string_view text) {
  if (const auto number = parse_integer(text))
    check(std::to_string(*number) == text, "an integer has one form");
  const auto number = parse_unsigned(text);
  if (number) check(parse_unsigned(std::to_string(*number)) == number, "a number comes back");
}

}  // namespace

// Length, pattern | text
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ByteReader in(fuzz::text_of(data, size));
  const std::string_view pattern = in.bytes();
  const std::string_view text = fuzz::rest_of(in);
  take_words(text);
  take_pattern(pattern, text);
  take_number(text);
  return 0;
}
