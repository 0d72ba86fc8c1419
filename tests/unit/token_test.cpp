#include "node/token.h"

#include <catch2/catch.hpp>

using namespace knit;

namespace {

HashKeys keys_of(std::uint8_t byte) {
  HashKeys keys;
  keys.digest.fill(byte);
  return keys;
}
const HashKeys keys = keys_of(7);

Clock clock_of(std::initializer_list<Dot> highest) {
  Clock clock;
  for (const Dot dot : highest) clock.add(dot.actor, {1, dot.sequence});
  return clock;
}

}  // namespace

TEST_CASE("a token brings back what it was made of") {
  const Clock clock = clock_of({{{1}, 5}, {{0xffffffffffffffff}, 0xffffffffffffffff}});
  CHECK(parse_token(token_text({clock, 0xfedcba98}, keys), keys) == Token{clock, 0xfedcba98});
  CHECK(parse_token(token_text({}, keys), keys) == Token{});
}

TEST_CASE("a token that names one actor fits into 32 bytes") {
  CHECK(token_text({}, keys).size() == 18);
  CHECK(token_text({clock_of({{{1}, 2'000'000}}), 1}, keys).size() <= 32);
}

TEST_CASE("a token of another cluster, a changed one and what is none are refused") {
  const std::string token = token_text({clock_of({{{1}, 5}}), 7}, keys);
  CHECK(!parse_token(token, keys_of(8)));
  for (std::size_t at = 0; at < token.size(); ++at) {
    for (const char other : {'A', '-', '!', '\0', '='}) {
      std::string changed = token;
      changed[at] = other;
      INFO(changed);
      CHECK((changed == token || !parse_token(changed, keys)));
    }
    CHECK(!parse_token(token.substr(0, at), keys));
  }
  CHECK(!parse_token(token + "A", keys));
  CHECK(!parse_token("", keys));
  CHECK(!parse_token(std::string(token_text_bytes_max + 1, 'A'), keys));
}
