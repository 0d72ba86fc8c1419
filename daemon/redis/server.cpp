#include "daemon/redis/server.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "daemon/redis/client.h"
#include "daemon/redis/listener.h"
#include "daemon/redis/reply.h"
#include "daemon/redis/server_state.h"

namespace knit {

namespace {

constexpr std::size_t read_bytes = 64 << 10;

constexpr std::string_view denied =
    "-DENIED knit is running in protected mode because protected mode is enabled and no password is set. In "
    "this mode connections are only accepted from the loopback interface and the UNIX socket. To accept "
    "other "
    "hosts, set a password in the configuration of knitd, or switch protected mode off there if everybody "
    "who "
    "can reach this port may read and change the data.\r\n";
constexpr std::string_view too_many = "-ERR max number of clients reached\r\n";

// A courtesy to one that is not served: not waited for.
template <class H>
void say(H* handle, std::string_view line) {
  if (handle == nullptr) return;
  const uv_buf_t buffer = uv_buf_init(const_cast<char*>(line.data()), static_cast<unsigned>(line.size()));
  uv_try_write(reinterpret_cast<uv_stream_t*>(handle), &buffer, 1);
}

void turn_away(const Connection& connection, std::string_view line) {
  say(connection.tcp.get(), line);
  say(connection.pipe.get(), line);
}

}  // namespace

// Clients are named by id in all lists, so that a list may be behind the truth.
struct RedisServer::State final : ClientOwner {
  State(uv_loop_t* l, RedisOptions options, Node& node, Hooks hooks)
      : loop(l), shared(std::move(options), node, std::move(hooks)), buffer(read_bytes, '\0') {
    idle_handle.reset(new uv_idle_t{});
    uv_idle_init(loop, idle_handle.get());
    idle_handle->data = this;
    deadline_timer.reset(new uv_timer_t{});
    uv_timer_init(loop, deadline_timer.get());
  }

  void on_output(Client& client) override {
    if (std::exchange(client.listed_for_flush, true)) return;
    to_flush.push_back(client.id());
  }
  void on_runnable(Client& client) override { to_run.push_back(client.id()); }
  void on_paused(Client& client) override { paused.push_back(client.id()); }
  void on_closed(Client& client) override { to_delete.push_back(client.id()); }
  std::span<char> read_buffer() override {
    shared.now = shared.hooks.now();  // A read begins.
    return buffer;
  }
  bool reading_stopped() const override { return shared.stopping; }

  Client* find(std::uint64_t id) {
    const auto found = clients.find(id);
    return found == clients.end() ? nullptr : found->second.get();
  }

  Result<void> listen();
  void on_connection(Connection connection);
  void run_runnable();
  void flush_clients();
  void resume_paused();
  void delete_closed();
  void do_what_commands_asked();
  void update_idle_handle();

