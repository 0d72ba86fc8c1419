#include "daemon/redis/reply_queue.h"

#include <algorithm>

#include "base/check.h"

namespace knit {

namespace {

constexpr std::size_t kept_bytes = 4096;  // Of the last chunk, when all is written.

}  // namespace

std::string& ReplyQueue::tail() {
  if (chunks_.empty() || chunks_.back().size() >= chunk_bytes) add_chunk({});
  return chunks_.back();
}

void ReplyQueue::append(std::string bytes) {
  if (bytes.size() < chunk_bytes) {
    tail().append(bytes);
  } else {
    add_chunk(std::move(bytes));
  }
}

void ReplyQueue::add_chunk(std::string bytes) {
  const std::uint64_t base = end();
  if (chunks_.empty()) front_base_ = base;
  chunks_.push_back(std::move(bytes));
  tail_base_ = base;
}

void ReplyQueue::end_reply(JournalPosition position) {
  if (!marks_.empty() && marks_.back().position == position) {
    marks_.back().end = end();
    marks_.back().replies++;
  } else {
    marks_.push_back({position, end()});
  }
}

void ReplyQueue::release(JournalPosition synced) {
  while (!marks_.empty() && marks_.front().position <= synced) {
    released_end_ = marks_.front().end;
    marks_.pop_front();
  }
}

std::string ReplyQueue::copy(std::uint64_t from, std::uint64_t to) const {
  std::string out;
  std::uint64_t base = front_base_;
  for (const std::string& chunk : chunks_) {
    const std::uint64_t first = std::max(from, base);
    const std::uint64_t last = std::min(to, base + chunk.size());
    if (first < last) out.append(chunk, first - base, last - first);
    base += chunk.size();
  }
  return out;
}

void ReplyQueue::replace_unsynced(JournalPosition synced, std::string_view line) {
  release(synced);
  if (marks_.empty()) return;
  ReplyQueue replaced;
  replaced.append(copy(front_, released_end_));
  replaced.end_reply({});
  replaced.release({});
  std::uint64_t from = released_end_;
  for (const Mark& mark : marks_) {
    if (mark.position <= synced) {
      replaced.append(copy(from, mark.end));
    } else {
      for (std::uint64_t reply = 0; reply < mark.replies; reply++) replaced.tail().append(line);
    }
    replaced.end_reply({});
    from = mark.end;
  }
  *this = std::move(replaced);
}

std::vector<std::string_view> ReplyQueue::released(std::size_t chunks_max) const {
  std::vector<std::string_view> views;
  std::uint64_t base = front_base_;
  for (const std::string& chunk : chunks_) {
    if (base >= released_end_ || views.size() == chunks_max) break;
    const std::uint64_t first = std::max(front_, base);
    const std::uint64_t last = std::min(released_end_, base + chunk.size());
    if (first < last) views.push_back(std::string_view(chunk).substr(first - base, last - first));
    base += chunk.size();
  }
  return views;
}

void ReplyQueue::on_written(std::size_t bytes) {
  check(bytes <= released_end_ - front_, "no more is written than was released");
  front_ += bytes;
  drop_front();
}

void ReplyQueue::drop_front() {
  while (chunks_.size() > 1 && front_base_ + chunks_.front().size() <= front_) {
    front_base_ += chunks_.front().size();
    chunks_.pop_front();
  }
  if (!empty() || chunks_.empty()) return;
  // A single chunk is left, and all of it is written.
  front_base_ = tail_base_ = front_;
  chunks_.back().clear();
  if (chunks_.back().capacity() > kept_bytes) chunks_.clear();
}

ReplyQueue::Detached ReplyQueue::detach_released() {
  Detached detached;
  detached.bytes = released_end_ - front_;
  while (has_released()) {
    std::string& chunk = chunks_.front();
    const std::uint64_t chunk_end = front_base_ + chunk.size();
    const std::uint64_t last = std::min(released_end_, chunk_end);
    if (front_ == front_base_ && last == chunk_end && chunks_.size() > 1) {
      detached.chunks.push_back(std::move(chunk));
      chunks_.pop_front();
      front_base_ = chunk_end;
    } else {
      detached.chunks.push_back(chunk.substr(front_ - front_base_, last - front_));
    }
    front_ = last;
    drop_front();
  }
  return detached;
}

}  // namespace knit
