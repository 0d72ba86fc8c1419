#include "daemon/http/metric_list.h"

#include <cstddef>
#include <cstdint>
#include <limits>

namespace knit {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

MetricFamily& MetricList::open(MetricType type, const char* name, const char* help) {
  MetricFamily& family = families_.emplace_back();
  family.name = name;
  family.help = help;
  family.type = type;
  return family;
}

void MetricList::sample(MetricFamily& family, Labels labels, std::optional<double> value) {
  if (!value) return;
  ClientMetric& metric = family.metric.emplace_back();
  metric.label = std::move(labels);
  metric.counter.value = *value;  // Of the two the family's type decides which one is shown.
  metric.gauge.value = *value;
}

void MetricList::histogram(const char* name, const char* help, const Histogram& values, double per_unit) {
  ClientMetric::Histogram& out = open(MetricType::Histogram, name, help).metric.emplace_back().histogram;
  for (std::size_t i = 0; i < values.counts().size(); i++) {
    const bool last = i == values.bounds().size();
    const double bound = last ? std::numeric_limits<double>::infinity() : values.bounds()[i] / per_unit;
    out.sample_count += values.counts()[i];
    out.bucket.push_back({.cumulative_count = out.sample_count, .upper_bound = bound});
  }
  out.sample_sum = values.sum() / per_unit;
}

}  // namespace knit
