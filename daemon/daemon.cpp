#include "daemon/daemon.h"

#include <malloc.h>
#include <sodium.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>

#include "base/arena.h"
#include "base/check.h"
#include "daemon/lobby.h"
#include "daemon/log.h"
#include "daemon/service_manager.h"
#include "daemon/state_file.h"
#include "store/lmdb/place.h"
#include "store/lmdb/restore.h"

namespace knit {

namespace {

using namespace std::chrono_literals;

constexpr Millis space_interval{1000};
constexpr unsigned quiet_checks_before_rest = 3;
// Under async nobody waits for a sync, so it need not hurry; peers hear of a write that much later.
constexpr Millis async_sync_interval{10};
constexpr const char* undone_reply =
    "MISCONF The disk is full: this write was undone. Free some space; reads go on meanwhile.";

std::uint64_t random_id() {
  std::uint64_t id = 0;
  while (id == 0) randombytes_buf(&id, sizeof id);
  return id;
}

// A few times a status interval: what is due is then at most that late.
Millis tick_interval(const Config& config) {
  return std::clamp<Millis>(config.anti_entropy.status_interval / 4, 20ms, 250ms);
}

// What CONFIG GET and SET call the levels of the log.
std::string redis_log_level(std::string_view level) {
  if (level == "debug") return "debug";
  return level == "info" ? "notice" : "warning";
}

void set_redis_log_level(const std::string& level) {
  if (level == "warning") return set_log_level(LogLevel::warning);
  set_log_level(level == "notice" ? LogLevel::info : LogLevel::debug);
}

std::uint64_t whole_pages(std::uint64_t bytes) {
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) / page * page;
}

LogLevel to_log_level(Notice::Level level) {
  switch (level) {
    case Notice::Level::debug: return LogLevel::debug;
    case Notice::Level::info: return LogLevel::info;
    case Notice::Level::warning: return LogLevel::warning;
    case Notice::Level::error: return LogLevel::error;
  }
  return LogLevel::error;
}

WorkPace::Nanos loop_time() { return std::chrono::steady_clock::now().time_since_epoch(); }

// That of this thread.
WorkPace::Nanos processor_time() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + WorkPace::Nanos(time.tv_nsec);
}

std::string members_path(const Config& config) { return config.node.data_directory + "/members"; }

// Later starts have greater ones, and two that start at once on copies of one directory different ones.
std::uint64_t new_generation(WallTime now) { return (now.millis << 16) | (randombytes_random() & 0xffff); }

// Who runs out of descriptors cannot go on with the journal.
void raise_file_limit() {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == files.rlim_max) return;
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
}

std::size_t clients_possible(std::size_t wanted) {
  constexpr rlim_t others = 1200;  // Links, also of strangers, store, journal and listeners.
  constexpr std::size_t fewest = 16;
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == RLIM_INFINITY) return wanted;
  const std::size_t possible =
      std::max<std::size_t>(fewest, files.rlim_cur - std::min<rlim_t>(files.rlim_cur, others));
  if (wanted <= possible) return wanted;
  log_warning("the limit of open files (LimitNOFILE) is " + std::to_string(files.rlim_cur) + ": at most " +
              std::to_string(possible) + " clients at once instead of " + std::to_string(wanted));
  return possible;
}

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};

}  // namespace

Daemon::Daemon(Config config, std::string version, ClusterIdentity cluster, std::unique_ptr<NodeKeys> keys)
    : config_(std::move(config)),
      version_(std::move(version)),
      cluster_(std::move(cluster)),
      keys_(std::move(keys)),
      commit_ended_(loop_, [this] { on_commit(); }),
      journal_synced_(loop_, [this] { on_journal(); }),
      tick_(loop_, [this] { on_tick(); }),
      membership_timer_(loop_, [this] { on_membership_tick(); }),
      alive_(loop_, notify_alive),
      leave_timer_(loop_, [this] { begin_stop(); }),
      stop_timer_(loop_, [this] { end_stop(1); }),
      commit_timer_(loop_, [] {}),  // That end_turn() comes is enough,
      push_timer_(loop_, [] {}),    // for this one too.
      work_timer_(loop_, [] {}),    // and for this one.
      work_(loop_, [this] { on_work(); }),
      before_wait_(loop_, [this] { end_turn(); }),
      terminate_(loop_, SIGTERM, [this] { begin_stop(); }),
      interrupt_(loop_, SIGINT, [this] { begin_stop(); }),
      commit_pace_(config_.store.pending_bytes_max) {}

