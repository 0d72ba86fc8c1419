// A thread that writes one batch at a time, and hands the result over.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "base/result.h"
#include "store/ports.h"

namespace knit {

// All members are called by the owner's thread; `write` and `wake` on the committer's own.
class Committer {
 public:
  using Write = std::function<Result<void>(const Batch&)>;

  // Starts the thread. Throws std::system_error if that cannot be done.
  Committer(Write write, std::function<void()> wake);
  ~Committer();  // Lets a batch that was begun come to its end.
  Committer(const Committer&) = delete;
  Committer& operator=(const Committer&) = delete;

  // Requires: the result of the batch before was taken. `batch` stays as it is until then.
  void start(const Batch& batch);
  // The result of the batch that has ended, once; empty while it is written, and when there is none.
  std::optional<Result<void>> take_result();
  // Returns when no batch is being written. The result is still to be taken.
  void wait();

 private:
  void run();
  const Batch* next();  // Null: the end.

  const Write write_;
  const std::function<void()> wake_;

  std::mutex mutex_;  // Guards what follows.
  std::condition_variable changed_;
  const Batch* batch_ = nullptr;
  std::optional<Result<void>> result_;
  bool stopping_ = false;

  std::thread thread_;  // Last: it uses all of the above.
};

}  // namespace knit
