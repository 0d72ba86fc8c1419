// The pending layer's map, beside a std::map.
#include "store/changes.h"

#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <string>

#include "base/hash.h"

using namespace knit;

namespace {

using Model = std::map<std::string, std::optional<std::string>, std::less<>>;

void check_same(const Changes& changes, const Model& model, std::mt19937_64& random) {
  REQUIRE(changes.size() == model.size());
  auto place = changes.begin();
  for (const auto& [key, value] : model) {
    REQUIRE(place != changes.end());
    REQUIRE((*place).key == key);
    REQUIRE((*place).value == value);
    ++place;
  }
  REQUIRE(place == changes.end());
  for (int i = 0; i < 50 && !model.empty(); ++i) {
    std::string wanted =
        std::next(model.begin(), static_cast<std::ptrdiff_t>(random() % model.size()))->first;
    if (i % 2 == 0) wanted.back() = static_cast<char>(wanted.back() + 1);
    const auto expected = model.lower_bound(wanted);
    const auto found = changes.lower_bound(wanted);
    REQUIRE((found == changes.end()) == (expected == model.end()));
    if (expected != model.end()) REQUIRE(found.key() == expected->first);
    REQUIRE(changes.find(wanted).has_value() == model.contains(wanted));
  }
}

std::string hashed(std::uint64_t number) {
  std::string key;
  ByteWriter(key).u64(siphash64(std::to_string(number), HashKey{}));
  return key + "/" + std::to_string(number);
}

// Most of them near the end of what a key can be, where a run leaves the table.
std::string crowded(std::uint64_t number) { return std::string(8, '\xff') + std::to_string(number); }

void run(Changes::Layout layout, std::string (*key_of)(std::uint64_t), std::uint64_t keys) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    INFO("seed " << seed);
    std::mt19937_64 random(seed);
    Changes changes(layout);
    Model model;
    for (int step = 0; step < 3000; ++step) {
      const std::string key = key_of(random() % keys);
      if (random() % 5 == 0) {
        changes.erase(key);
        model[key] = std::nullopt;
      } else {
        const std::string value(random() % 40, static_cast<char>('a' + random() % 26));
        changes.put(key, value);
        model[key] = value;
      }
      if (step % 500 == 0) check_same(changes, model, random);
    }
    check_same(changes, model, random);
  }
}

}  // namespace

TEST_CASE("changes are what a map would be, in its order") {
  run(Changes::Layout::spread, hashed, 2000);
  run(Changes::Layout::dense, hashed, 2000);
}

TEST_CASE("changes whose keys share their hash are in order too") {
  run(Changes::Layout::spread, crowded, 300);
  run(Changes::Layout::spread, [](std::uint64_t number) { return "k" + std::to_string(number); }, 300);
}

TEST_CASE("many changes are in order, wherever their hashes lie") {
  const auto check_all = [](std::uint64_t (*hash_of)(std::uint64_t)) {
    Changes changes(Changes::Layout::spread);
    Model model;
    for (std::uint64_t number = 0; number < 20'000; ++number) {
      std::string key;
      ByteWriter(key).u64(hash_of(number));
      key += std::to_string(number % 7);
      changes.put(key, key);
      model[key] = key;
    }
    std::mt19937_64 random(1);
    check_same(changes, model, random);
  };
  check_all([](std::uint64_t number) { return siphash64(std::to_string(number), HashKey{}); });
  check_all([](std::uint64_t number) { return number << 40; });     // In order, as from an exchange,
  check_all([](std::uint64_t number) { return ~(number << 40); });  // or against it.
  check_all([](std::uint64_t number) { return number; });           // All alike, as far as segments go.
  check_all([](std::uint64_t number) { return ~(number / 100); });  // Runs, and behind the last home.
}

TEST_CASE("a value is replaced by one of any size") {
  Changes changes(Changes::Layout::dense);
  changes.put("k", "long value");
  changes.put("k", "");
  CHECK(changes.find("k")->value == "");
  changes.put("k", "short");
  CHECK(changes.find("k")->value == "short");
  changes.erase("k");
  CHECK(changes.find("k")->value == std::nullopt);
  changes.put("k", "a much longer value than before");
  CHECK(changes.find("k")->value == "a much longer value than before");
  CHECK(changes.size() == 1);
}
