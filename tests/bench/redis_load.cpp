// Loads servers at a given pace and says how long each answer took: one line a sample, in nanoseconds of
// the monotonic clock. A request counts from when it was due, so that a server that stalls is not spared.
// Usage: redis_load get SERVER SECONDS GETS_PER_SECOND KEYS
//          prints "get DUE WAITED"; ends early, with what it has, on SIGINT or SIGTERM
//        redis_load lag WRITER SECONDS WRITES_PER_SECOND VALUE_BYTES KEYS PROBES_PER_SECOND READER...
//          prints "set DUE WAITED" of each write, and of each probe, a write of a key of its own,
//          "lag READER REPLIED DELAY": from the reply at the writer until that reader shows it (-1: never)
// A server is a numeric IPv4 address and a port, "127.0.0.1:6399".
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/check.h"

namespace {

using Clock = std::chrono::steady_clock;
using Time = std::chrono::nanoseconds;

constexpr Time give_up_after = std::chrono::seconds(30);
constexpr Time look_every = std::chrono::milliseconds(1);  // For a probe: as exact as a lag is measured.
constexpr std::size_t looks_at_once = 64;

std::atomic<bool> interrupted{false};

Time now() { return Clock::now().time_since_epoch(); }

void fail(const std::string& text) {
  std::fprintf(stderr, "redis_load: %s\n", text.c_str());
  std::_Exit(1);
}

// One connection. Answers are looked at as whole lines and bulk strings.
class Line {
 public:
  explicit Line(const std::string& server) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const auto colon = server.find(':');
    sockaddr_in address{};
    address.sin_family = AF_INET;
    if (colon == std::string::npos ||
        ::inet_pton(AF_INET, server.substr(0, colon).c_str(), &address.sin_addr) != 1)
      fail("not an address: " + server);
    address.sin_port = htons(static_cast<std::uint16_t>(std::atoi(server.c_str() + colon + 1)));
    if (::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
      fail("cannot connect to " + server);
    const int on = 1;
    ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  ~Line() { ::close(socket_); }
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;

  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) fail("the server does not take more");
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }

  // Waits for bytes until then. Answers whether some came.
  bool receive(Time until) {
    const Time left = std::max(until - now(), Time{0});
    const timespec limit{left.count() / 1'000'000'000, left.count() % 1'000'000'000};
    pollfd readable{socket_, POLLIN, 0};
    if (::ppoll(&readable, 1, &limit, nullptr) <= 0) return false;
    char bytes[1 << 16];
    const auto count = ::recv(socket_, bytes, sizeof bytes, 0);
    if (count <= 0) fail("the server closed the connection");
    received_.erase(0, taken_);
    taken_ = 0;
    received_.append(bytes, static_cast<std::size_t>(count));
    return true;
  }

  // Takes one answer, if it is there as a whole: whether it is a value, or OK.
  std::optional<bool> take() {
    const std::string_view rest = std::string_view(received_).substr(taken_);
    const auto end = rest.find("\r\n");
    if (end == std::string_view::npos) return std::nullopt;
    if (rest.front() == '-') fail("the server said " + std::string(rest.substr(0, end)));
    std::size_t size = end + 2;
    long bytes = 0;
    if (rest.front() == '$') {
      std::from_chars(rest.data() + 1, rest.data() + end, bytes);
      if (bytes >= 0) size += static_cast<std::size_t>(bytes) + 2;
    }
    if (rest.size() < size) return std::nullopt;
    taken_ += size;
    return bytes >= 0;
  }

 private:
  int socket_;
  std::string received_;
  std::size_t taken_ = 0;
};

std::string key_of(std::uint64_t number, const char* kind = "key") {
  char key[48];
  std::snprintf(key, sizeof key, "%s:%012llu", kind, static_cast<unsigned long long>(number));
  return key;
}

