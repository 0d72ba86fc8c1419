// What encryption costs: datagrams a second sealed and opened, and MB/s through a stream, on one core.
#include <sodium.h>

#include <algorithm>
#include <string>

#include "base/check.h"
#include "gossip/datagram_seal.h"
#include "gossip/sealed_stream.h"
#include "report.h"

using namespace knit;

namespace {

constexpr int datagrams = 200'000;
constexpr std::size_t stream_bytes = std::size_t{256} << 20;
constexpr std::size_t write_bytes = 256 << 10;  // As the daemon writes, and
constexpr std::size_t read_bytes = 64 << 10;    // as it reads.

DatagramSeal seal_of(std::uint64_t node, const KeyRing* ring) {
  DatagramOptions options;
  options.node = {node};
  options.generation = 1;
  options.cluster = std::string(16, 'c');
  return {options, ring};
}

void prove(DatagramSeal& from, DatagramSeal& to) {
  const auto challenge = to.open(*from.seal({}, ""), "", Millis(0));
  const auto response = from.open(std::get<DatagramChallenge>(challenge).datagram, "", Millis(0));
  check(std::holds_alternative<DatagramProven>(
      to.open(std::get<DatagramResponse>(response).datagram, "", Millis(0))));
}

void bench_datagrams(const KeyRing* ring, std::size_t plaintext_bytes) {
  DatagramSeal a = seal_of(1, ring);
  DatagramSeal b = seal_of(2, ring);
  prove(a, b);
  const std::string plaintext(plaintext_bytes, 'x');
  std::vector<std::string> sent;
  sent.reserve(datagrams);
  const bench::Stopwatch sealing;
  for (int i = 0; i < datagrams; ++i) sent.push_back(*a.seal({}, plaintext));
  const double sealed_in = sealing.seconds();
  const bench::Stopwatch opening;
  for (const std::string& datagram : sent) {
    check(std::holds_alternative<DatagramOpened>(b.open(datagram, "", Millis(0))));
  }
  const double opened_in = opening.seconds();
  const std::string where = std::string("\"mode\":\"") + (ring != nullptr ? "sealed" : "plain") +
                            "\",\"plaintext_bytes\":" + std::to_string(plaintext_bytes);
  bench::report("seal", where, "datagrams_sealed", datagrams / sealed_in, "1/s");
  bench::report("seal", where, "datagrams_opened", datagrams / opened_in, "1/s");
}

void meet(SealedStream& a, SealedStream& b) {
  for (int i = 0; i < 2; ++i) {
    const std::string to_b = a.take_output();
    const std::string to_a = b.take_output();
    b.feed(to_b);
    a.feed(to_a);
    check(a.next().has_value());
    check(b.next().has_value());
  }
  check(a.established() && b.established());
}

void bench_stream(const KeyRing* ring) {
  SealedStream a({true, {3, 3}}, ring);
  SealedStream b({false, {3, 3}}, ring);
  meet(a, b);
  const std::string plaintext(write_bytes, 'x');
  double sealing = 0;
  double opening = 0;
  std::size_t received = 0;
  for (std::size_t sent = 0; sent < stream_bytes; sent += write_bytes) {
    const bench::Stopwatch seal_watch;
    std::string out;
    a.seal(plaintext, out);
    sealing += seal_watch.seconds();
    const bench::Stopwatch open_watch;
    for (std::size_t at = 0; at < out.size(); at += read_bytes) {
      b.feed(std::string_view(out).substr(at, read_bytes));
      for (auto next = b.next(); *next; next = b.next()) received += (*next)->size();
    }
    opening += open_watch.seconds();
  }
  check(received == stream_bytes);
  const std::string where = std::string("\"mode\":\"") + (ring != nullptr ? "sealed" : "plain") + "\"";
  bench::report("seal", where, "stream_sealed", stream_bytes / sealing / 1e6, "MB/s");
  bench::report("seal", where, "stream_opened", stream_bytes / opening / 1e6, "MB/s");
}

}  // namespace

int main() {
  check(sodium_init() >= 0);
  const KeyRing ring = *KeyRing::make({SecretKey::random()});
  for (const KeyRing* each : {&ring, static_cast<const KeyRing*>(nullptr)}) {
    for (const std::size_t bytes : {32U, 1200U}) bench_datagrams(each, bytes);
    bench_stream(each);
  }
}
