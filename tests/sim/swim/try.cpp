#pragma GCC diagnostic ignored "-Wmisleading-indentation"
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "world.h"
using namespace knit;
using namespace knit::swim_sim;
using namespace std::chrono_literals;
static WorldOptions opt(size_t n, uint64_t seed) {
  WorldOptions o;
  o.seed = seed;
  o.audit = false;
  for (char* e = getenv("O"); e && *e;) {
    char k[64];
    double v;
    int c;
    if (sscanf(e, "%63[a-z_]=%lf%n", k, &v, &c) < 2) break;
    e += c;
    if (*e == ',') ++e;
    if (!strcmp(k, "shortest")) o.swim.suspicion.shortest = Millis((int)v);
    if (!strcmp(k, "factor")) o.swim.suspicion.longest_factor = (int)v;
    if (!strcmp(k, "confirm")) o.swim.suspicion.confirmations = (int)v;
    if (!strcmp(k, "helpers")) o.swim.helpers = (int)v;
    if (!strcmp(k, "repings")) o.swim.repings = (int)v;
    if (!strcmp(k, "times")) o.swim.gossip_times = v;
    if (!strcmp(k, "fanout")) o.swim.gossip_fanout = (int)v;
    if (!strcmp(k, "latency")) o.latency.median = Micros((int)(v * 1000));
    if (!strcmp(k, "links")) o.links_most = (int)v;
  }
  (void)n;
  return o;
}
static double secs(Micros t) { return t.count() / 1e6; }
static void stats(const char* what, std::vector<double> v) {
  std::sort(v.begin(), v.end());
  printf("%s: n %zu median %.2f p90 %.2f p99 %.2f worst %.2f\n", what, v.size(), v[v.size() / 2],
         v[v.size() * 9 / 10], v[std::min(v.size() - 1, v.size() * 99 / 100)], v.back());
  fflush(stdout);
}
struct W {
  World w;
  Hosts all;
  W(size_t n, uint64_t s, bool known = true) : w(opt(n, s)) {
    for (size_t i = 0; i < n; ++i) all.push_back(w.add_host());
    if (known) w.start_known(all);
  }
};
int main(int argc, char** argv) {
  (void)argc;
  std::string m = argv[1];
  size_t n = atoi(argv[2]);
  int k = atoi(argv[3]);
  uint64_t seed = argc > 4 ? atoi(argv[4]) : 1;
  if (m == "crash") {
    W x(n, seed);
    World& w = x.w;
    w.run_until(5s);
    std::vector<double> v, tags, joins;
    size_t e0 = 0;
    for (int i = 0; i < k; ++i) {
      Host h = (i * 7 + 3) % n;
      w.run_for(Micros(1000 * (i * 137 % 500)));
      auto t = w.now();
      w.crash(h);
      bool ok = w.run_until_true([&] { return w.all_know(h, MemberState::dead); }, t + 60s);
      v.push_back(ok ? secs(w.now() - t) : 99);
      w.run_for(1s);
      w.start(h);
      w.run_for(3s);
      (void)e0;
      if (i % 10 == 9) fprintf(stderr, "%d %.2f\n", i, v.back());
    }
    stats("crash", v);
    printf("false %zu\n", w.false_failures());
  }
  if (m == "tag") {
    W x(n, seed);
    World& w = x.w;
    w.run_until(5s);
    std::vector<double> v;
    for (int i = 0; i < k; ++i) {
      Host h = (i * 7 + 3) % n;
      w.run_for(Micros(1000 * (i * 137 % 500)));
      auto t = w.now();
      w.set_tag(h, "zone", std::to_string(i));
      bool ok = w.run_until_true([&] { return w.all_know_newest(h); }, t + 60s, 1ms);
      v.push_back(ok ? secs(w.now() - t) : 99);
      w.run_for(2s);
    }
    stats("tag", v);
  }
  if (m == "loss") {
    std::vector<double> v;
    double p = atof(argv[5]) / 100;
    double pk = 0;
    for (int i = 0; i < k; ++i) {
      W x(n, seed + i);
      World& w = x.w;
      w.run_until(5s);
      w.add_rule({Network::Fault::loss, p, {}, {}, true});
      w.run_for(120s);
      v.push_back(w.false_failures());
      for (auto h : x.all) pk += w.host(h).datagrams / 125.0 / n / k;
    }
    printf("packets/s %.1f ", pk);
    stats("loss false", v);
  }
  if (m == "pause") {
    std::vector<double> v;
    for (int i = 0; i < k; ++i) {
      W x(n, seed + i);
      World& w = x.w;
      w.run_until(5s);
      for (int r = 0; r < 13; ++r) {
        for (Host h = 0; h < 5; ++h) w.pause(h);
        w.run_for(8s);
        for (Host h = 0; h < 5; ++h) w.resume(h);
        w.run_for(1s);
      }
      v.push_back(w.false_failures());
    }
    stats("pause false", v);
  }
  if (m == "join") {
    std::vector<double> v;
    for (int i = 0; i < k; ++i) {
      W x(n, seed + i, false);
      World& w = x.w;
      for (Host h : x.all) w.start(h);
      bool ok = w.run_until_true([&] { return w.all_know_each_other(); }, 60s, 20ms);
      v.push_back(ok ? secs(w.now()) : 99);
      double d = 0, l = 0, c = 0;
      for (auto h : x.all) {
        d += w.host(h).bytes;
        l += w.host(h).link_bytes;
        c += w.host(h).swim->counters().comparisons;
      }
      printf(
          "join %.2f datagram kB/node %.1f link kB/node %.1f seed link MB %.1f events %llu comparisons "
          "%.1f\n",
          v.back(), d / n / 1e3, l / n / 1e3, w.host(0).link_bytes / 1e6, (unsigned long long)w.events(),
          c / n);
    }
    stats("join all", v);
  }
  if (m == "joinone") {
    W x(n, seed);
    World& w = x.w;
    w.run_until(5s);
    std::vector<double> v;
    for (int i = 0; i < k; ++i) {
      Host h = w.add_host();
      auto t = w.now();
      w.start(h);
      bool ok = w.run_until_true(
          [&] { return w.all_know_newest(h) && w.host(h).swim->members().present() == w.running().size(); },
          t + 60s);
      v.push_back(ok ? secs(w.now() - t) : 99);
      w.run_for(2s);
    }
    stats("join one", v);
  }
  if (m == "part") {
    std::vector<double> v;
    for (int i = 0; i < k; ++i) {
      W x(n, seed + i);
      World& w = x.w;
      w.run_until(5s);
      Hosts a, b;
      for (auto h : x.all) (h < n / 2 ? a : b).push_back(h);
      auto r = w.add_rule({Network::Fault::cut, 1, a, b, true});
      w.run_for(Micros((long)(atof(argv[5]) * 1e6)));
      w.remove_rule(r);
      auto t = w.now();
      bool ok =
          w.run_until_true([&] { return w.all_know_each_other() && w.all_lists_equal(); }, t + 120s, 20ms);
      v.push_back(ok ? secs(w.now() - t) : 999);
      printf("heal %.2f\n", v.back());
      fflush(stdout);
    }
    stats("heal", v);
  }
}