Daemon::~Daemon() {
  // The batch that is being written belongs to the store, which goes before the disk.
  if (disk_) disk_->wait_for_commit();
}

Result<std::unique_ptr<Daemon>> Daemon::start(Config config, std::string version) {
  if (sodium_init() < 0) return fail(ErrorCode::io, "libsodium cannot be initialised");
  std::signal(SIGPIPE, SIG_IGN);  // A peer that went away is an error of write().
  std::signal(SIGHUP, SIG_IGN);   // A closed terminal is no reason to stop.
  auto keys = NodeKeys::open(config);
  if (!keys) return tl::unexpected(keys.error());
  auto cluster = find_cluster(config, *keys ? &(*keys)->ring() : nullptr, version);
  if (!cluster) return tl::unexpected(cluster.error());
  if (!*cluster) return nullptr;
  raise_file_limit();
  std::unique_ptr<Daemon> daemon(
      new Daemon(std::move(config), std::move(version), std::move(**cluster), std::move(*keys)));
  if (auto opened = daemon->open(); !opened) return tl::unexpected(opened.error());
  return daemon;
}

Result<void> Daemon::open() {
  if (auto opened = open_store(); !opened) return opened;
  make_node();
  if (auto told = start_membership(); !told) return told;
  start_keys();
  if (auto listening = listen(); !listening) return listening;
  start_timers();
  return {};
}

// Data that were copied belong to whoever wrote them, which may still run: here they become another node's.
Result<void> Daemon::open_store() {
  if (auto opened = open_data(); !opened) return opened;
  if (!store_->is_copy()) return {};
  const std::string first = to_string(store_->identity().node);
  log_warning(
      "the data directory was copied, or moved to another disk: going on as a new node with all that it "
      "holds. Node " +
      first + " may still run elsewhere; if it does not, and is not replaced by this one, `knit forget` it");
  if (auto committed = commit_all(); !committed) return committed;
  backups_.reset();
  store_.reset();
  journal_.reset();
  disk_.reset();
  const NodeIdentity fresh{NodeId{random_id()}, ActorId{random_id()}};
  if (auto renamed = rename_data(config_.node.data_directory, whole_pages(config_.store.map_bytes), fresh);
      !renamed)
    return renamed;
  return open_data();
}

Result<void> Daemon::open_data() {
  if (auto opened = open_disk(); !opened) return opened;
  StoreOptions options;
  options.cluster = cluster_;
  options.fresh = {NodeId{random_id()}, ActorId{random_id()}};
  options.place = place_of(config_.node.data_directory + "/data.mdb");
  options.clock_max_ahead = config_.clock.max_ahead;
  options.log = {config_.hints.max_bytes, config_.hints.max_age};
  options.disk_reserve_bytes = config_.store.disk_reserve_bytes;
  options.bytes_max = config_.store.max_bytes;
  auto store = Store::open(*disk_, *journal_, std::move(options));
  if (!store) return tl::unexpected(store.error());
  store_ = std::move(*store);
  backups_ = std::make_unique<Backups>(*disk_, *store_);
  if (!store_->must_commit_first()) return {};
  auto committed = commit_all();
  const bool postponed = !committed && committed.error().code == ErrorCode::disk_full;
  return postponed && !store_->is_new() ? Result<void>{} : committed;
}

// Before anybody is served.
Result<void> Daemon::commit_all() {
  if (!store_->has_uncommitted()) return {};
  if (!store_->start_commit())
    return fail(ErrorCode::disk_full, "there is no room to commit what the journal holds");
  disk_->wait_for_commit();
  const auto committed = disk_->take_commit_result().value();
  store_->on_committed(committed);
  return committed;
}

