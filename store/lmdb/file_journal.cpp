#include "store/lmdb/file_journal.h"

#include <dirent.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "base/check.h"
#include "store/journal_frame.h"

namespace knit {

namespace {

constexpr std::size_t buffer_kept_bytes = 1 << 20;
constexpr std::size_t spare_segments_min =
    1;  // Made at the start, so that the first change of files is quick.

// Enough for most records; the file of one that is longer is simply read.

std::uint64_t random_seed() {
  std::uint64_t seed = 0;
  check(::getrandom(&seed, sizeof seed, 0) == sizeof seed, "the system gives random bytes");
  return seed;
}

bool all_zeros(std::string_view bytes) {
  return bytes.empty() ||
         (bytes[0] == '\0' && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

// How many whole frames fit into `room` bytes, in bytes; and the position of the last of them.
std::size_t fitting(std::string_view frames, std::size_t room, JournalPosition& last) {
  std::size_t fits = 0;
  while (fits < frames.size()) {
    const std::string_view rest = frames.substr(fits);
    const std::size_t size = frame_bytes(rest);
    if (size > room - fits) break;
    last = frame_position(rest);
    fits += size;
  }
  return fits;
}

}  // namespace

FileJournal::FileJournal(FileJournalOptions options, std::function<void()> wake)
    : options_(std::move(options)), wake_(std::move(wake)) {}

Result<std::unique_ptr<FileJournal>> FileJournal::open(FileJournalOptions options,
                                                       std::function<void()> wake) {
  if (::mkdir(options.directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return tl::unexpected(system_error("mkdir", options.directory));
  }
  std::unique_ptr<FileJournal> journal(new FileJournal(std::move(options), std::move(wake)));
  if (auto listed = journal->list_files(); !listed) return tl::unexpected(listed.error());
  return journal;
}

FileJournal::~FileJournal() {
  flush();
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

std::string FileJournal::path_of(std::uint64_t generation) const {
  return options_.directory + "/" + segment_name(generation);
}

Result<void> FileJournal::list_files() {
  DIR* directory = ::opendir(options_.directory.c_str());
  if (directory == nullptr) return tl::unexpected(system_error("opendir", options_.directory));
  while (const dirent* entry = ::readdir(directory)) {
    const auto generation = segment_generation(entry->d_name);
    if (!generation) continue;
    struct stat status{};
    const std::string path = path_of(*generation);
    if (::stat(path.c_str(), &status) != 0) {
      ::closedir(directory);
      return tl::unexpected(system_error("stat", path));
    }
    files_.push_back({*generation, static_cast<std::size_t>(status.st_size), {}});
    bytes_on_disk_ += files_.back().bytes;
  }
  ::closedir(directory);
  std::sort(files_.begin(), files_.end(),
            [](const File& a, const File& b) { return a.generation < b.generation; });
  if (!files_.empty()) next_generation_ = files_.back().generation + 1;
  return {};
}

// --- The owner's thread

Result<Journal::Tail> FileJournal::replay(NodeId owner, JournalPosition after,
                                          FunctionRef<Result<void>(const JournalRecord&)> visit) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !busy_; });
  owner_ = owner;
  Tail tail = Tail::whole;
  JournalPosition expected = after;
  for (std::size_t i = first_needed(after); i < files_.size(); ++i) {
    const auto replayed = replay_file(files_[i], owner, expected, visit);
    if (!replayed) return replayed;
    if (*replayed == Tail::uncertain) tail = Tail::uncertain;
  }
  if (std::exchange(ended_uncleanly_, false)) tail = Tail::uncertain;
  if (synced_ < expected.value) synced_ = expected.value;
  if (thread_.joinable()) return tail;
  busy_ = true;
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error& error) {
    return fail(ErrorCode::io, std::string("cannot start the journal's thread: ") + error.what());
  }
  return tail;
}

// Positions ascend from file to file: one that is followed by a record at or below the wanted ones has
// nothing to say. Of most files of a journal this is true, and reading them would be most of a start.
std::size_t FileJournal::first_needed(JournalPosition after) {
  std::size_t needed = 0;
  for (std::size_t i = 0; i < files_.size(); ++i) {
    const auto first = first_position(files_[i]);
    if (first && first->value <= after.value + 1) needed = i;
  }
  return needed;
}

// Of the first record of a file, if that is plain to see.
std::optional<JournalPosition> FileJournal::first_position(const File& file) const {
  const auto mapped = MappedSegment::open(path_of(file.generation));
  const auto header = mapped ? SegmentHeader::decode(mapped->bytes()) : tl::unexpected(mapped.error());
  if (!header || header->generation != file.generation) return std::nullopt;
  JournalFrames frames(mapped->frames(), header->seed);
  DecodedRecord first;
  const auto payload = frames.next();
  if (!payload || !decode_payload(*payload, first)) return std::nullopt;
  return first.record.position;
}

// `expected` is the last position that was seen: the next record's must follow.
Result<Journal::Tail> FileJournal::replay_file(File& file, NodeId owner, JournalPosition& expected,
                                               FunctionRef<Result<void>(const JournalRecord&)> visit) {
  const auto mapped = MappedSegment::open(path_of(file.generation));
  if (!mapped) return tl::unexpected(mapped.error());
  const auto header = SegmentHeader::decode(mapped->bytes());
  if (!header) {
    if (header.error().code != ErrorCode::corrupt) return tl::unexpected(header.error());
    return all_zeros(mapped->bytes()) ? Tail::whole : Tail::uncertain;  // It was made and never used.
  }
  if (header->generation != file.generation) return Tail::whole;
  JournalFrames frames(mapped->frames(), header->seed);
  if (header->owner != owner) {
    // A birth that was cut off before its identity lay in the ordered store has answered nobody.
    if (!frames.next()) return Tail::whole;
    return fail(ErrorCode::refused,
                "the journal in " + options_.directory + " belongs to another data directory; move it away");
  }
  if (!thread_.joinable()) {
    ended_uncleanly_ =
        (header->flags & SegmentHeader::async) != 0 && (header->flags & SegmentHeader::clean) == 0;
  }
  return replay_frames(frames, file.last, expected, visit);
}

Result<Journal::Tail> FileJournal::replay_frames(JournalFrames& frames, JournalPosition& last,
                                                 JournalPosition& expected,
                                                 FunctionRef<Result<void>(const JournalRecord&)> visit) {
  Tail tail = Tail::whole;
  DecodedRecord decoded;
  while (const auto payload = frames.next()) {
    if (auto valid = decode_payload(*payload, decoded); !valid) {
      tail = Tail::uncertain;
      continue;
    }
    const JournalPosition position = decoded.record.position;
    last = std::max(last, position);
    if (position <= expected) continue;
    if (position.value != expected.value + 1) tail = Tail::uncertain;
    expected = position;
    if (auto visited = visit(decoded.record); !visited) return tl::unexpected(visited.error());
  }
  return frames.damaged() ? Tail::uncertain : tail;
}

void FileJournal::append(const JournalRecord& record) { append_frame(appended_, record); }

void FileJournal::flush() {
  if (appended_.empty()) return;
  {
    const std::lock_guard lock(mutex_);
    if (queued_.empty()) {
      queued_.swap(appended_);
    } else {
      queued_.append(appended_);
    }
  }
  appended_.clear();
  changed_.notify_all();
}

JournalPosition FileJournal::synced() const {
  return std::max(JournalPosition{synced_.load(std::memory_order_acquire)}, committed_by_store_);
}

JournalPosition FileJournal::answerable() const {
  const bool all = options_.async && ready_.load(std::memory_order_acquire);
  return all ? JournalPosition{~std::uint64_t{0}} : synced();
}

void FileJournal::on_committed(JournalPosition position) {
  committed_by_store_ = std::max(committed_by_store_, position);
  {
    const std::lock_guard lock(mutex_);
    committed_ = std::max(committed_, position);
  }
  changed_.notify_all();
}

void FileJournal::discard_unsynced() {
  appended_.clear();
  const std::lock_guard lock(mutex_);
  check(failed_, "only what could not be written is discarded");
  queued_.clear();
  failed_ = false;
}

std::size_t FileJournal::bytes_waiting() const {
  const std::lock_guard lock(mutex_);
  return appended_.size() + queued_.size() + bytes_in_group_;
}

std::optional<Error> FileJournal::take_failure() {
  const std::lock_guard lock(mutex_);
  return std::exchange(failure_, std::nullopt);
}

// --- The journal's thread

void FileJournal::run() {
  std::string frames;
  JournalPosition committed;
  JournalPosition dropped;
  {
    const std::lock_guard lock(mutex_);
    committed = committed_;
  }
  drop_committed(dropped = committed);
  auto written = prepare();
  if (written) wake_();
  while (true) {
    if (!written) {
      const std::lock_guard lock(mutex_);
      failure_ = written.error();
      failed_ = true;
      frames.clear();
    }
    if (!written) wake_();
    const bool going_on = wait_for_work(frames, committed);
    if (committed > dropped) drop_committed(dropped = committed);
    if (!going_on) break;
    written = {};
    if (frames.empty()) continue;
    written = write_group(frames);
    frames.clear();
    if (frames.capacity() > buffer_kept_bytes) frames.shrink_to_fit();
    bytes_in_group_ = 0;
    if (written) wake_();
  }
  end_cleanly(committed);
}

// Answers false at the end, with nothing left to write.
bool FileJournal::wait_for_work(std::string& frames, JournalPosition& committed) {
  std::unique_lock lock(mutex_);
  busy_ = false;
  changed_.notify_all();
  const auto has_frames = [this] { return !queued_.empty() && !failed_; };
  changed_.wait(lock, [&] { return stopping_ || has_frames() || committed_ > committed; });
  const auto next_sync = last_sync_ + options_.sync_interval;
  if (has_frames() && options_.sync_interval > Millis{0}) {
    changed_.wait_until(lock, next_sync, [this] { return stopping_ || failed_; });
  }
  committed = committed_;
  if (has_frames()) {
    frames.swap(queued_);
    bytes_in_group_ = frames.size();
  }
  busy_ = true;
  return !stopping_ || !frames.empty();
}

// What the first group would have to wait for otherwise.
Result<void> FileJournal::prepare() {
  if (auto rolled = roll(0); !rolled) return rolled;
  while (spares_.size() < spare_segments_min && files_.size() <= spare_segments_min) {
    const std::uint64_t generation = next_generation_++;
    auto spare = JournalSegment::create(path_of(generation), options_.segment_bytes, true);
    if (!spare) return {};  // It was only to make things quicker.
    spares_.push_back({generation, spare->bytes(), {}});
    bytes_on_disk_ += spare->bytes();
  }
  return sync_directory(options_.directory);
}

Result<void> FileJournal::write_group(std::string& frames) {
  while (!frames.empty()) {
    JournalPosition last;
    const std::size_t fits = current_ ? fitting(frames, current_->room(), last) : 0;
    if (fits == 0) {
      if (auto rolled = roll(frame_bytes(frames)); !rolled) return rolled;
      continue;
    }
    std::string rest = frames.substr(fits);
    frames.resize(fits);
    if (auto written = current_->append(frames); !written) return written;
    rest.empty() ? frames.clear() : frames.swap(rest);
    files_.back().last = last;
    last_sync_ = std::chrono::steady_clock::now();
    syncs_.fetch_add(1, std::memory_order_relaxed);
    synced_.store(last.value, std::memory_order_release);
  }
  return {};
}

// Begins a segment that has room for a frame of `bytes` bytes.
Result<void> FileJournal::roll(std::size_t bytes) {
  const std::size_t wanted = JournalSegment::header_block_bytes + bytes + 2 * journal_frame_header_bytes;
  const std::uint64_t generation = next_generation_;
  std::optional<JournalSegment> next;
  if (wanted <= options_.segment_bytes && !spares_.empty()) {
    if (auto renamed = use_spare(generation); !renamed) return renamed;
    auto opened = JournalSegment::open(path_of(generation));
    if (!opened) return tl::unexpected(opened.error());
    next = std::move(*opened);
  } else {
    const bool first = !current_.has_value();
    auto made = JournalSegment::create(path_of(generation), std::max(options_.segment_bytes, wanted), first);
    if (!made) return tl::unexpected(made.error());
    next = std::move(*made);
    bytes_on_disk_ += next->bytes();
  }
  ++next_generation_;
  const SegmentHeader header{options_.async ? SegmentHeader::async : 0, generation, owner_, random_seed()};
  if (auto begun = next->begin(header); !begun) return begun;
  if (auto synced = sync_directory(options_.directory); !synced) return synced;
  files_.push_back({generation, next->bytes(), {}});
  current_ = std::move(next);
  ready_.store(true, std::memory_order_release);
  return {};
}

Result<void> FileJournal::use_spare(std::uint64_t generation) {
  const File spare = spares_.front();
  if (::rename(path_of(spare.generation).c_str(), path_of(generation).c_str()) != 0) {
    return tl::unexpected(system_error("rename", path_of(spare.generation)));
  }
  spares_.pop_front();
  return {};
}

void FileJournal::drop_committed(JournalPosition committed) {
  while (!files_.empty() && !(current_ && files_.size() == 1) && files_.front().last <= committed) {
    const File file = files_.front();
    files_.pop_front();
    if (file.bytes == options_.segment_bytes && spares_.size() < options_.spare_segments_max) {
      spares_.push_back(file);
      continue;
    }
    ::unlink(path_of(file.generation).c_str());
    bytes_on_disk_ -= file.bytes;
  }
}

void FileJournal::end_cleanly(JournalPosition committed) {
  if (!current_ || files_.back().last > committed) return;
  SegmentHeader header = current_->header();
  header.flags |= SegmentHeader::clean;
  static_cast<void>(current_->write_header(header));  // Else the next start is a careful one.
}

}  // namespace knit
