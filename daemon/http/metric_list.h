// Builds metric families, so that a metric is one line of name, help and value.
#pragma once

#include <prometheus/metric_family.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/histogram.h"
#include "base/types.h"

namespace knit {

using Labels = std::vector<prometheus::ClientMetric::Label>;

class MetricList {
 public:
  // Families without a label. An empty value: the family has no sample.
  void counter(const char* name, const char* help, double value) {
    sample(open(prometheus::MetricType::Counter, name, help), {}, value);
  }
  void gauge(const char* name, const char* help, std::optional<double> value) {
    sample(open(prometheus::MetricType::Gauge, name, help), {}, value);
  }
  // Always 1; the labels tell.
  void info(const char* name, const char* help, Labels labels) {
    sample(open(prometheus::MetricType::Gauge, name, help), std::move(labels), 1);
  }
  // `per_unit`: how many of the values' units make one of the metric's.
  void histogram(const char* name, const char* help, const Histogram& values, double per_unit);

  // Families with a sample for each item: `labels` and `value` are asked of it; an empty value: no sample.
  template <class Items, class LabelsOf, class ValueOf>
  void counters(const char* name, const char* help, const Items& items, LabelsOf labels, ValueOf value) {
    samples(open(prometheus::MetricType::Counter, name, help), items, labels, value);
  }
  template <class Items, class LabelsOf, class ValueOf>
  void gauges(const char* name, const char* help, const Items& items, LabelsOf labels, ValueOf value) {
    samples(open(prometheus::MetricType::Gauge, name, help), items, labels, value);
  }

  std::vector<prometheus::MetricFamily> take() { return std::move(families_); }

 private:
  prometheus::MetricFamily& open(prometheus::MetricType type, const char* name, const char* help);
  static void sample(prometheus::MetricFamily& family, Labels labels, std::optional<double> value);
  template <class Items, class LabelsOf, class ValueOf>
  static void samples(prometheus::MetricFamily& family, const Items& items, LabelsOf labels, ValueOf value) {
    for (const auto& item : items) sample(family, labels(item), value(item));
  }

  std::vector<prometheus::MetricFamily> families_;
};

inline double seconds(Millis time) { return static_cast<double>(time.count()) / 1000; }
inline double seconds(WallTime time) { return static_cast<double>(time.millis) / 1000; }
// Of what may be unknown.
template <class Time>
std::optional<double> seconds(const std::optional<Time>& time) {
  return time ? std::optional(seconds(*time)) : std::nullopt;
}

}  // namespace knit