Result<void> Daemon::open_disk() {
  LmdbOptions lmdb;
  lmdb.directory = config_.node.data_directory;
  lmdb.map_bytes = whole_pages(config_.store.map_bytes);
  auto disk = LmdbStore::open(lmdb, [this] { commit_ended_.wake(); });
  if (!disk) return tl::unexpected(disk.error());
  disk_ = std::move(*disk);

  FileJournalOptions files;
  files.directory = config_.node.data_directory + "/journal";
  files.segment_bytes = config_.store.journal_segment_bytes;
  files.async = config_.store.durability == "async";
  files.sync_interval = files.async ? async_sync_interval : Millis{0};
  auto journal = FileJournal::open(std::move(files), [this] { journal_synced_.wake(); });
  if (!journal) return tl::unexpected(journal.error());
  journal_ = std::move(*journal);
  return {};
}

void Daemon::make_node() {
  NodeOptions options;
  options.name = node_name(config_);
  options.address = to_string(peer_advertised_address(config_));
  options.version = version_;
  seeds_ = std::make_unique<Seeds>(loop_.get(), config_.peer.seeds, is_ipv6(peer_bind_address(config_)));
  options.peers.assign(seeds_->numeric().begin(), seeds_->numeric().end());
  options.seeds_by_name = seeds_->numeric().size() < config_.peer.seeds.size();
  options.status_interval = config_.anti_entropy.status_interval;
  options.exchange_interval = config_.anti_entropy.interval;
  options.exchange_deadline = config_.anti_entropy.deadline;
  options.clock_max_ahead = config_.clock.max_ahead;
  options.causal = config_.replication.causal;
  options.causal_wait = config_.replication.causal_wait;
  options.read_lag_max = config_.read.max_lag;
  options.read_timeout = config_.read.timeout;
  options.scrub_interval = config_.anti_entropy.scrub_interval;
  options.exchange_sessions_max = config_.anti_entropy.sessions_max;
  options.pending_bytes_max = config_.store.pending_bytes_max;
  options.exchange_bytes_per_second = config_.anti_entropy.bytes_per_second;
  options.exchange_rows_per_second = config_.anti_entropy.rows_per_second;
  node_ = std::make_unique<Node>(std::move(options), *store_, random_id());
  links_ = std::make_unique<NodeLinks>(*node_);
}

Result<void> Daemon::start_membership() {
  MembershipOptions options;
  options.swim.probe_interval = config_.gossip.probe_interval;
  options.swim.probe_timeout = config_.gossip.probe_timeout;
  options.swim.suspicion.shortest = config_.gossip.suspicion;
  options.known = read_state_file(members_path(config_)).value_or("");
  options.generation = {new_generation(now().wall)};
  options.profile.name = node_name(config_);
  options.profile.endpoint = *parse_endpoint(to_string(peer_advertised_address(config_)));
  options.profile.protocol_min = options.profile.protocol_max = protocol_version;
  options.profile.version = version_;
  options.profile.tags = node_tags(config_);
  if (auto fits = check_profile(options.profile); !fits)
    return fail(fits.error().code, "node.name and node.tags: " + fits.error().message);
  node_->start_membership(options, now());
  DatagramOptions datagrams;
  datagrams.node = store_->identity().node;
  datagrams.generation = node_->swim()->self().generation.value;
  datagrams.cluster = cluster_.id;
  datagrams.version = protocol_version;
  gossip_ = std::make_unique<GossipSocket>(
      loop_.get(), peer_bind_address(config_), std::move(datagrams), ring(), *node_,
      GossipSocket::Hooks{[this] { return now(); }, [this](Outbox& out) { deliver(out); }});
  return {};
}

void Daemon::start_keys() {
  if (!keys_) return;
  keys_->on_change = [this] { on_keys_changed(); };
  keys_->absent_members = [this] { return absent_members(); };
  on_keys_changed();
}

void Daemon::on_keys_changed() {
  gossip_->set_keys(keys_->ring());
  Outbox out;
  node_->tell_keys(keys_->ring().encode(), out);
  deliver(out);
}

