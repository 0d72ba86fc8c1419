// Two lists are made equal by comparing digests of parts of them, and then the records of the parts that
// differ.
//
// Nothing is remembered between the packets of a comparison: each says what it is about. What does not fit,
// or is lost, the next digest shows.
#include <algorithm>
#include <iterator>

#include "gossip/swim.h"

namespace knit {

namespace {

constexpr Millis comparison_interval{1000};  // With one member.
constexpr std::size_t remembered_max = 256;  // Comparisons, to keep to that.
constexpr std::uint8_t deepest = 2;
constexpr std::size_t parts_for_link = 6;       // If so many differ at depth 1, a link is the better way.
constexpr std::size_t parts_per_datagram = 14;  // With all that lies below them.
constexpr std::size_t link_bytes = 16 << 10;    // Of a packet over a link.
constexpr std::size_t datagrams_per_answer = 8;

// Others each time: parts that cannot be made equal, as in a full list, must not hide the rest for ever.
std::vector<Compare::Part> some_of(const std::vector<Compare::Part>& parts, std::mt19937_64& random) {
  std::vector<Compare::Part> some;
  std::sample(parts.begin(), parts.end(), std::back_inserter(some), parts_per_datagram, random);
  return some;
}

NodeId lowest_in(std::size_t bucket) { return {std::uint64_t{bucket} << 56}; }
NodeId highest_in(std::size_t bucket) { return {lowest_in(bucket).value | (~std::uint64_t{0} >> 8)}; }

}  // namespace

void Swim::compare_with(const Source& peer, Now now, SwimOutbox& out) {
  std::erase_if(compared_, [&](const auto& each) { return each.second + comparison_interval <= now.steady; });
  if (compared_.size() >= remembered_max || !compared_.try_emplace(peer.node, now.steady).second) return;
  ++counters_.comparisons;
  const Compare all{0, {{0, digest_of(0, 0)}}};
  send(peer, encode(peer.link ? all : parts_below(all, 1)), out);
}

std::uint32_t Swim::digest_of(std::uint8_t depth, std::size_t prefix) const {
  const std::size_t width = member_buckets >> (4 * depth);
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < width; ++i) sum += members_.digest_of_bucket(prefix * width + i);
  return static_cast<std::uint32_t>(sum);
}

// What lies below these parts, at that depth.
Compare Swim::parts_below(const Compare& differing, std::uint8_t depth) const {
  Compare out{depth, {}};
  const std::size_t width = std::size_t{1} << (4 * (depth - differing.depth));
  for (const Compare::Part& parent : differing.parts) {
    for (std::size_t i = 0; i < width; ++i) {
      const std::size_t prefix = parent.prefix * width + i;
      out.parts.push_back({static_cast<std::uint8_t>(prefix), digest_of(depth, prefix)});
    }
  }
  return out;
}

void Swim::on_compare(const Source& from, const Compare& compare, SwimOutbox& out) {
  Compare differing{compare.depth, {}};
  for (const Compare::Part& part : compare.parts) {
    if (part.digest != digest_of(compare.depth, part.prefix)) differing.parts.push_back(part);
  }
  if (differing.parts.empty()) return;
  if (compare.depth < deepest) {
    Source to = from;
    to.link = from.link || (differing.parts.size() >= parts_for_link && links_.contains(from.node));
    if (!to.link) differing.parts = some_of(differing.parts, random_);
    const auto depth = static_cast<std::uint8_t>(to.link ? deepest : compare.depth + 1);
    return send(to, encode(parts_below(differing, depth)), out);
  }
  send_parts(from, differing.parts, out);
}

// Parts beside each other share packets. Datagrams cannot hold all: they begin somewhere else each time.
void Swim::send_parts(const Source& to, std::vector<Compare::Part>& parts, SwimOutbox& out) {
  const auto start = to.link ? 0 : static_cast<std::ptrdiff_t>(random(parts.size()));
  std::rotate(parts.begin(), parts.begin() + start, parts.end());
  const std::size_t before = out.size();
  for (std::size_t first = 0, next = 0; first < parts.size(); first = next) {
    std::vector<const Member*> members;
    do {
      for (const Member& member : members_.bucket(parts[next].prefix)) members.push_back(&member);
      ++next;
    } while (next < parts.size() && parts[next].prefix == parts[next - 1].prefix + 1);
    send_records(to, lowest_in(parts[first].prefix), highest_in(parts[next - 1].prefix), true, members, out);
    if (!to.link && out.size() - before >= datagrams_per_answer) return;
  }
}

// Sends what we have between these bounds, in as many packets as it takes, each with bounds of its own. An
// answer in datagrams is cut short: what is not told still differs, and so comes the next time. `members`:
// ascending by id.
void Swim::send_records(const Source& to, NodeId low, NodeId high, bool reply,
                        const std::vector<const Member*>& members, SwimOutbox& out) const {
  const std::size_t bytes_max = to.link ? link_bytes : options_.datagram_bytes_max;
  const std::size_t packets_max = to.link ? members.size() + 1 : datagrams_per_answer;
  std::size_t packets = 0;
  std::size_t next = 0;
  while (low <= high) {
    std::string updates;
    NodeId end = high;
    for (; next < members.size(); ++next) {
      const std::string update = encode_update(*members[next]);
      if (!updates.empty() && updates.size() + update.size() + 32 > bytes_max) {
        end = {members[next]->id.value - 1};
        break;
      }
      ByteWriter(updates).bytes(update);
    }
    send(to, encode(Records{reply, low, end}) + updates, out);
    if (end == high || ++packets == packets_max) return;
    low = {end.value + 1};
  }
}

// They were taken already. What they show to be older there, or not there at all, is sent back.
void Swim::on_records(const Source& from, const Records& records, const std::vector<Update>& updates,
                      SwimOutbox& out) {
  if (!records.reply) return;
  std::map<NodeId, const Member*> theirs;
  for (const Update& update : updates) theirs.emplace(update.member.id, &update.member);
  std::vector<const Member*> newer;
  for (std::size_t bucket = records.low.value >> 56; bucket <= records.high.value >> 56; ++bucket) {
    for (const Member& mine : members_.bucket(bucket)) {
      if (mine.id < records.low || mine.id > records.high) continue;
      const auto known = theirs.find(mine.id);
      if (known == theirs.end() || supersedes(mine, *known->second)) newer.push_back(&mine);
    }
  }
  if (!newer.empty()) send_records(from, records.low, records.high, false, newer, out);
}

}  // namespace knit
