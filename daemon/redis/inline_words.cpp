#include "daemon/redis/inline_words.h"

#include "base/bytes.h"

namespace knit {

namespace {

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

class Splitter {
 public:
  explicit Splitter(std::string_view line) : rest_(line) {}

  std::optional<std::vector<std::string>> run() {
    std::vector<std::string> words;
    while (skip_spaces()) {
      if (!word(words.emplace_back())) return std::nullopt;
    }
    return words;
  }

 private:
  bool skip_spaces() {
    while (!rest_.empty() && is_space(rest_[0])) rest_.remove_prefix(1);
    return !rest_.empty();
  }

  char take() {
    const char c = rest_[0];
    rest_.remove_prefix(1);
    return c;
  }

  bool word(std::string& out) {
    while (!rest_.empty() && !is_space(rest_[0])) {
      const char c = take();
      if (c == '"' || c == '\'') return quoted(c, out);
      out.push_back(c);
    }
    return true;
  }

  bool quoted(char quote, std::string& out) {
    while (!rest_.empty()) {
      const char c = take();
      if (c == quote) return rest_.empty() || is_space(rest_[0]);
      if (c == '\\' && !rest_.empty() && (quote == '"' || rest_[0] == '\'')) {
        out.push_back(escaped());
      } else {
        out.push_back(c);
      }
    }
    return false;
  }

  char escaped() {
    std::string byte;
    if (rest_[0] == 'x' && rest_.size() >= 3 && from_hex(rest_.substr(1, 2), byte)) {
      rest_.remove_prefix(3);
      return byte[0];
    }
    switch (const char c = take()) {
      case 'n': return '\n';
      case 'r': return '\r';
      case 't': return '\t';
      case 'b': return '\b';
      case 'a': return '\a';
      default: return c;
    }
  }

  std::string_view rest_;
};

}  // namespace

std::optional<std::vector<std::string>> split_inline(std::string_view line) { return Splitter(line).run(); }

}  // namespace knit