std::vector<std::string> Daemon::absent_members() {
  std::vector<std::string> out;
  for (const PeerStatus& peer : node_->status(now()).peers) {
    if (!peer.reachable) out.push_back(peer.name.empty() ? peer.address : peer.name);
  }
  return out;
}

RedisOptions Daemon::redis_options() const {
  RedisOptions options;
  options.addresses = config_.client.listen;
  options.port = config_.client.port;
  options.unix_socket = config_.client.unix_socket;
  options.unix_socket_mode = config_.client.unix_socket_mode;
  options.password = config_.client.password;
  options.protected_mode = config_.client.protected_mode;
  options.clients_max = clients_possible(config_.client.clients_max);
  options.output_bytes_max = config_.client.output_bytes_max;
  options.pending_bytes_max = config_.store.pending_bytes_max;
  options.resolved_prefixes = config_.conflicts.resolved_prefixes;
  options.read_from_peers = config_.read.on_lag == "fetch";
  options.debug_commands = config_.debug.commands;
  options.version = version_;
  options.parameters = {{"dir", config_.node.data_directory},
                        {"loglevel", redis_log_level(config_.log.level)}};
  return options;
}

Result<void> Daemon::listen() {
  const auto tell_time = [this] { return now(); };
  const auto take = [this](Outbox& out) { deliver(out); };
  PeerTransportOptions peers;
  peers.listen = peer_bind_address(config_);
  peers.wanted = [this] { return wanted_links(); };
  peers.keys = [this] { return ring(); };
  peers.timeout = config_.peer.timeout;
  peers.seed = random_id();
  transport_ = std::make_unique<PeerTransport>(loop_.get(), std::move(peers), *links_,
                                               PeerTransport::Hooks{tell_time, take});
  redis_ = std::make_unique<RedisServer>(loop_.get(), redis_options(), *node_,
                                         RedisServer::Hooks{.now = tell_time,
                                                            .deliver = take,
                                                            .set_log_level = set_redis_log_level,
                                                            .keys = keys_.get(),
                                                            .backups = backups_.get(),
                                                            .stop = [this] { begin_stop(); },
                                                            .leave = [this] { begin_leave(); }});
  if (auto listening = transport_->listen(); !listening) return listening;
  if (auto listening = gossip_->listen(); !listening) return listening;
  if (auto listening = redis_->listen(); !listening) return listening;
  return listen_http();
}

Result<void> Daemon::listen_http() {
  if (config_.http.port == 0) return {};
  site_ = std::make_unique<Site>(
      redis_->shared(), [this] { return now(); }, [this] { return trouble(); },
      [this] { return gossip_->counts(); });
  http_ = std::make_unique<HttpServer>(loop_, HttpOptions{config_.http.listen, config_.http.port},
                                       [this](std::string_view path) { return site_->answer(path); });
  return http_->listen();
}

std::string Daemon::trouble() const {
  if (stopping_) return "this node is stopping";
  return store_->has_space()
             ? ""
             : "the disk is full, or the quota is reached: values are refused; deletes and reads go on";
}

void Daemon::start_timers() {
  store_->refresh_space();
  tick_.repeat(tick_interval(config_));
  if (const auto every = alive_interval()) alive_.repeat(*every);
}

int Daemon::run() {
  const std::string who = node_name(config_) + " (" + to_string(store_->identity().node) + ") of cluster " +
                          store_->cluster().name;
  log_info("knitd " + version_ + ": " + who + ", data in " + config_.node.data_directory + ", peers on " +
           to_string(peer_bind_address(config_)) + (keys_ ? ", encrypted, " : ", not encrypted, ") +
           std::to_string(config_.peer.seeds.size()) + " seeds");
  if (store_->replayed() > 0)
    log_info(std::to_string(store_->replayed()) + " changes taken from the journal");
  if (store_->took_fresh_actor()) {
    log_warning("the journal's end is not certain: going on under a fresh actor, peers heal what is missing");
  }
  notify_ready(who);
  loop_.run();
  log_info("stopped");
  return status_;
}

