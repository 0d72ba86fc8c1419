// Commands that look for keys nobody named.
#include <memory>
#include <string>
#include <utility>

#include "daemon/redis/call.h"
#include "daemon/redis/text.h"

namespace knit {

namespace {

constexpr std::size_t rows_per_step = 5'000;  // A few milliseconds, in which other clients wait.
constexpr std::size_t rows_per_look = 16;
constexpr std::size_t looks_max = 500;

// Walks as SCAN does, so a key that exists all the while is shown, once; one that comes or goes may be.
class Keys final : public Steps {
 public:
  explicit Keys(std::string pattern) : pattern_(std::move(pattern)) {}

  bool step(Call& call) override {
    auto page = call.keyspace()->scan(cursor_, rows_per_step, call.now().wall);
    if (!page) {
      call.reply.error(page.error());
      return true;
    }
    Reply found(body_, call.reply.protocol());
    for (const std::string& key : page->keys) {
      if (!glob_matches(pattern_, key)) continue;
      found.bulk(key);
      count_++;
    }
    cursor_ = page->next;
    const bool too_much = body_.size() > call.server().options.output_bytes_max;
    if (cursor_ != 0 && !too_much) return false;
    call.reply.array(count_);
    call.raw(std::move(body_));
    return true;
  }

 private:
  std::string pattern_;
  std::uint64_t cursor_ = 0;
  std::size_t count_ = 0;
  std::string body_;
};

void keys(Call& call) { call.go_on(std::make_unique<Keys>(std::string(call[1]))); }

// The next key from a random place on. Where deleted keys lie close together none may be found.
void randomkey(Call& call) {
  std::uint64_t cursor = call.server().random();
  for (std::size_t look = 0; look < looks_max; look++) {
    auto page = call.keyspace()->scan(cursor, rows_per_look, call.now().wall);
    if (!page) return call.reply.error(page.error());
    if (!page->keys.empty()) return call.bulk(std::move(page->keys.front()));
    cursor = page->next;  // 0 behind the last key, where the first one follows.
  }
  call.reply.null();
}

using namespace command_flag;
constexpr std::string_view group = "generic";

constexpr Command table[] = {
    {"keys", 2, readonly, 0, 0, 0, group, "pattern", "Returns all keys that match a glob pattern.", keys},
    {"randomkey", 1, readonly, 0, 0, 0, group, "", "Returns a key by chance.", randomkey},
};

}  // namespace

std::span<const Command> walk_commands() { return table; }

}  // namespace knit
