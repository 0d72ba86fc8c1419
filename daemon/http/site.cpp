#include "daemon/http/site.h"

#include <fmt/format.h>

#include <utility>

#include "daemon/http/metrics.h"
#include "daemon/redis/server_state.h"

namespace knit {

namespace {

constexpr const char* metrics_type = "text/plain; version=0.0.4; charset=utf-8";
constexpr const char* index_page = R"(<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>knitd</title></head>
<body>
<h1>knitd {}</h1>
<ul>
<li><a href="/metrics">/metrics</a>: what Prometheus scrapes</li>
<li><a href="/health">/health</a>: 200 while this node serves reads and writes, 503 and why when it does not</li>
</ul>
</body>
</html>
)";

}  // namespace

HttpAnswer Site::answer(std::string_view path) {
  if (path == "/metrics") return metrics();
  if (path == "/health") return health();
  if (path == "/") return index();
  return error_answer(HttpStatus::not_found);
}

HttpAnswer Site::metrics() {
  const Now now = now_();
  if (std::exchange(told_at_, now.steady) != now.steady) {
    told_ = metrics_text(metric_families(observe(server_, gossip_(), now)));
  }
  return {.type = metrics_type, .body = told_};
}

HttpAnswer Site::health() {
  const std::string trouble = trouble_();
  if (trouble.empty()) return {.body = "ok\n"};
  return {.status = HttpStatus::unavailable, .body = trouble + "\n"};
}

HttpAnswer Site::index() {
  return {.type = "text/html; charset=utf-8", .body = fmt::format(index_page, server_.options.version)};
}

}  // namespace knit
