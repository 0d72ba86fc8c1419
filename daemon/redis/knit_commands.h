// KNIT: what Redis has no word for. The `knit` program is a client of these replies, so they are a
// contract. Maps are RESP3 maps, or flat arrays of name, value in RESP2. Names may be added, none
// goes away. Flags are integers, 0 or 1; times "_ms" are milliseconds since 1970, lengths of time
// say so; digests are 32 hex digits, nodes and actors 16.
//
//   STATUS               map: node, actor, name, address, cluster, version, uptime_ms, in_sync,
//   tree_complete,
//                        tree_fraction (text), root, rows, keys, has_space, damaged_rows, bytes_on_disk,
//                        pending_bytes, clients, exchanges, comparison_bytes_sent,
//                        comparison_bytes_received, row_bytes_sent, row_bytes_received, rows_sent,
//                        rows_received, rows_changed, peers (array of peer), last_exchanges (array of report)
//     peer               node, actor, name, address, version, reachable, since_ms, round_trip_us (-1:
//     unknown),
//                        tree_complete, equal, clock_equal, last_equal_ms (0: never), root, keys,
//                        exchange_progress (text, empty: none runs), rows_sent, rows_received (of that one)
//     report             peer, peer_name, outcome, error, initiated, duration_ms, ended_ms, messages,
//                        comparison_bytes, row_bytes, rows_sent, rows_received, rows_changed
//   MEMBERS              array, this node first: node, name, address, version, state ("self",
//                        "reachable", "unreachable"), since_ms, round_trip_us (-1: unknown), root, equal
//   DIFF peer [LIMIT n]  map: peer, found, listed, outcome, comparison_bytes, messages, duration_ms,
//                        differences (array of: key, row_key_hex, mine, theirs). Changes nothing.
//     mine, theirs       null, or a map: state ("value", "tombstone", "expired", "cleared"), stamp_ms,
//                        stamp_counter, value_bytes, dots ("actor:sequence,...")
//   REPAIR [peer | ALL]  array of report, one a peer; ALL: of all reachable ones. An `error` of ALL is in its
//                        report, else it is the reply.
//   VERIFY               map: rows, damaged_rows, wrong_leaves, duration_ms, damaged_keys (array),
//                        scrub_on, scrub_progress (text), scrub_ended_ms (0: never; of the last pass,
//                        as the rest), scrub_rows, scrub_damaged_rows, scrub_wrong_leaves
//   SIBLINGS key         map: key, siblings (array, the winner first, of: winner, state ("value",
//                        "tombstone", "expired"), stamp_ms, stamp_counter, dot, expires_ms (-1: never),
//                        value or null)
//   ISOLATE peer|ALL ON|OFF   OK. Only with debug commands: drops everything to and from the peer.
//
// DIFF, REPAIR and VERIFY are answered when they are done; later commands of the connection wait.
#pragma once

#include <string_view>
#include <vector>

#include "daemon/redis/reply.h"
#include "node/node.h"

namespace knit {

struct StatusExtras {
  std::uint64_t clients{};
  Millis uptime{};
  WallTime started;
};
void write_status(Reply reply, const Node& node, const NodeStatus& status, const StatusExtras& extras);
void write_members(Reply reply, const Node& node, const NodeStatus& status, const StatusExtras& extras);
void write_report(Reply reply, const ExchangeReport& report);
void write_diff(Reply reply, const JobDone& done, std::size_t limit);
void write_verification(Reply reply, const Store::Verification& verification, const ScrubStatus& scrub,
                        Millis duration);
void write_siblings(Reply reply, std::string_view key, const std::vector<Sibling>& siblings);

}  // namespace knit
