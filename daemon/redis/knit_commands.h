// KNIT: what Redis has no word for. The `knit` program is a client of these replies, so they are a
// contract: docs/protocol.md, part 2, tells every field of them. Names may be added, none goes away.
//
// DIFF, REPAIR and VERIFY are answered when they are done; later commands of the connection wait.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/redis/reply.h"
#include "node/node.h"

namespace knit {

struct StatusExtras {
  std::uint64_t clients{};
  Millis uptime{};
};
void write_status(Reply reply, const Node& node, const NodeStatus& status, const StatusExtras& extras);
// `status` tells what is known of the members' data.
void write_members(Reply reply, const std::vector<MemberStatus>& members, const NodeStatus& status);
void write_tags(Reply reply, const std::map<std::string, std::string>& tags);
void write_lags(Reply reply, const NodeStatus& status);
void write_hints(Reply reply, const NodeStatus& status);
void write_report(Reply reply, const ExchangeReport& report);
void write_diff(Reply reply, const JobDone& done, std::size_t limit);
void write_verification(Reply reply, const Store::Verification& verification, const ScrubStatus& scrub,
                        Millis duration);
void write_conflicts(Reply reply, const Conflicts& conflicts, std::size_t limit);
void write_siblings(Reply reply, std::string_view key, const std::vector<Sibling>& siblings);

void knit_keys(struct Call& call);  // knit_key_commands.cpp

}  // namespace knit
