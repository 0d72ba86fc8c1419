#include "store/lmdb/meta_pages.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <optional>
#include <system_error>

#include "store/lmdb/file_descriptor.h"

namespace knit {

namespace {

constexpr std::uint16_t meta_flag = 8;
constexpr std::uint64_t no_page = ~std::uint64_t{0};
constexpr std::uint16_t depth_max = 32;  // LMDB's own limit.

// As LMDB lays them out, in the byte order of the machine.
struct TreeRecord {
  std::uint32_t pad;  // Of the free list: bytes of a page.
  std::uint16_t flags;
  std::uint16_t depth;
  std::array<std::uint64_t, 3> pages;  // Inner pages, leaves, overflow.
  std::uint64_t entries;
  std::uint64_t root;
};
struct MetaPage {
  std::uint64_t number;
  std::uint16_t pad;
  std::uint16_t flags;
  std::uint32_t bounds;
  std::uint32_t magic;
  std::uint32_t version;
  std::uint64_t address;
  std::uint64_t map_bytes;
  std::array<TreeRecord, 2> trees;  // The free list, and the tree of tables.
  std::uint64_t last_page;
  std::uint64_t transaction;
};
static_assert(sizeof(TreeRecord) == 48 && offsetof(MetaPage, transaction) == 144);

using MetaPages = std::array<MetaPage, 2>;

bool alike(const MetaPage& a, const MetaPage& b) {
  return a.magic == b.magic && a.version == b.version && a.address == b.address &&
         a.trees[0].pad == b.trees[0].pad && a.trees[0].flags == b.trees[0].flags &&
         a.trees[1].pad == b.trees[1].pad && a.trees[1].flags == b.trees[1].flags;
}

// They are written in turns. Both are 0 in a file that was just made.
bool transactions_follow(const MetaPages& pages) {
  const std::uint64_t even = pages[0].transaction;
  const std::uint64_t odd = pages[1].transaction;
  if (even == 0 && odd == 0) return true;
  return even % 2 == 0 && (odd == even + 1 || odd + 1 == even);
}

bool is_possible(const TreeRecord& tree, std::uint64_t last_page) {
  const bool empty = tree.root == no_page;
  if (empty != (tree.entries == 0) || empty != (tree.depth == 0) || tree.depth > depth_max) return false;
  if (!empty && (tree.root < 2 || tree.root > last_page)) return false;
  return std::all_of(tree.pages.begin(), tree.pages.end(),
                     [&](std::uint64_t pages) { return pages <= last_page; });
}

const char* what_is_wrong(const MetaPages& pages, std::uint64_t file_bytes, std::uint64_t map_bytes) {
  for (std::size_t i = 0; i < pages.size(); ++i) {
    if (pages[i].number != i || (pages[i].flags & meta_flag) == 0) return "a first page is none";
  }
  if (!alike(pages[0], pages[1])) return "its first pages disagree";
  if (!transactions_follow(pages)) return "its last transactions do not follow each other";
  const MetaPage& newest = pages[pages[1].transaction > pages[0].transaction ? 1 : 0];
  if (newest.last_page < 1 || newest.last_page >= std::max(file_bytes, map_bytes) / 512) {
    return "its size is wrong";
  }
  const std::uint64_t page_bytes = newest.trees[0].pad;
  if (page_bytes * (newest.last_page + 1) > std::max(file_bytes, map_bytes)) return "its size is wrong";
  for (const TreeRecord& tree : newest.trees) {
    if (!is_possible(tree, newest.last_page)) return "the root of a tree is wrong";
  }
  return nullptr;
}

tl::unexpected<Error> cannot(const char* call, const std::string& path) {
  return fail(ErrorCode::io, std::string(call) + " " + path + ": " + std::generic_category().message(errno));
}

}  // namespace

namespace {

struct Front {
  MetaPages pages{};
  std::uint64_t file_bytes{};
};

// Empty: it is absent, or too short for two pages.
Result<std::optional<Front>> read_front(const std::string& path) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid() && errno == ENOENT) return std::nullopt;
  if (!file.valid()) return cannot("open", path);
  struct stat status{};
  if (::fstat(file.number(), &status) != 0) return cannot("fstat", path);
  Front front;
  front.file_bytes = static_cast<std::uint64_t>(status.st_size);
  for (std::size_t i = 0; i < front.pages.size(); ++i) {
    MetaPage& page = front.pages[i];
    const ssize_t size =
        ::pread(file.number(), &page, sizeof page, static_cast<off_t>(i) * ::sysconf(_SC_PAGESIZE));
    if (size < 0) return cannot("read", path);
    if (static_cast<std::size_t>(size) < sizeof page) return std::nullopt;
  }
  return front;
}

}  // namespace

Result<void> check_meta_pages(const std::string& path, std::uint64_t map_bytes) {
  const auto front = read_front(path);
  if (!front) return tl::unexpected(front.error());
  if (!*front) return {};
  const char* wrong = what_is_wrong((*front)->pages, (*front)->file_bytes, map_bytes);
  return wrong == nullptr ? Result<void>{} : fail(ErrorCode::corrupt, wrong);
}

Result<void> check_whole_copy(const std::string& path) {
  const auto front = read_front(path);
  if (!front) return tl::unexpected(front.error());
  if (!*front) return fail(ErrorCode::corrupt, "it is too short");
  const auto& [pages, file_bytes] = **front;
  if (const char* wrong = what_is_wrong(pages, file_bytes, 0)) return fail(ErrorCode::corrupt, wrong);
  const MetaPage& newest = pages[pages[1].transaction > pages[0].transaction ? 1 : 0];
  const bool whole = file_bytes == newest.trees[0].pad * (newest.last_page + 1);
  return whole ? Result<void>{} : fail(ErrorCode::corrupt, "its size is wrong");
}

}  // namespace knit
