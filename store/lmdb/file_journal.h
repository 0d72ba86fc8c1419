// The journal in files, with a thread that writes and syncs for all who wait.
//
// The owner appends records in memory and hands them over at the end of its turn; whatever has come together
// while the thread was busy becomes its next group: one write, one sync.
//
// All calls come from the owner's thread. Invariants:
//  1. synced() never covers a record that a power cut could take.
//  2. Segments hold contiguous positions, but for what the ordered store held when a segment was begun.
//  3. A segment is used again only when the ordered store holds all of it.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/result.h"
#include "store/journal_frame.h"
#include "store/lmdb/journal_segment.h"
#include "store/ports.h"

namespace knit {

struct FileJournalOptions {
  std::string directory;  // Made if it is absent; its parent must exist.

  // Of a file. A larger record gets a file of its own size. Too small: files are changed often, which costs a
  // millisecond each time. Too large: disk space, and a longer replay.
  std::size_t segment_bytes = 16 << 20;
  // Files that are kept for the next burst.
  std::size_t spare_segments_max = 8;

  // Clients are answered before the sync, once it is on disk that they are: an end that was not clean then
  // leaves an uncertain tail.
  bool async = false;
  // From one sync to the next, at least. Zero: as soon as somebody waits.
  Millis sync_interval{0};
};

class FileJournal final : public Journal {
 public:
  // Opens or makes the directory. `wake` is called on the journal's thread whenever synced() has risen or
  // a failure can be taken; it must not block. Errors: disk_full, io, wrong_format.
  static Result<std::unique_ptr<FileJournal>> open(FileJournalOptions options, std::function<void()> wake);
  ~FileJournal() override;  // Writes what was handed over. All of it in the ordered store: a clean end.

  Result<Tail> replay(NodeId owner, JournalPosition after,
                      FunctionRef<Result<void>(const JournalRecord&)> visit) override;
  void append(const JournalRecord& record) override;
  JournalPosition synced() const override;
  JournalPosition answerable() const override;
  void on_committed(JournalPosition position) override;
  void discard_unsynced() override;
  std::size_t bytes_waiting() const override;

  // Hands what was appended over to the thread.
  void flush();
  // What went wrong, once; nothing is written from then on until discard_unsynced(). disk_full: that is
  // all there is to do. io: the owner should end the process.
  std::optional<Error> take_failure();
  std::uint64_t bytes_on_disk() const override { return bytes_on_disk_.load(std::memory_order_relaxed); }
  std::uint64_t syncs() const override { return syncs_.load(std::memory_order_relaxed); }

 private:
  struct File {
    std::uint64_t generation{};  // Of its name.
    std::size_t bytes{};
    JournalPosition last;  // Of its records.
  };

  FileJournal(FileJournalOptions options, std::function<void()> wake);
  std::string path_of(std::uint64_t generation) const;
  Result<void> list_files();
  std::size_t first_needed(JournalPosition after);
  std::optional<JournalPosition> first_position(const File& file) const;
  Result<Tail> replay_file(File& file, NodeId owner, JournalPosition& expected,
                           FunctionRef<Result<void>(const JournalRecord&)> visit);

  static Result<Tail> replay_frames(JournalFrames& frames, JournalPosition& last, JournalPosition& expected,
                                    FunctionRef<Result<void>(const JournalRecord&)> visit);

  // On the journal's thread.
  void run();
  bool wait_for_work(std::string& frames, JournalPosition& committed);
  Result<void> prepare();
  Result<void> write_group(std::string& frames);
  Result<void> roll(std::size_t bytes);
  Result<void> use_spare(std::uint64_t generation);
  void drop_committed(JournalPosition committed);
  void end_cleanly(JournalPosition committed);

  const FileJournalOptions options_;
  const std::function<void()> wake_;
  std::string appended_;  // The owner's alone: frames of this turn.
  JournalPosition committed_by_store_;

  std::atomic<std::uint64_t> synced_{0};
  std::atomic<bool> ready_{false};  // A segment of this life is on disk.
  std::atomic<std::uint64_t> bytes_on_disk_{0};
  std::atomic<std::uint64_t> syncs_{0};
  std::atomic<std::size_t> bytes_in_group_{0};

  mutable std::mutex mutex_;  // Guards what follows.
  std::condition_variable changed_;
  std::string queued_;
  JournalPosition committed_;
  NodeId owner_;
  std::optional<Error> failure_;
  bool failed_ = false;
  bool busy_ = false;
  bool stopping_ = false;

  // The thread's, but for replay(), which waits until the thread is idle.
  std::deque<File> files_;   // Ascending; the last one is current_'s, once there is one.
  std::deque<File> spares_;  // Files that hold nothing.
  std::uint64_t next_generation_ = 1;
  std::optional<JournalSegment> current_;
  bool ended_uncleanly_ = false;  // Under async, before this start.
  std::chrono::steady_clock::time_point last_sync_;

  std::thread thread_;  // Last: it uses all of the above.
};

}  // namespace knit