Now Daemon::now() {
  const auto wall = std::chrono::system_clock::now().time_since_epoch();
  const auto millis = std::chrono::duration_cast<Millis>(wall).count();
  return {WallTime{static_cast<std::uint64_t>(std::max<Millis::rep>(millis, 0))},
          Millis(uv_now(loop_.get()))};
}

void Daemon::deliver(Outbox& out) {
  const auto one = Overloaded{
      [&](Send& send) { transport_->send(std::move(send)); },
      [&](CloseLink& close) { transport_->close(close); },
      [&](Notice& notice) { log(to_log_level(notice.level), notice.text); },
      [&](JobDone& done) { redis_->on_job_done(done); },
      [&](SendDatagram& send) { gossip_->send(send); },
      [&](const KeysTold& told) {
        if (!keys_) return;
        if (auto merged = keys_->merge(told.ring); !merged)
          log_warning("keys of a peer: " + merged.error().message);
      },
      [&](Redial& redial) { transport_->redial(redial.address); },
  };
  for (Output& output : std::exchange(out, {})) std::visit(one, output);
}

void Daemon::on_tick() {
  if (stopping_) return;
  const Now time = now();
  work_pace_.on_busy(loop_time(), processor_time());
  if (time.steady >= next_space_check_) {
    next_space_check_ = time.steady + space_interval;
    store_->refresh_space();
    notice_rest();
    save_members();
  }
  seeds_->on_tick(time.steady);
  Outbox out;
  node_->on_tick(time, out);
  deliver(out);
  transport_->on_tick();
}

std::set<std::string> Daemon::wanted_links() const {
  std::set<std::string> wanted = node_->wanted_links();
  for (const std::string& address : seeds_->addresses()) {
    if (node_->wants_link(address)) wanted.insert(address);
  }
  return wanted;
}

void Daemon::on_membership_tick() {
  next_membership_tick_ = {};
  Outbox out;
  node_->on_membership_tick(now(), out);
  deliver(out);
}

// Whatever has come in may have changed when membership is to be asked next.
void Daemon::plan_membership_tick() {
  const Millis next = node_->next_membership_tick();
  if (next == next_membership_tick_) return;
  next_membership_tick_ = next;
  if (next == Millis::max()) return membership_timer_.stop();
  membership_timer_.once(std::max(next - now().steady, Millis{1}));
}

void Daemon::save_members() {
  const bool failed_before = unsaved_members_.has_value();
  if (auto members = node_->take_members()) unsaved_members_ = std::move(*members);
  if (!unsaved_members_) return;
  const auto saved = replace_state_file(members_path(config_), *unsaved_members_);
  if (saved) {
    unsaved_members_.reset();
  } else if (!failed_before) {
    log_warning("members are not remembered yet: " + saved.error().message);
  }
}

void Daemon::on_work() {
  // What is to be pushed is pushed at the end of the turn.
  if (!may_work() || work_pace_.wait(loop_time()) > Millis{0}) return;
  const auto start = loop_time();
  auto end = start;
  Outbox out;
  do {
    node_->work(now(), out);
    end = loop_time();
  } while (end - start < WorkPace::slice && may_work());
  deliver(out);
  work_pace_.on_worked(end, end - start);
}

bool Daemon::may_work() { return !stopping_ && node_->has_work() && node_->work_wait(now()) == Millis{0}; }

void Daemon::plan_work() {
  const bool wanted = !stopping_ && node_->has_work();
  const Millis wait = wanted ? std::max(node_->work_wait(now()), work_pace_.wait(loop_time())) : Millis{0};
  work_.turn((wanted && wait == Millis{0}) || (!stopping_ && node_->push_is_due()));
  if (wait > Millis{0}) work_timer_.once(wait);
}

void Daemon::begin_commit() {
  if (store_->committing() || undo_waits_) return;
  const Millis now = Millis(uv_now(loop_.get()));
  const Millis wait = stopping_ ? Millis{0} : commit_pace_.wait(now, store_->pending_bytes());
  if (wait > Millis{0}) {
    if (store_->has_uncommitted()) commit_timer_.once(wait);
    return;
  }
  if (store_->start_commit()) commit_pace_.on_started(now);
}

