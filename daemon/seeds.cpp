#include "daemon/seeds.h"

#include <algorithm>

#include "daemon/address.h"
#include "daemon/log.h"

namespace knit {

namespace {

constexpr Millis first_retry{1000};
constexpr Millis known_again{30'000};

}  // namespace

// Lives until libuv is done with it, whatever became of the seeds.
struct Lookup {
  uv_getaddrinfo_t request{};
  Seeds* seeds{};  // Null: they are gone.
  Seeds::Name* name{};
};

Seeds::Seeds(uv_loop_t* loop, const std::vector<std::string>& texts, bool ipv6) : loop_(loop), ipv6_(ipv6) {
  for (const std::string& text : texts) {
    if (const auto address = parse_address(text)) {
      numeric_.insert(to_string(*address));
      continue;
    }
    const std::size_t colon = text.rfind(':');
    auto name = std::make_unique<Name>();
    name->host = text.substr(0, colon);
    name->port = text.substr(colon + 1);
    names_.push_back(std::move(name));
  }
}

Seeds::~Seeds() {
  for (const auto& name : names_) {
    if (name->lookup == nullptr) continue;
    name->lookup->seeds = nullptr;
    uv_cancel(reinterpret_cast<uv_req_t*>(&name->lookup->request));
  }
}

std::set<std::string> Seeds::addresses() const {
  std::set<std::string> out = numeric_;
  for (const auto& name : names_) out.insert(name->found.begin(), name->found.end());
  return out;
}

void Seeds::on_tick(Millis now) {
  for (const auto& name : names_) {
    if (name->lookup == nullptr && now >= name->next) look_up(*name, now);
  }
}

void Seeds::look_up(Name& name, Millis now) {
  name.delay = std::clamp(2 * name.delay, first_retry, known_again);
  name.next = now + name.delay;
  auto lookup = std::make_unique<Lookup>();
  lookup->seeds = this;
  lookup->name = &name;
  lookup->request.data = lookup.get();
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_family = ipv6_ ? AF_INET6 : AF_INET;
  const auto on_done = [](uv_getaddrinfo_t* request, int status, addrinfo* first) {
    const std::unique_ptr<Lookup> owned(static_cast<Lookup*>(request->data));
    if (owned->seeds != nullptr) owned->seeds->on_found(*owned->name, status, first);
    uv_freeaddrinfo(first);
  };
  const int status =
      uv_getaddrinfo(loop_, &lookup->request, on_done, name.host.c_str(), name.port.c_str(), &hints);
  if (status == 0) name.lookup = lookup.release();  // Now the callback's.
}

// What was known stays known while a name server is away.
void Seeds::on_found(Name& name, int status, const addrinfo* first) {
  name.lookup = nullptr;
  const bool failed = status != 0;
  if (failed != name.failed) {
    log(failed ? LogLevel::warning : LogLevel::info,
        "seed " + name.host + ":" + name.port +
            (failed ? ": " + std::string(uv_strerror(status)) + "; trying again" : " was found"));
  }
  name.failed = failed;
  if (failed) return;
  name.delay = known_again;
  name.next += known_again;
  name.found.clear();
  for (const addrinfo* each = first; each != nullptr && name.found.size() < addresses_per_name_max;
       each = each->ai_next) {
    sockaddr_storage storage{};
    std::copy_n(reinterpret_cast<const char*>(each->ai_addr), each->ai_addrlen,
                reinterpret_cast<char*>(&storage));
    if (const auto address = from_sockaddr(storage)) name.found.insert(to_string(*address));
  }
}

}  // namespace knit