std::string bulk(std::string_view text) {
  std::string out("$");
  out.append(std::to_string(text.size())).append("\r\n").append(text).append("\r\n");
  return out;
}
std::string get_of(const std::string& key) { return "*2\r\n$3\r\nGET\r\n" + bulk(key); }
std::string set_of(const std::string& key, std::string_view value) {
  return "*3\r\n$3\r\nSET\r\n" + bulk(key) + bulk(value);
}

// Requests at even distances, as many as fit into `length`.
struct Pace {
  double per_second{};
  Time length{};
  Time begin = now();

  Time due(std::uint64_t number) const {
    return begin + Time(static_cast<std::int64_t>(1e9 * static_cast<double>(number) / per_second));
  }
  std::uint64_t count() const {
    return static_cast<std::uint64_t>(per_second * std::chrono::duration<double>(length).count());
  }
};

// Sends each request when it is due, whatever is not answered yet; `answered(number)` in order.
template <class Request, class Answered>
void run(Line& line, const Pace& pace, Request request, Answered answered) {
  std::uint64_t sent = 0;
  std::uint64_t done = 0;
  Time progress = now();
  while (done < pace.count() && !(interrupted && done == sent)) {
    std::string batch;
    while (sent < pace.count() && pace.due(sent) <= now() && !interrupted) batch += request(sent++);
    line.send(batch);
    const bool more = sent < pace.count() && !interrupted;
    if (line.receive(more ? pace.due(sent) : now() + give_up_after)) {
      for (; line.take(); ++done) answered(done);
      progress = now();
    } else if (done < sent && now() > progress + give_up_after) {
      fail("the server does not answer");
    }
  }
}

// What each answer took.
class Samples {
 public:
  explicit Samples(const Pace& pace) : pace_(pace) { waited_.reserve(pace.count()); }
  void add(std::uint64_t number) { waited_.push_back(now() - pace_.due(number)); }
  void print(const char* name) const {
    for (std::size_t i = 0; i < waited_.size(); ++i)
      std::printf("%s %lld %lld\n", name, static_cast<long long>(pace_.due(i).count()),
                  static_cast<long long>(waited_[i].count()));
  }

 private:
  const Pace& pace_;
  std::vector<Time> waited_;
};

// What a probe has seen so far; written by one thread each.
struct Probe {
  std::atomic<std::int64_t> replied{0};
  std::vector<Time> shown;  // By reader.
};

struct Probes {
  std::vector<std::unique_ptr<Probe>> all;
  std::atomic<std::size_t> sent{0};
  std::atomic<bool> over{false};
};

// Looks for every probe that was sent, until all are seen.
void watch(const std::string& server, std::size_t reader, Probes& probes) {
  Line line(server);
  std::vector<std::size_t> missing;
  std::size_t known = 0;
  Time last = now();  // That something came, or was still to come.
  for (Time next = now();; next = std::max(next + look_every, now())) {
    std::this_thread::sleep_until(Clock::time_point(next));
    const bool over = probes.over;
    for (; known < probes.sent; ++known) missing.push_back(known);
    if (over && (missing.empty() || now() > last + give_up_after)) return;
    const std::size_t count = std::min(missing.size(), looks_at_once);
    std::string batch;
    for (std::size_t i = 0; i < count; ++i) batch += get_of(key_of(missing[i], "probe"));
    line.send(batch);
    std::vector<std::size_t> still;
    for (std::size_t i = 0; i < count;) {
      const auto found = line.take();
      if (!found) {
        if (!line.receive(now() + give_up_after)) fail("a reader does not answer");
        continue;
      }
      if (*found) {
        last = probes.all[missing[i]]->shown[reader] = now();
      } else {
        still.push_back(missing[i]);
      }
      ++i;
    }
    if (!over) last = now();
    // Those not looked at come first the next time, so that one that is lost does not hide the others.
    std::vector<std::size_t> rest(missing.begin() + static_cast<std::ptrdiff_t>(count), missing.end());
    rest.insert(rest.end(), still.begin(), still.end());
    missing = std::move(rest);
  }
}

