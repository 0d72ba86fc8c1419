#include "daemon/redis/text.h"

#include <algorithm>
#include <charconv>

namespace knit {

namespace {

template <class T>
std::optional<T> parse_whole(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

struct Element {
  bool matches = false;
  std::size_t size = 1;  // Of the pattern.
};

// Of a class at the front of `pattern`, after its '['. One that is not closed ends with the pattern.
Element match_class(std::string_view pattern, unsigned char c) {
  std::size_t at = 0;
  const bool negated = !pattern.empty() && pattern[0] == '^';
  if (negated) at++;
  bool found = false;
  const auto take = [&] {
    if (pattern[at] == '\\' && at + 1 < pattern.size()) at++;
    return static_cast<unsigned char>(pattern[at++]);
  };
  while (at < pattern.size() && pattern[at] != ']') {
    unsigned char first = take();
    unsigned char last = first;
    if (at + 1 < pattern.size() && pattern[at] == '-') {
      at++;
      last = take();
    }
    if (first > last) std::swap(first, last);
    found = found || (c >= first && c <= last);
  }
  return {found != negated, std::min(at + 1, pattern.size())};
}

// Of whatever but a star stands at the front of `pattern`.
Element match_one(std::string_view pattern, char c) {
  if (pattern[0] == '?') return {true};
  if (pattern[0] == '[') {
    Element element = match_class(pattern.substr(1), static_cast<unsigned char>(c));
    element.size = std::min(element.size + 1, pattern.size());
    return element;
  }
  if (pattern[0] == '\\' && pattern.size() > 1) return {pattern[1] == c, 2};
  return {pattern[0] == c};
}

}  // namespace

std::string lower_case(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), to_lower);
  return lower;
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return to_lower(x) == to_lower(y); });
}

std::optional<std::int64_t> parse_integer(std::string_view text) {
  const std::string_view digits = text.starts_with('-') ? text.substr(1) : text;
  if (digits.size() > 1 && digits[0] == '0') return std::nullopt;
  if (text == "-0") return std::nullopt;
  return parse_whole<std::int64_t>(text);
}

std::optional<std::uint64_t> parse_unsigned(std::string_view text) {
  return parse_whole<std::uint64_t>(text);
}

// On a mismatch only the last star needs to be tried again, one character further on.
bool glob_matches(std::string_view pattern, std::string_view text) {
  std::size_t p = 0;
  std::size_t t = 0;
  std::optional<std::size_t> star;
  std::size_t star_text = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = ++p;
      star_text = t;
      continue;
    }
    const Element element = p < pattern.size() ? match_one(pattern.substr(p), text[t]) : Element{};
    if (element.matches) {
      p += element.size;
      t++;
    } else if (star) {
      p = *star;
      t = ++star_text;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') p++;
  return p == pattern.size();
}

bool secret_equals(std::string_view secret, std::string_view given) {
  volatile unsigned char difference = secret.size() == given.size() ? 0 : 1;
  for (std::size_t at = 0; at < given.size(); at++) {
    const char expected = secret.empty() ? '\0' : secret[at % secret.size()];
    difference = static_cast<unsigned char>(difference | (static_cast<unsigned char>(expected ^ given[at])));
  }
  return difference == 0;
}

}  // namespace knit