  uv_loop_t* loop;
  ServerState shared;
  std::string buffer;
  std::vector<std::unique_ptr<Listener>> listeners;
  Handle<uv_idle_t> idle_handle;  // Active while clients can run: the loop does not wait then.
  bool idle_active = false;
  Handle<uv_timer_t> deadline_timer;  // Ends the turn in which a client's wait is over.
  std::vector<std::uint64_t> to_flush;
  std::vector<std::uint64_t> to_run;
  std::vector<std::uint64_t> paused;
  std::vector<std::uint64_t> to_delete;
  std::unordered_map<std::uint64_t, std::unique_ptr<Client>> clients;
};

Result<void> RedisServer::State::listen() {
  const auto accept = [this](Connection connection) { on_connection(std::move(connection)); };
  for (const std::string& address : shared.options.addresses) {
    auto listener = Listener::tcp(loop, address, shared.options.port, accept);
    if (!listener) return tl::unexpected(listener.error());
    listeners.push_back(std::move(*listener));
  }
  if (shared.options.unix_socket.empty()) return {};
  auto listener =
      Listener::unix_socket(loop, shared.options.unix_socket, shared.options.unix_socket_mode, accept);
  if (!listener) return tl::unexpected(listener.error());
  listeners.push_back(std::move(*listener));
  return {};
}

void RedisServer::State::on_connection(Connection connection) {
  shared.now = shared.hooks.now();
  const bool strangers_allowed = !shared.options.protected_mode || !shared.options.password.empty();
  const bool full = clients.size() >= shared.options.clients_max;
  if (full || (!connection.local && !strangers_allowed)) {
    shared.statistics.connections_rejected++;
    return turn_away(connection, full ? too_many : denied);
  }
  shared.statistics.connections++;
  auto client =
      connection.tcp
          ? std::make_unique<Client>(*this, shared, std::move(connection.tcp), std::move(connection.peer))
          : std::make_unique<Client>(*this, shared, std::move(connection.pipe), std::move(connection.peer));
  Client& added = *client;
  clients.emplace(added.id(), std::move(client));
  added.start();
}

void RedisServer::State::run_runnable() {
  shared.now = shared.hooks.now();
  for (const std::uint64_t id : std::exchange(to_run, {})) {
    if (Client* client = find(id)) client->run();
  }
}

void RedisServer::State::flush_clients() {
  for (const std::uint64_t id : std::exchange(to_flush, {})) {
    Client* client = find(id);
    if (client == nullptr) continue;
    client->listed_for_flush = false;
    client->flush();
    // What is in flight comes back by itself; what waits for the disk is looked at every turn.
    if (!client->closed() && !client->session().output().empty()) on_output(*client);
  }
}

void RedisServer::State::resume_paused() {
  std::optional<Millis> next;
  for (const std::uint64_t id : std::exchange(paused, {})) {
    Client* client = find(id);
    if (client == nullptr || client->closed()) continue;
    const bool may_run = client->session().may_run();
    (may_run ? to_run : paused).push_back(id);
    const auto deadline = may_run ? std::nullopt : client->session().deadline();
    if (deadline && (!next || *deadline < *next)) next = deadline;
  }
  if (!next) return;
  const auto wait = std::max<Millis::rep>(1, (*next - shared.now.steady).count());
  uv_timer_start(deadline_timer.get(), [](uv_timer_t*) {}, static_cast<std::uint64_t>(wait), 0);
}

void RedisServer::State::delete_closed() {
  for (const std::uint64_t id : std::exchange(to_delete, {})) clients.erase(id);
}

void RedisServer::State::update_idle_handle() {
  const bool wanted = !to_run.empty();
  if (wanted == std::exchange(idle_active, wanted)) return;
  if (!wanted) {
    uv_idle_stop(idle_handle.get());
    return;
  }
  uv_idle_start(idle_handle.get(), [](uv_idle_t* handle) {
    if (auto* state = static_cast<State*>(handle->data)) state->run_runnable();
  });
}

// Last, so that a client may be told why it is closed.
void RedisServer::State::do_what_commands_asked() {
  for (const std::uint64_t id : std::exchange(shared.to_close, {})) {
    if (Client* client = find(id)) client->close();
  }
  for (const std::uint64_t id : std::exchange(shared.unblocked, {})) {
    Client* client = find(id);
    if (client == nullptr || client->closed()) continue;
    on_output(*client);
    on_runnable(*client);
  }
  if (std::exchange(shared.leave_wanted, false)) shared.hooks.leave();
  if (std::exchange(shared.stop_wanted, false)) shared.hooks.stop();
}

std::chrono::nanoseconds steady_time() { return std::chrono::steady_clock::now().time_since_epoch(); }

RedisServer::RedisServer(uv_loop_t* loop, RedisOptions options, Node& node, Hooks hooks)
    : state_(std::make_unique<State>(loop, std::move(options), node, std::move(hooks))) {}

RedisServer::~RedisServer() {
  for (auto& [id, client] : state_->clients) client->close();
}

Result<void> RedisServer::listen() { return state_->listen(); }

void RedisServer::stop_accepting() {
  state_->shared.stopping = true;
  state_->shared.pause = {};  // Else those that wait would not be answered.
  state_->listeners.clear();
  for (auto& [id, client] : state_->clients) {
    client->session().on_stop();
    client->update_reading();
  }
}

bool RedisServer::idle() const {
  for (const auto& [id, client] : state_->clients) {
    if (!client->idle()) return false;
  }
  return true;
}

void RedisServer::flush() {
  state_->shared.turn++;
  state_->flush_clients();
  state_->shared.now = state_->shared.hooks.now();
  state_->shared.sample_rates();
  state_->do_what_commands_asked();
  state_->resume_paused();
  state_->delete_closed();
  state_->update_idle_handle();
}

void RedisServer::on_undone(const std::string& error) {
  const std::string line =
      (error.starts_with("MISCONF") ? "-" + error : "-MISCONF knit cannot write: " + error) + "\r\n";
  for (auto& [id, client] : state_->clients) {
    client->session().on_undone(line);
    if (!client->closed()) state_->on_output(*client);
  }
}

void RedisServer::on_job_done(const JobDone& done) {
  const auto job = state_->shared.jobs.find(done.job);
  if (job == state_->shared.jobs.end()) return;
  Client* client = state_->find(job->second);
  if (client == nullptr) return;
  client->session().on_job_done(done);
  if (client->closed() || client->session().waiting() || client->session().held()) return;
  state_->on_output(*client);
  state_->on_runnable(*client);
}

std::size_t RedisServer::clients() const { return state_->clients.size(); }

ServerState& RedisServer::shared() { return state_->shared; }

}  // namespace knit