void Daemon::on_commit() {
  const auto result = disk_->take_commit_result();
  if (!result) return;
  commit_pace_.on_ended(Millis(uv_now(loop_.get())));
  switch (store_->on_committed(*result)) {
    case Store::CommitOutcome::committed: break;
    case Store::CommitOutcome::postponed:
      log_error("a commit is put off until there is room: " + result->error().message);
      break;
    case Store::CommitOutcome::broken: end_broken(result->error());
  }
  if (undo_waits_) undo(*std::exchange(undo_waits_, std::nullopt));
}

void Daemon::on_journal() {
  const auto failure = journal_->take_failure();
  if (!failure) return;
  if (failure->code != ErrorCode::disk_full) end_broken(*failure);
  if (store_->committing()) {
    undo_waits_ = failure;
  } else {
    undo(*failure);
  }
}

// Nothing in this process may be trusted to be told to anybody.
void Daemon::end_broken(const Error& error) {
  const bool damaged = error.code == ErrorCode::corrupt;
  log_error((damaged ? "ending: " : "the data directory cannot be written any more, ending: ") +
            error.message);
  std::_Exit(1);
}

void Daemon::undo(const Error& error) {
  log_error("the journal has no room, what it did not hold was undone: " + error.message);
  if (auto undone = store_->undo_unsynced(); !undone) end_broken(undone.error());
  store_->refresh_space();
  Outbox out;
  node_->on_undone(now(), out);
  deliver(out);
  transport_->on_undone();
  redis_->on_undone(undone_reply);
}

void Daemon::end_turn() {
  if (disk_->damage()) end_broken(*disk_->damage());
  journal_->flush();
  begin_commit();
  backups_->step();
  redis_->flush();
  push();
  transport_->end_turn();
  store_->end_reads();
  plan_membership_tick();
  if (leaving_ && node_->news_is_out()) begin_stop();
  if (memory_is_due_) give_back_memory();
  plan_work();
  // What flush() answered may have been the last that was waited for; what it ran may have written.
  if (stopping_ && redis_->idle() && !store_->committing() && !store_->start_commit()) end_stop(0);
}

void Daemon::push() {
  if (stopping_) return;
  Outbox out;
  node_->push(now(), out);
  deliver(out);
  if (node_->push_waits()) push_timer_.once(StreamOptions{}.batch_interval);
}

// When nothing was read or written for a few seconds, what a load has left in memory is given back, once.
void Daemon::notice_rest() {
  const std::uint64_t activity = disk_->activity();
  const bool quiet = activity == activity_seen_ && !store_->has_uncommitted() && !node_->has_work();
  activity_seen_ = activity;
  quiet_checks_ = quiet ? quiet_checks_ + 1 : 0;
  memory_is_due_ = quiet_checks_ == quiet_checks_before_rest;
}

// At the end of a turn: before, views of what was read may be about.
void Daemon::give_back_memory() {
  memory_is_due_ = false;
  if (store_->committing() || backups_->busy()) return;
  if (auto given = disk_->give_back_memory(); !given) end_broken(given.error());
  release_arena_memory();
  ::malloc_trim(0);
}

void Daemon::begin_leave() {
  if (stopping_ || std::exchange(leaving_, true)) return;
  log_info("leaving the cluster");
  Outbox out;
  node_->leave(now(), out);
  deliver(out);
  leave_timer_.once(leave_deadline);
}

void Daemon::begin_stop() {
  if (std::exchange(stopping_, true)) return;
  log_info("stopping");
  notify_stopping();
  redis_->stop_accepting();
  save_members();
  gossip_->stop();
  transport_->stop();
  stop_timer_.once(stop_deadline);
}

void Daemon::end_stop(int status) {
  if (status != 0) log_warning("what was under way did not end in time");
  status_ = status;
  loop_.stop();
}

}  // namespace knit
