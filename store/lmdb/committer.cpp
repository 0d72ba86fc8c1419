#include "store/lmdb/committer.h"

#include <utility>

#include "base/check.h"
#include "store/lmdb/thread_priority.h"

namespace knit {

Committer::Committer(Write write, std::function<void()> wake)
    : write_(std::move(write)), wake_(std::move(wake)), thread_([this] { run(); }) {}

Committer::~Committer() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Committer::start(const Batch& batch) {
  {
    const std::lock_guard lock(mutex_);
    check(batch_ == nullptr, "one batch is written at a time");
    check(!result_.has_value(), "the result of the last batch was taken");
    batch_ = &batch;
  }
  changed_.notify_all();
}

std::optional<Result<void>> Committer::take_result() {
  const std::lock_guard lock(mutex_);
  return std::exchange(result_, std::nullopt);
}

void Committer::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return batch_ == nullptr; });
}

const Batch* Committer::next() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return batch_ != nullptr || stopping_; });
  return batch_;
}

void Committer::run() {
  stand_back();
  while (const Batch* batch = next()) {
    Result<void> result = write_(*batch);
    {
      const std::lock_guard lock(mutex_);
      result_ = std::move(result);
      batch_ = nullptr;
    }
    changed_.notify_all();
    wake_();
  }
}

}  // namespace knit
