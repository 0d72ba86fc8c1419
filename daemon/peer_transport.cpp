#include "daemon/peer_transport.h"

#include <algorithm>

#include "base/check.h"
#include "daemon/log.h"
#include "daemon/peer_link.h"

namespace knit {

namespace {

constexpr int listen_backlog = 128;

}  // namespace

PeerTransport::PeerTransport(uv_loop_t* loop, PeerTransportOptions options, LinkOwner& owner, Hooks hooks)
    : loop_(loop),
      options_(std::move(options)),
      owner_(owner),
      hooks_(std::move(hooks)),
      random_(options_.seed) {}

PeerTransport::~PeerTransport() = default;

Result<void> PeerTransport::listen() {
  auto* handle = new uv_tcp_t;
  check(uv_tcp_init(loop_, handle) == 0, "a TCP handle can be made");
  handle->data = this;
  listener_.reset(handle);
  const sockaddr_storage address = to_sockaddr(options_.listen);
  const unsigned flags = is_ipv6(options_.listen) ? UV_TCP_IPV6ONLY : 0;
  int status = uv_tcp_bind(handle, reinterpret_cast<const sockaddr*>(&address), flags);
  if (status == 0) {
    status = uv_listen(reinterpret_cast<uv_stream_t*>(handle), listen_backlog,
                       [](uv_stream_t* listener, int result) {
                         auto* transport = static_cast<PeerTransport*>(listener->data);
                         if (transport != nullptr && result == 0) transport->on_connection();
                       });
  }
  if (status == 0) return {};
  listener_.reset();
  return fail(ErrorCode::refused, "cannot listen for peers on " + to_string(options_.listen) + ": " +
                                      uv_strerror(status) + "; see peer.listen and peer.port");
}

void PeerTransport::stop() {
  stopped_ = true;
  listener_.reset();
  for (auto& [id, link] : links_) link->close();
}

PeerLink& PeerTransport::add_link(bool dialed, const SocketAddress& address) {
  const LinkId id{++last_link_};
  auto link = std::make_unique<PeerLink>(*this, id, dialed, address, hooks_.now().steady);
  return *links_.emplace(id, std::move(link)).first->second;
}

PeerLink* PeerTransport::find(LinkId id) const {
  const auto found = links_.find(id);
  return found == links_.end() ? nullptr : found->second.get();
}

void PeerTransport::on_connection() {
  PeerLink& link = add_link(false, {});
  const auto accepted = link.accept(reinterpret_cast<uv_stream_t*>(listener_.get()));
  if (!accepted) return end(link, accepted.error().message);
  const auto inbound = [](const auto& each) { return !each.second->dialed(); };
  if (std::count_if(links_.begin(), links_.end(), inbound) >
      static_cast<std::ptrdiff_t>(accepted_links_max)) {
    return end(link, "too many connections");
  }
  begin(link);
}

void PeerTransport::on_connected(PeerLink& link, int status) {
  if (status != 0) return end(link, uv_strerror(status));
  begin(link);
}

void PeerTransport::begin(PeerLink& link) {
  if (auto begun = link.begin(hooks_.now().steady); !begun) end(link, begun.error().message);
}

void PeerTransport::link_up(PeerLink& link) {
  const Now now = hooks_.now();
  Outbox out;
  owner_.on_link_up(link.id(), link.dialed() ? to_string(link.address()) : "", now, out);
  hooks_.deliver(out);
}

void PeerTransport::on_message(PeerLink& link, const FrameMessage& message) {
  Outbox out;
  owner_.on_message(link.id(), static_cast<Channel>(message.channel), message.bytes, hooks_.now(), out);
  hooks_.deliver(out);
  if (!link.closed()) link.accept_peer();  // What the node does not like, it closes.
}

void PeerTransport::on_progress(PeerLink& link) { owner_.on_progress(link.id(), hooks_.now()); }

void PeerTransport::send(Send send) {
  PeerLink* link = find(send.link);
  if (link == nullptr) return;
  if (link->queued_bytes() + send.message.size() > link_queued_bytes_max) {
    return end(*link, "it takes messages too slowly");
  }
  link->hold(std::move(send));
}

// What was said before goes out first: the other side may need it to say why there is no link.
void PeerTransport::close(const CloseLink& close) {
  if (PeerLink* link = find(close.link)) link->flush(owner_.synced(), hooks_.now().steady);
  if (PeerLink* link = find(close.link)) end(*link, close.reason);
}

void PeerTransport::end(PeerLink& link, const std::string& reason) {
  const auto found = links_.find(link.id());
  if (found == links_.end()) return;
  link.close();
  report_end(link, reason);
  if (Target* target = target_of(link)) {
    if (lasted(link)) target->delay = {};
    retry(*target);
  }
  ended_.push_back(std::move(found->second));
  links_.erase(found);
}

PeerTransport::Target* PeerTransport::target_of(const PeerLink& link) {
  const auto found = targets_.find(to_string(link.address()));
  const bool dialed = link.dialed() && found != targets_.end() && found->second.link == link.id();
  return dialed ? &found->second : nullptr;
}

// Whoever connects and is not liked writes no lines into the log, nor does an address that goes on
// failing as before: what is worth a line is a first failure to dial, and a link that had lasted.
void PeerTransport::report_end(const PeerLink& link, const std::string& reason) {
  Target* target = target_of(link);
  const bool failed_anew = target != nullptr && !link.ready() && target->last_reason != reason;
  if (target != nullptr) target->last_reason = link.ready() ? "" : reason;
  log(failed_anew || lasted(link) ? LogLevel::info : LogLevel::debug,
      std::string(link.dialed() ? "link to " : "link from ") + to_string(link.address()) +
          " ended: " + reason);
}

bool PeerTransport::lasted(const PeerLink& link) const {
  return link.peer_accepted() && link.age(hooks_.now().steady) > options_.redial_most;
}

void PeerTransport::retry(Target& target) {
  target.link.reset();
  target.delay = std::clamp(target.delay * 2, options_.redial_first, options_.redial_most);
  const auto quarter = target.delay.count() / 4;
  const auto jitter = std::uniform_int_distribution<Millis::rep>(-quarter, quarter)(random_);
  target.next = hooks_.now().steady + target.delay + Millis(jitter);
}

void PeerTransport::dial(const SocketAddress& address, Target& target) {
  PeerLink& link = add_link(true, address);
  target.link = link.id();
  if (auto begun = link.connect(options_.listen); !begun) end(link, begun.error().message);
}

void PeerTransport::dial_all() {
  const Millis now = hooks_.now().steady;
  const std::set<std::string> wanted = options_.wanted();
  std::erase_if(targets_, [&](const auto& target) {
    return !target.second.link && now >= target.second.next && !wanted.contains(target.first);
  });
  for (const std::string& address : wanted) {
    Target& target = targets_[address];
    const bool due = !target.link && now >= target.next;
    if (due && owner_.wants_link(address)) dial(*parse_address(address), target);
  }
}

void PeerTransport::redial(const std::string& address) {
  const auto target = targets_.find(address);
  if (target != targets_.end()) target->second.next = target->second.delay = {};
}

void PeerTransport::close_overdue() {
  const Millis now = hooks_.now().steady;
  std::vector<std::pair<PeerLink*, std::string>> overdue;
  for (auto& [id, link] : links_) {
    std::string reason = link->overdue(now, options_.timeout);
    if (!reason.empty()) overdue.emplace_back(link.get(), std::move(reason));
  }
  for (auto& [link, reason] : overdue) end(*link, std::move(reason));
}

void PeerTransport::on_tick() {
  if (stopped_) return;
  close_overdue();
  dial_all();
}

void PeerTransport::on_undone() {
  const JournalPosition synced = owner_.synced();
  std::vector<PeerLink*> doomed;
  for (auto& [id, link] : links_) {
    if (link->holds_unsynced(synced)) doomed.push_back(link.get());
  }
  for (PeerLink* link : doomed) end(*link, "changes that it was to hear of were undone");
}

void PeerTransport::end_turn() {
  if (stopped_) return;
  // What the node says to one end may be another end.
  while (!ended_.empty()) {
    Outbox out;
    for (const auto& link : std::exchange(ended_, {})) {
      if (link->ready()) owner_.on_link_down(link->id(), hooks_.now(), out);
    }
    hooks_.deliver(out);
  }
  const JournalPosition synced = owner_.synced();
  const Millis now = hooks_.now().steady;
  std::vector<PeerLink*> all;  // A write that fails ends its link.
  all.reserve(links_.size());
  for (auto& [id, link] : links_) all.push_back(link.get());
  for (PeerLink* link : all) link->flush(synced, now);
}

}  // namespace knit
