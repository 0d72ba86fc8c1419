// Rows from peers and from the disk: all readers of a body agree, what decodes is canonical, and merging is
// what makes replicas converge.
#include <optional>

#include "crdt/row_body.h"
#include "tests/fuzz/fuzz.h"

using namespace knit;

namespace {

RegisterRow merged(RegisterRow a, const RegisterRow& b) {
  a.merge(b);
  return a;
}

std::uint64_t highest_shown(const RegisterRow& row, ActorId actor) {
  std::uint64_t highest = 0;
  const auto note = [&](Dot dot) {
    if (dot.actor == actor) highest = std::max(highest, dot.sequence);
  };
  for (const Sibling& sibling : row.siblings()) note(sibling.dot);
  for (const Component& component : row.counter().components()) note(component.last_dot());
  return highest;
}

// Readers that look at a part of the body only.
void compare_readers(std::string_view body, const RowBody& whole) {
  check(encode_body(whole.name, whole.row) == body, "equal rows are equal bytes");
  const auto heads = decode_body_heads(body);
  check(heads && heads->row.siblings().size() == whole.row.siblings().size() &&
            heads->row.version() == whole.row.version(),
        "the heads are those of the row");
  const auto version = decode_body_version(body);
  check(version && *version == whole.row.version(), "the version is that of the row");
  const auto name = decode_body_name(body);
  check(name && *name == whole.name, "the name is that of the row");
  if (const auto only = decode_only_sibling(body)) {
    check(whole.row.siblings().size() == 1 && whole.row.counter().empty(), "a row of one sibling");
    const Sibling& sibling = whole.row.siblings().front();
    check(only->content == sibling.content && only->expiry == sibling.expiry && only->value == sibling.value,
          "the only sibling is that of the row");
  }
  if (whole.row.empty()) return;
  const ActorId actor = whole.row.counter().empty() ? whole.row.siblings().front().dot.actor
                                                    : whole.row.counter().components().front().created.actor;
  check(shown_sequence(body, actor) == highest_shown(whole.row, actor),
        "the highest sequence is that of the row");
}

std::optional<RegisterRow> read_row(std::string_view body) {
  const auto whole = decode_body(body);
  decode_only_sibling(body);
  shown_sequence(body, ActorId{1});
  check(decode_body_heads(body).has_value() == whole.has_value(), "heads are malformed as the row is");
  check(decode_body_version(body).has_value() == whole.has_value(), "a version is malformed as the row is");
  if (!whole) return std::nullopt;
  compare_readers(body, *whole);
  return whole->row;
}

// Whether both could have come from honest writers: a dot names one write.
bool agree(const Sibling& a, const Sibling& b) {
  if (a.dot != b.dot) return true;
  if (a.stamp != b.stamp) return false;
  if (a.content == Content::cleared || b.content == Content::cleared) return true;
  if (a.content == b.content) return a.value == b.value;
  return a.content != Content::tombstone && b.content != Content::tombstone;
}

bool agree(const RegisterRow& a, const RegisterRow& b) {
  const auto& others = b.siblings();
  return a.siblings().size() + others.size() <= siblings_max / 2 &&
         std::all_of(a.siblings().begin(), a.siblings().end(), [&](const Sibling& mine) {
           return std::all_of(others.begin(), others.end(), [&](const Sibling& s) { return agree(mine, s); });
         });
}

void compare_merges(const RegisterRow& a, const RegisterRow& b) {
  const RegisterRow ab = merged(a, b);
  check(ab == merged(b, a), "a merge commutes");
  check(ab == merged(ab, a) && ab == merged(ab, b), "a merge is idempotent");
  RegisterRow again = a;
  check(again.merge(b) == !(ab == a), "a merge tells whether it changed anything");
  check(has_news(b.version(), a.version()) == !a.version().same_state(ab.version()),
        "there is news if a merge shows something else");
  const auto reread = decode_body(encode_body({}, ab));
  check(reread && reread->row == ab, "a merged row is canonical");
}

}  // namespace

// Length, body | length, body | body
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ByteReader in(fuzz::text_of(data, size));
  const auto a = read_row(in.bytes());
  const auto b = read_row(in.bytes());
  const auto c = read_row(fuzz::rest_of(in));
  if (!a || !b || !agree(*a, *b)) return 0;
  compare_merges(*a, *b);
  if (!c || !agree(*a, *c) || !agree(*b, *c)) return 0;
  check(merged(merged(*a, *b), *c) == merged(*a, merged(*b, *c)), "a merge is associative");
  return 0;
}
