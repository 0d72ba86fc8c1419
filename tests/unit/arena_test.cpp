#include "base/arena.h"

#include <catch2/catch.hpp>
#include <cstdint>
#include <cstring>
#include <set>
#include <utility>
#include <vector>

using namespace knit;

TEST_CASE("pieces of an arena are aligned and do not overlap") {
  Arena arena;
  std::vector<std::pair<unsigned char*, std::size_t>> pieces;
  for (const std::size_t bytes : {1, 7, 1000, 5000, 70'000, 3, 3'000'000, 60'000, 1}) {
    for (const std::size_t alignment : {1, 8, 16}) {
      void* memory = arena.allocate(bytes, alignment);
      CHECK(reinterpret_cast<std::uintptr_t>(memory) % alignment == 0);
      std::memset(memory, static_cast<int>(pieces.size()), bytes);
      pieces.emplace_back(static_cast<unsigned char*>(memory), bytes);
    }
  }
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const auto [memory, bytes] = pieces[i];
    CHECK(std::vector(memory, memory + bytes) == std::vector(bytes, static_cast<unsigned char>(i)));
  }
}

TEST_CASE("an arena takes what was prepared, and the next one finds it again") {
  release_arena_memory();
  const auto fill = [] {
    Arena arena;
    std::set<const void*> huge;
    // Wherever malloc puts a chunk, none of these begins where a huge page would.
    constexpr std::size_t piece = 60'000;
    for (std::size_t bytes = 0; bytes < 6 * huge_page_bytes; bytes += piece) {
      auto* memory = static_cast<char*>(arena.allocate(piece, 1));
      *memory = 1;
      if (reinterpret_cast<std::uintptr_t>(memory) % huge_page_bytes == 0) huge.insert(memory);
    }
    return huge;
  };
  CHECK(fill().empty());
  prepare_arena_memory(2 * huge_page_bytes);
  const auto first = fill();
  CHECK(first.size() == 2);
  CHECK(fill() == first);
  prepare_arena_memory(3 * huge_page_bytes);
  CHECK(fill().size() == 3);
  release_arena_memory();
  CHECK(fill().empty());
  release_arena_memory();
}
