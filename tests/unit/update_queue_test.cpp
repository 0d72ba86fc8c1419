#include "gossip/update_queue.h"

#include <catch2/catch.hpp>

#include "base/bytes.h"

using namespace knit;
using Urgency = UpdateQueue::Urgency;

namespace {

std::vector<std::string> taken(UpdateQueue& queue, std::size_t budget) {
  std::string bytes;
  queue.take(budget, bytes);
  CHECK(bytes.size() <= budget);
  std::vector<std::string> out;
  ByteReader in(bytes);
  while (in.left() > 0) out.emplace_back(in.bytes());
  CHECK(in.done());
  return out;
}

using Updates = std::vector<std::string>;

}  // namespace

TEST_CASE("news is told as often as it should be, and then no more") {
  UpdateQueue queue(10);
  queue.put({1}, "a", Urgency::normal, 3);
  for (int i = 0; i < 3; ++i) CHECK(taken(queue, 100) == Updates{"a"});
  CHECK(taken(queue, 100).empty());
  CHECK(queue.empty());
}

TEST_CASE("news is told once at least") {
  UpdateQueue queue(10);
  queue.put({1}, "a", Urgency::normal, 0);
  CHECK(taken(queue, 100) == Updates{"a"});
  CHECK(queue.empty());
}

TEST_CASE("newer news of a subject takes the place of older, and is told anew") {
  UpdateQueue queue(10);
  queue.put({1}, "old", Urgency::normal, 2);
  CHECK(taken(queue, 100) == Updates{"old"});
  queue.put({1}, "new", Urgency::normal, 2);
  CHECK(queue.size() == 1);
  CHECK(taken(queue, 100) == Updates{"new"});
  CHECK(taken(queue, 100) == Updates{"new"});
  CHECK(queue.empty());
}

TEST_CASE("refutations go first, then what was told least, then what is newest") {
  UpdateQueue queue(10);
  queue.put({1}, "told", Urgency::normal, 9);
  CHECK(taken(queue, 100) == Updates{"told"});
  queue.put({2}, "older", Urgency::normal, 9);
  queue.put({3}, "newer", Urgency::normal, 9);
  queue.put({4}, "urgent", Urgency::first, 9);
  CHECK(taken(queue, 100) == Updates{"urgent", "newer", "older", "told"});
}

TEST_CASE("what does not fit waits for the next packet") {
  UpdateQueue queue(10);
  queue.put({1}, std::string(50, 'a'), Urgency::normal, 1);
  queue.put({2}, std::string(50, 'b'), Urgency::normal, 1);
  CHECK(taken(queue, 50).empty());
  CHECK(taken(queue, 101) == Updates{std::string(50, 'b')});
  CHECK(taken(queue, 51) == Updates{std::string(50, 'a')});
}

TEST_CASE("an update with a length of two bytes fits just") {
  UpdateQueue queue(10);
  queue.put({1}, std::string(128, 'a'), Urgency::normal, 1);
  CHECK(taken(queue, 129).empty());
  CHECK(taken(queue, 130).size() == 1);
}

TEST_CASE("a full queue loses what was told most often") {
  UpdateQueue queue(2);
  queue.put({1}, "told", Urgency::normal, 9);
  (void)taken(queue, 100);
  queue.put({2}, "fresh", Urgency::normal, 9);
  queue.put({3}, "newest", Urgency::normal, 9);
  CHECK(queue.size() == 2);
  CHECK(taken(queue, 100) == Updates{"newest", "fresh"});
}

TEST_CASE("in a full queue a subject may be told of anew, and a refutation stays") {
  UpdateQueue queue(2);
  queue.put({1}, "mine", Urgency::first, 9);
  queue.put({2}, "old", Urgency::normal, 9);
  queue.put({2}, "new", Urgency::normal, 9);
  queue.put({3}, "other", Urgency::normal, 9);
  CHECK(taken(queue, 100) == Updates{"mine", "other"});
}

TEST_CASE("dropped news is not told") {
  UpdateQueue queue(2);
  queue.put({1}, "a", Urgency::normal, 9);
  queue.drop({1});
  queue.drop({2});
  CHECK(queue.empty());
  CHECK(taken(queue, 100).empty());
}