struct LagPlan {
  std::string writer;
  Pace pace;
  std::size_t value_bytes{};
  std::uint64_t keys{};
  std::uint64_t probe_every{};  // One of so many writes is a probe.
  std::vector<std::string> readers;
};

void print_lags(const Probes& probes, std::size_t readers) {
  for (std::size_t reader = 0; reader < readers; ++reader) {
    for (const auto& probe : probes.all) {
      const Time replied{probe->replied};
      const Time shown = probe->shown[reader];
      const std::int64_t delay =
          shown.count() == 0 ? -1 : std::max((shown - replied).count(), std::int64_t{0});
      std::printf("lag %zu %lld %lld\n", reader, static_cast<long long>(replied.count()),
                  static_cast<long long>(delay));
    }
  }
}

void measure_lag(LagPlan plan) {
  Probes probes;
  const std::uint64_t count = (plan.pace.count() + plan.probe_every - 1) / plan.probe_every;
  for (std::uint64_t i = 0; i < count; ++i) {
    probes.all.push_back(std::make_unique<Probe>());
    probes.all.back()->shown.resize(plan.readers.size());
  }
  std::vector<std::jthread> threads;
  for (std::size_t i = 0; i < plan.readers.size(); ++i)
    threads.emplace_back([&, i] { watch(plan.readers[i], i, probes); });

  std::mt19937_64 random(std::random_device{}());
  std::string value(plan.value_bytes, '\0');
  Line line(plan.writer);
  plan.pace.begin = now();
  Samples samples(plan.pace);
  const auto request = [&](std::uint64_t number) {
    for (char& byte : value) byte = static_cast<char>(random());
    if (number % plan.probe_every != 0) return set_of(key_of(random() % plan.keys), value);
    probes.sent = number / plan.probe_every + 1;
    return set_of(key_of(number / plan.probe_every, "probe"), value);
  };
  run(line, plan.pace, request, [&](std::uint64_t number) {
    samples.add(number);
    if (number % plan.probe_every == 0) probes.all[number / plan.probe_every]->replied = now().count();
  });
  probes.over = true;
  threads.clear();
  samples.print("set");
  print_lags(probes, plan.readers.size());
}

void measure_gets(const std::string& server, Pace pace, std::uint64_t keys) {
  std::mt19937_64 random(std::random_device{}());
  Line line(server);
  pace.begin = now();
  Samples samples(pace);
  run(
      line, pace, [&](std::uint64_t) { return get_of(key_of(random() % keys)); },
      [&](std::uint64_t number) { samples.add(number); });
  samples.print("get");
}

// The load sleeps most of the time; when it is due it must not wait for the servers it measures.
void go_first() {
  sched_param parameters{};
  parameters.sched_priority = 1;
  if (::sched_setscheduler(0, SCHED_FIFO, &parameters) != 0)
    std::fprintf(stderr, "redis_load: without real-time priority, it is part of what it measures\n");
}

}  // namespace

int main(int count, char** words) {
  const std::vector<std::string> arguments(words + 1, words + count);
  const auto number = [&](std::size_t index) { return std::atof(arguments[index].c_str()); };
  const auto whole = [&](std::size_t index) { return static_cast<std::uint64_t>(number(index)); };
  const bool get = arguments.size() == 5 && arguments[0] == "get";
  const bool lag = arguments.size() > 7 && arguments[0] == "lag";
  if (!get && !lag) fail("see the head of its source");
  for (const int signal : {SIGINT, SIGTERM}) std::signal(signal, [](int) { interrupted = true; });
  const Time length(static_cast<std::int64_t>(1e9 * number(2)));
  go_first();
  if (get) {
    measure_gets(arguments[1], Pace{number(3), length}, whole(4));
  } else {
    measure_lag({arguments[1],
                 Pace{number(3), length},
                 whole(4),
                 whole(5),
                 std::max<std::uint64_t>(static_cast<std::uint64_t>(number(3) / number(6)), 1),
                 {arguments.begin() + 7, arguments.end()}});
  }
  return 0;
}
