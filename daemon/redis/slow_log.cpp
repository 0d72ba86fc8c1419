#include "daemon/redis/slow_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace knit {

void SlowLog::add(Entry entry) {
  entry.id = next_id_++;
  entries_.push_front(std::move(entry));
  if (entries_.size() > length_) entries_.pop_back();
}

void SlowLog::set_length(std::size_t length) {
  length_ = std::min(length, length_max);
  if (entries_.size() > length_) entries_.resize(length_);
}

std::string shortened_argument(std::string_view front, std::size_t size) {
  if (size <= SlowLog::argument_bytes_max) return std::string(front);
  const std::string_view kept = front.substr(0, SlowLog::argument_bytes_max);
  return fmt::format("{}... ({} more bytes)", kept, size - kept.size());
}

}  // namespace knit
