// What /metrics tells: the metric families made of what is known at a moment.
//
// docs/metrics.md lists all of them; a test keeps that page and this code equal. Names begin with "knit_";
// units are seconds, bytes and ratios from 0 to 1; counters count since the start of the daemon (those of
// commands since CONFIG RESETSTAT).
//
// Nodes are called by their names in labels; with their ids where two have the same name, and by an address
// where nobody was met yet. Whatever a peer calls itself, labels are printable and differ from each other.
#pragma once

#include <prometheus/metric_family.h>

#include <cstddef>
#include <string>
#include <vector>

#include "daemon/http/metrics_source.h"

namespace knit {

// With more peers than that the rest, by name, is only counted: an answer stays small.
constexpr std::size_t metrics_peers_max = 32;

// Every family that there is, also those that have no sample at the moment.
std::vector<prometheus::MetricFamily> metric_families(const MetricsSource& source);

// The text format. Families without a sample are left out. This is most of the cost of an answer, which is
// 0.2 ms with two peers and 1 ms with metrics_peers_max.
std::string metrics_text(std::vector<prometheus::MetricFamily> families);

}  // namespace knit
